"""The viewer in a real Chromium, by mouse and by keys; skipped unless MEDSR_CHROMIUM names the program."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from browser import CHROMIUM, NEEDS_CHROMIUM, SHADES, UNNAMED, opened, shades
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

ROOT = Path(__file__).parents[4]
FAINT = """() => {
    const light = (color) => color.match(/\\d+/g).map((part) => part / 255)
        .map((part) => part <= 0.04 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, n) => sum + [0.2126, 0.7152, 0.0722][n] * part, 0.05);
    const panel = light(getComputedStyle(document.querySelector('aside')).backgroundColor);
    return [...document.querySelectorAll('select, input[type=text], input[type=number], button')]
        .filter((one) => light(getComputedStyle(one).borderTopColor) / panel < 3).map((one) => one.outerHTML) }"""

pytestmark = NEEDS_CHROMIUM
if CHROMIUM:
    pytest.importorskip("starlette", reason="the viewer's extra is not installed")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small scan that is quickly enhanced, and a large one whose enhancement takes longer than a test."""
    folder = tmp_path_factory.mktemp("scans")
    for name, shape in (("small", (8, 40, 36)), ("large", (60, 320, 320))):
        k, j, i = np.meshgrid(*(np.linspace(-1, 1, count) for count in shape), indexing="ij")
        body = 900 * (k**2 + j**2 + i**2 < 0.6) + 300 * (np.abs(i + k) < 0.2)
        array = (body + np.random.default_rng(0).normal(200, 20, shape)).astype(np.int16)
        files.write(Volume(array, Grid(shape, np.diag([1.0, 1.0, 4.0, 1.0]))), folder / f"{name}.nii.gz")
    (folder / "wrong.nii.gz").write_bytes(gzip.compress(b"no volume"))
    return folder


@pytest.fixture(scope="module")
def address(scans: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "medical_super_resolution", "view"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "MedicalSuperResolution")}
    with subprocess.Popen(command, cwd=scans, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()
        assert server.wait(60) == 0


@pytest.fixture
def page(chromium, address: str):
    with opened(chromium, address) as page:
        page.wait_for_selector("#goal option", state="attached")
        yield page


def open_scan(page, path: Path) -> None:
    page.get_by_label("Volume file").set_input_files(path)
    page.wait_for_selector("canvas[data-drawn^=before]")


def enhance(page, goal: str = "Thin slices x2") -> None:
    page.get_by_label("Goal").select_option(label=goal)
    page.get_by_role("button", name="Enhance", exact=True).click()
    page.wait_for_selector("canvas[data-drawn^=difference]")


def test_a_scan_is_uploaded_enhanced_compared_and_downloaded(page, scans: Path, tmp_path: Path):
    open_scan(page, scans / "small.nii.gz")
    assert "36x40x8" in page.inner_text("#size")
    enhance(page)
    assert "Done" in page.inner_text("#message")
    assert "36x40x16" in page.inner_text("#size")
    captions = page.locator("section[aria-label=Coronal] figcaption").all_inner_texts()
    assert captions == ["Before", "After", "Difference, after - before"]
    for name, title in (("result.nii.gz", "Download volume"), ("report.json", "Download report")):
        with page.expect_download() as download:
            page.get_by_role("button", name=title).click()
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
    assert files.read(tmp_path / "result.nii.gz").array.shape == (16, 40, 36)
    assert json.loads((tmp_path / "report.json").read_text())["model"] == "general"


def test_a_modality_is_stated_of_the_volume_that_is_open(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    page.get_by_label("Modality").select_option(label="CT")
    enhance(page)
    assert page.locator("#facts").inner_text().split("\n").count("CT") == 1
    page.get_by_label("Path on the server").fill(str(scans / "small.nii.gz"))
    page.get_by_role("button", name="Open").click()
    page.wait_for_function("() => document.querySelector('#modality').value === ''")


def test_the_wipe_shows_before_at_the_left_and_after_at_the_right(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    enhance(page)
    after = [shades(page, "after", left=left) for left in (0.45, 0.55)]
    page.get_by_label("In the middle view").select_option(label="Wipe to before")
    page.wait_for_selector("canvas[data-drawn$=wipe]")
    assert page.locator("figcaption").nth(1).inner_text() == "Before | After"
    assert shades(page, "after", left=0.45) == shades(page, "before", left=0.45) != after[0]
    assert shades(page, "after", left=0.55) == after[1]


def test_flicker_shows_before_and_after_in_turn(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    enhance(page)
    page.get_by_label("In the middle view").select_option(label="Flicker with before")
    middle, left = (f"String(({SHADES})(['{image}', 0.5]))" for image in ("after", "before"))
    for condition in ("===", "!==", "==="):
        page.wait_for_function(f"() => {middle} {condition} {left}")
    for caption in ("Before", "After"):
        page.wait_for_function("text => document.querySelectorAll('figcaption')[1].textContent === text", arg=caption)


def test_an_enhancement_is_cancelled(page, scans: Path):
    open_scan(page, scans / "large.nii.gz")
    page.get_by_role("button", name="Enhance", exact=True).click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled. Nothing was changed.").wait_for()
    assert page.get_by_role("button", name="Enhance", exact=True).is_enabled()


def test_a_double_click_begins_one_enhancement(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    asked = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.get_by_role("button", name="Enhance", exact=True).dblclick()
    page.wait_for_selector("canvas[data-drawn^=difference]")
    assert asked.count("enhance") == 1


@pytest.mark.parametrize("title", ["Download volume", "Download report"])
def test_a_double_click_saves_once(page, scans: Path, title: str):
    open_scan(page, scans / "small.nii.gz")
    enhance(page)
    saved = []
    page.on("download", lambda download: saved.append(download))  # no method, which Playwright cannot mark
    with page.expect_download():
        page.get_by_role("button", name=title).dblclick()
    page.wait_for_timeout(1000)
    assert len(saved) == 1


def test_a_wrong_file_is_refused_in_a_sentence_and_the_scan_before_stays(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    page.get_by_label("Volume file").set_input_files(scans / "wrong.nii.gz")
    page.wait_for_selector("#message.wrong")
    assert page.inner_text("#message").startswith("The file wrong.nii.gz cannot be read")
    assert page.locator("canvas[data-drawn^=before]").count() == 2


def test_a_reload_loses_nothing_and_a_second_tab_is_another_session(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    enhance(page)
    page.reload()
    page.wait_for_selector("canvas[data-drawn^=difference]")
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_text("Open a volume:").wait_for()
    assert other.locator("canvas").count() == 0
    with page.context.expect_page() as copied:  # with the storage of this tab, as a browser duplicates one
        page.evaluate("void open(location.href)")
    copied.value.get_by_text("Open a volume:").wait_for()
    assert copied.value.locator("canvas").count() == 0


def test_a_scan_that_is_opened_before_the_page_is_ready_is_not_lost(page, scans: Path):
    def late(route) -> None:
        page.wait_for_timeout(500)
        route.continue_()

    page.context.route("**/api/sessions", late)
    page.evaluate("sessionStorage.clear()")
    page.goto(page.url)
    page.wait_for_selector("#goal option", state="attached")
    open_scan(page, scans / "small.nii.gz")
    assert page.get_by_role("button", name="Enhance", exact=True).is_enabled()


def test_a_session_that_was_replaced_is_begun_anew_by_opening(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    address, token = page.url.split("/?token=")
    for _ in range(8):
        response = page.request.post(f"{address}/api/sessions", headers={"Authorization": f"Bearer {token}"})
        assert response.ok
    page.get_by_label("Volume file").set_input_files(scans / "large.nii.gz")
    page.wait_for_function("() => document.getElementById('size').textContent.includes('320x320x60')")


def test_of_volumes_that_are_chosen_quickly_the_last_one_is_shown(page, scans: Path):
    def late(route) -> None:
        page.wait_for_timeout(3000)
        route.continue_()

    page.context.route("**/files/small*", late)
    for name in ("small", "large"):
        page.get_by_label("Volume file").set_input_files(scans / f"{name}.nii.gz")
    page.wait_for_function("() => document.getElementById('size').textContent.includes('36x40x8')")
    page.wait_for_function("() => document.getElementById('size').textContent.includes('320x320x60')", timeout=20_000)


def begin(page, path: Path) -> None:
    """Begin an enhancement that takes longer than a test."""
    open_scan(page, path)
    page.get_by_role("button", name="Enhance", exact=True).click()
    page.wait_for_function("() => !document.getElementById('cancel').disabled")


def test_a_volume_that_is_opened_during_an_enhancement_is_shown(page, scans: Path):
    begin(page, scans / "large.nii.gz")
    page.get_by_label("Volume file").set_input_files(scans / "small.nii.gz")
    page.wait_for_function("() => document.getElementById('size').textContent.includes('36x40x8')")
    page.wait_for_selector("canvas[data-drawn='before 20']")
    assert page.inner_text("#message") == ""


def test_an_error_during_an_enhancement_stays_until_it_can_be_read(page, scans: Path):
    begin(page, scans / "large.nii.gz")
    with page.expect_response(re.compile(r"/open$")):
        page.get_by_label("Volume file").set_input_files(scans / "wrong.nii.gz")
    for _ in range(2):
        with page.expect_response(re.compile(r"/api/sessions/[^/]+$")):
            pass
    page.wait_for_timeout(200)
    assert page.inner_text("#message").startswith("The file wrong.nii.gz cannot be read")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled. Nothing was changed.").wait_for()
    page.get_by_label("Path on the server").fill("nothing.nii.gz")
    page.get_by_role("button", name="Open").click()
    page.wait_for_selector("#message.wrong")
    page.get_by_role("button", name="Enhance", exact=True).click()
    page.get_by_text("Enhancing").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled. Nothing was changed.").wait_for()


def test_the_state_before_another_volume_was_opened_is_not_shown_after_it(page, scans: Path):
    begin(page, scans / "large.nii.gz")
    page.evaluate("""() => { const known = fetch; window.fetch = async (address, ...more) => {
        const answer = await known(address, ...more);
        if (/sessions.[^/]+$/.test(address)) await new Promise((go) => setTimeout(go, 3000));
        return answer } }""")
    with page.expect_request(re.compile(r"/api/sessions/[^/]+$")):
        pass
    page.get_by_label("Path on the server").fill(str(scans / "small.nii.gz"))
    page.get_by_role("button", name="Open").click()
    page.wait_for_function("() => document.getElementById('size').textContent.includes('36x40x8')")
    page.wait_for_timeout(4000)
    assert "36x40x8" in page.inner_text("#size")


def test_the_slider_of_the_wipe_goes_with_the_result(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    enhance(page)
    page.get_by_label("In the middle view").select_option(label="Wipe to before")
    assert page.locator("#wipe").is_visible()
    page.get_by_label("Volume file").set_input_files(scans / "large.nii.gz")
    page.wait_for_function("() => document.getElementById('size').textContent.includes('320x320x60')")
    assert not page.locator("#wipe").is_visible()


def test_slices_are_not_fetched_again_for_another_plane(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for plane in ("coronal", "revealing"):
        page.locator("#plane").select_option(plane)
        page.wait_for_selector("section[aria-label=Coronal] canvas[data-drawn^=before]")
    assert asked == []


def test_slices_that_are_passed_while_another_is_loaded_are_left_out(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    asked = []

    def late(route) -> None:
        asked.append(route.request.url)
        page.wait_for_timeout(500)
        route.continue_()

    page.context.route("**/slices/**", late)
    for _ in range(10):
        page.locator("canvas").first.press("ArrowUp")
    page.wait_for_selector("canvas[data-drawn='before 30']")
    assert len(asked) < 10


def test_a_long_path_in_a_message_stays_in_the_panel_and_images_stand_side_by_side(page, scans: Path):
    page.get_by_label("Path on the server").fill("/" + "very_long_" * 20)
    page.get_by_role("button", name="Open").click()
    page.wait_for_selector("#message.wrong")
    assert page.locator("aside").evaluate("(panel) => panel.scrollWidth - panel.clientWidth") == 0
    page.set_viewport_size({"width": 820, "height": 800})  # where one of the captions takes two lines
    open_scan(page, scans / "small.nii.gz")
    enhance(page)
    boxes = [page.locator("canvas").nth(number).bounding_box() for number in range(3)]
    assert {(box["y"], box["height"]) for box in boxes} == {(boxes[0]["y"], boxes[0]["height"])}
    assert boxes[0]["height"] > 200


def test_everything_can_be_done_by_keys(page, scans: Path):
    page.get_by_label("Path on the server").focus()
    page.keyboard.type(str(scans / "small.nii.gz"))
    page.keyboard.press("Enter")
    page.wait_for_selector("canvas[data-drawn^=before]")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "enhance":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("canvas[data-drawn^=difference]")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "CANVAS":
            break
    first = page.evaluate("document.activeElement.ariaLabel")
    page.keyboard.press("ArrowUp")
    page.wait_for_function("text => document.activeElement.ariaLabel !== text", arg=first)
    second = page.evaluate("document.activeElement.ariaLabel")
    numbers = [int(re.search(r"slice (\d+)", text)[1]) for text in (first, second)]
    assert numbers[1] == numbers[0] + 1
    page.keyboard.press("w")
    page.wait_for_selector("canvas[data-drawn$=wipe]")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#wipe") == "0.52"


def test_moving_the_wipe_leaves_the_window_as_it_was_chosen(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    enhance(page)
    page.get_by_label("In the middle view").select_option(label="Wipe to before")
    page.locator("canvas").nth(1).press("ArrowRight")
    assert page.input_value("#wipe") == "0.52"
    assert page.input_value("#preset") == "auto"


def test_the_letters_of_the_help_work_as_capitals_and_after_a_slider_was_moved(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    enhance(page)
    page.get_by_role("slider", name="Coronal slice").press("W")
    assert page.input_value("#overlay") == "wipe"
    page.get_by_label("Width").press("a")
    assert page.input_value("#overlay") == "wipe"


def test_a_wheel_goes_the_way_of_the_keys_and_sideways_moves_no_slice(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    page.locator("canvas").first.hover()
    label = page.locator("section[aria-label=Coronal] span")
    before = label.inner_text()
    page.mouse.wheel(50, 0)
    page.mouse.wheel(0, 50)
    page.wait_for_timeout(500)
    numbers = [int(re.search(r"slice (\d+)", text)[1]) for text in (before, label.inner_text())]
    assert numbers[1] == numbers[0] - 1


def test_a_window_that_makes_no_sense_is_not_taken(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    fields = page.get_by_label("Width"), page.get_by_label("Level")
    known = [field.input_value() for field in fields]
    for field, typed in ((fields[0], "-5"), (fields[0], ""), (fields[1], "")):
        field.fill(typed)
        field.press("Tab")
    assert [field.input_value() for field in fields] == known


def test_a_quick_drag_does_not_close_the_window(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    width = float(page.input_value("#width"))
    page.mouse.move(700, 200)
    page.mouse.down()
    page.mouse.move(400, 200)  # one event, as while the computer is busy
    page.mouse.move(700, 200)
    page.mouse.up()
    assert float(page.input_value("#width")) == pytest.approx(width, rel=1e-3)


def test_a_drag_needs_no_moves_that_the_browser_measures(page, scans: Path):
    page.evaluate("""() => { for (const name of ["movementX", "movementY"])
        Object.defineProperty(MouseEvent.prototype, name, { get: () => 0 }) }""")  # as of touch in Safari
    open_scan(page, scans / "small.nii.gz")
    width, level = (float(page.input_value(field)) for field in ("#width", "#level"))
    page.mouse.move(500, 200)
    page.mouse.down()
    page.mouse.move(700, 300)
    page.mouse.up()
    assert float(page.input_value("#width")) == pytest.approx(width * np.e, rel=1e-3)
    assert float(page.input_value("#level")) == pytest.approx(level + width / 4, rel=1e-3)


def test_a_folder_that_is_dropped_is_refused_as_one(page):
    page.evaluate("""() => { const items = [{ webkitGetAsEntry: () => ({ isDirectory: true }) }];
        const dropped = { items, files: [new File([], "scans")] };
        const drop = Object.assign(new Event("drop"), { dataTransfer: dropped });
        document.getElementById("views").dispatchEvent(drop) }""")
    page.wait_for_selector("#message.wrong")
    assert page.inner_text("#message") == "A folder was dropped; drop its files instead"


def test_the_same_file_can_be_chosen_again(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    with page.expect_file_chooser():
        page.get_by_label("Volume file").click()
    assert page.input_value("#file") == ""


def test_an_enhancement_is_followed_after_answers_that_were_lost(page, scans: Path):
    open_scan(page, scans / "large.nii.gz")
    state = re.compile(r"/api/sessions/[^/]+$")
    page.context.route(state, lambda route: route.abort())
    page.get_by_role("button", name="Enhance", exact=True).click()
    page.get_by_text("The server does not answer").wait_for()
    page.context.unroute(state)
    page.get_by_text("Enhancing").wait_for(timeout=20_000)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled. Nothing was changed.").wait_for()


def test_without_a_path_nothing_is_opened(page):
    page.get_by_role("button", name="Open").click()
    page.wait_for_timeout(200)
    assert page.inner_text("#message") == ""
    assert page.evaluate("document.activeElement.id") == "path"


def test_a_factor_is_asked_for_at_its_field_and_only_where_it_is_the_goal(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    page.get_by_label("Goal").select_option(label="Thin slices, other factor")
    for factor in ("", "9"):
        page.get_by_label("Factor", exact=True).fill(factor)
        page.get_by_role("button", name="Enhance", exact=True).click()
        page.wait_for_timeout(200)
        assert page.inner_text("#message") == ""
        assert page.evaluate("document.activeElement.id") == "factor"
    enhance(page)


def test_an_image_has_a_name_before_it_is_drawn(page, scans: Path):
    page.context.route("**/slices/**", lambda route: route.abort())
    page.get_by_label("Volume file").set_input_files(scans / "small.nii.gz")
    page.wait_for_selector("canvas")
    assert page.evaluate(UNNAMED) == []


def test_the_edges_of_controls_stand_out_from_the_panel(page, scans: Path):
    """WCAG 1.4.11: a ratio of at least 3."""
    open_scan(page, scans / "small.nii.gz")
    assert page.evaluate(FAINT) == []


def test_every_control_and_image_has_a_name(page, scans: Path):
    open_scan(page, scans / "small.nii.gz")
    assert page.evaluate(UNNAMED) == []
