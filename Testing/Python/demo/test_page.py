"""The demonstration page in a real Chromium; skipped unless MEDSR_CHROMIUM names one and `make demo-page` was run."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from browser import NEEDS_CHROMIUM, UNNAMED, opened, shades
from medical_super_resolution import EnhanceSettings, enhance, load_model
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

ROOT = Path(__file__).parents[3]
BUILT = ROOT / "build" / "demo"
SOURCES = (ROOT / "MedicalSuperResolution" / "medical_super_resolution" / "viewer" / "page", ROOT / "docs" / "demo")

pytestmark = [
    *NEEDS_CHROMIUM,
    pytest.mark.skipif(not (BUILT / "general.onnx").is_file(), reason="`make demo-page` has not been run"),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page as its sources are now, with the runtime and the network as they were built."""
    folder = tmp_path_factory.mktemp("page")
    for path in (path for place in (BUILT, *SOURCES) for path in place.iterdir()):
        (folder / path.name).unlink(missing_ok=True)
        (folder / path.name).symlink_to(path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()


@pytest.fixture
def page(chromium, address: str) -> Iterator[object]:
    with opened(chromium, address) as page:
        yield page


def a_scan(folder: Path, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Path:
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, count) for count in shape), indexing="ij")
    body = 900 * (k**2 + j**2 + i**2 < 0.6) + 300 * (np.abs(i + k) < 0.2)
    array = (body + np.random.default_rng(0).normal(200, 20, shape)).astype(np.float32)
    array[:, :, : shape[2] // 4] = 0  # air, without noise
    path = folder / "scan.nii.gz"
    path.unlink(missing_ok=True)
    files.write(Volume(array, Grid(shape, np.diag([*spacing, 1.0]))), path)
    return path


def open_scan(page, path: Path) -> None:
    page.get_by_label("NIfTI volume").set_input_files(path)
    page.wait_for_selector("canvas[data-drawn^=before]")


def start(page, goal: str = "Isotropic") -> None:
    page.get_by_label("Goal").select_option(label=goal)
    page.get_by_role("button", name="Enhance", exact=True).click()


def a_padded_ct(folder: Path) -> Path:
    path = a_scan(folder, (8, 40, 36), (1.0, 1.0, 4.0))
    scan = files.read(path)
    array = np.round(scan.array - 1000).astype(np.int16)
    array[:, :6] = -2000
    array[5:, :, -4:] = -2000
    path.unlink()
    files.write(replace(scan, array=array), path)
    return path


@pytest.mark.parametrize(
    "make",
    [
        partial(a_scan, shape=(8, 40, 36), spacing=(1.0, 1.0, 4.0)),
        partial(a_scan, shape=(90, 50, 9), spacing=(2.5, 1.0, 1.0)),
        a_padded_ct,
    ],
    ids=["across k", "across i", "padded CT"],
)
def test_the_result_is_that_of_the_package(page, make, tmp_path: Path):
    path = make(tmp_path)
    open_scan(page, path)
    start(page)
    page.get_by_text("Done.").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download volume").click()
    assert download.value.suggested_filename == "scan-fine.nii.gz"
    download.value.save_as(tmp_path / "fine.nii.gz")
    made = files.read(tmp_path / "fine.nii.gz")
    settings = EnhanceSettings(slice_profile="gaussian", device="cpu", precision="float32")
    expected = enhance(files.read(path), load_model("general"), settings)
    assert made.array.shape == expected.array.shape
    np.testing.assert_allclose(made.grid.ijk_to_ras, expected.grid.ijk_to_ras, atol=1e-5)
    assert made.array.dtype == expected.array.dtype
    assert np.abs(made.array.astype(float) - expected.array).max() < 1e-3 * np.ptp(expected.array.clip(-1000))


_A_GRAPHICS_CARD = """Object.defineProperty(navigator, "gpu", {
    value: { requestAdapter: async () => ({ info: { isFallbackAdapter: false } }) } })"""
_A_RUNTIME_THAT_FAILS_LATER = """let runs = 0;
const values = { getData: async () => new Float32Array(1) };
export const env = { wasm: {} };
export class Tensor {}
export const InferenceSession = { create: async () => ({ run: async () => {
    if (runs++) throw new Error("the device is lost");
    return { features: values, kernels: values };
} }) };"""


def test_what_a_graphics_card_fails_at_is_done_by_webassembly(page, tmp_path: Path):
    asked = []

    def answer(route) -> None:
        asked.append(route.request.url)
        route.fulfill(content_type="text/javascript", body=_A_RUNTIME_THAT_FAILS_LATER)

    page.context.route("**/ort.jspi.bundle.min.mjs", answer)
    page.add_init_script(_A_GRAPHICS_CARD)
    page.reload()
    open_scan(page, a_scan(tmp_path, (4, 20, 20), (1.0, 1.0, 4.0)))
    start(page, "Thin slices x2")
    page.get_by_text("Done.").wait_for()
    assert len(asked) == 1
    assert "WebAssembly" in page.inner_text("#facts")


_A_RUNTIME_THAT_FAILS_AT_THE_FOURTH_RUN = """let runs = 0;
const zeros = (size) => ({ getData: async () => new Float32Array(size) });
export const env = { wasm: {} };
export class Tensor { constructor(type, data, dims) { this.size = data.length; } }
export const InferenceSession = { create: async () => ({ run: async ({ lr, phases }) => {
    if (runs++ === 3) throw new Error("the device is lost");
    return { features: zeros(lr.size), kernels: zeros(2 * phases.size) };
} }) };"""


def test_after_a_failure_there_is_no_progress_to_be_seen(page, tmp_path: Path):
    page.context.route(
        "**/ort.wasm.bundle.min.mjs",
        lambda route: route.fulfill(content_type="text/javascript", body=_A_RUNTIME_THAT_FAILS_AT_THE_FOURTH_RUN),
    )
    page.evaluate("""() => { window.parts = []; const bar = document.querySelector("#progress");
        new MutationObserver(() => parts.push(bar.value)).observe(bar, { attributes: true }) }""")
    open_scan(page, a_scan(tmp_path, (40, 200, 200), (1.0, 1.0, 4.0)))
    start(page, "Thin slices x2")
    page.wait_for_selector("#message.wrong")
    assert page.inner_text("#message") == "The device is lost"
    assert max(page.evaluate("parts")) > 0
    assert page.locator("#progress").evaluate("(bar) => bar.value") == 0


def test_a_double_click_saves_the_result_once(page, tmp_path: Path):
    open_scan(page, a_scan(tmp_path, (4, 20, 20), (1.0, 1.0, 4.0)))
    start(page, "Thin slices x2")
    page.get_by_text("Done.").wait_for()
    saved = []
    page.on("download", lambda download: saved.append(download))  # no method, which Playwright cannot mark
    with page.expect_download():
        page.get_by_role("button", name="Download volume").dblclick()
    page.wait_for_timeout(1000)
    assert len(saved) == 1


def test_webgpu_that_fails_at_once_is_not_missed(page, tmp_path: Path):
    page.add_init_script("Object.defineProperty(navigator, 'gpu', { value: {} })")  # no requestAdapter
    page.reload()
    open_scan(page, a_scan(tmp_path, (4, 20, 20), (1.0, 1.0, 4.0)))
    start(page, "Thin slices x2")
    page.get_by_text("Done.").wait_for()
    assert "WebAssembly" in page.inner_text("#facts")


def test_each_step_of_an_enhancement_is_read_out_once(page, tmp_path: Path):
    open_scan(page, a_scan(tmp_path, (8, 40, 36), (1.0, 1.0, 4.0)))
    page.evaluate("""() => { window.said = []; const message = document.querySelector("#message");
        new MutationObserver(() => said.push(message.textContent)).observe(message, { childList: true }) }""")
    start(page, "Thin slices x2")
    page.get_by_text("Done.").wait_for()
    said = page.evaluate("said")
    assert said[-1] == "Done."
    assert len(said) == len(set(said))


def test_before_and_after_are_compared_by_a_wipe(page, tmp_path: Path):
    open_scan(page, a_scan(tmp_path, (8, 40, 36), (1.0, 1.0, 4.0)))
    start(page, "Thin slices x2")
    page.wait_for_selector("canvas[data-drawn^=difference]")
    captions = page.locator("section[aria-label=Coronal] figcaption").all_inner_texts()
    assert captions == ["Before", "After", "Difference, after - before"]
    assert page.inner_text("#size") == "36x40x8 at 1.00x1.00x4.00 mm, now 36x40x16 at 1.00x1.00x2.00 mm"
    after = [shades(page, "after", left=left) for left in (0.45, 0.55)]
    page.locator("main").press("w")
    page.wait_for_selector("canvas[data-drawn$=wipe]")
    assert shades(page, "after", left=0.45) == shades(page, "before", left=0.45) != after[0]
    assert shades(page, "after", left=0.55) == after[1]


def test_an_enhancement_is_cancelled_and_can_be_begun_again(page, tmp_path: Path):
    open_scan(page, a_scan(tmp_path, (40, 200, 200), (1.0, 1.0, 4.0)))
    start(page)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled. Nothing was changed.").wait_for()
    (tmp_path / "other").mkdir()
    open_scan(page, a_scan(tmp_path / "other", (4, 20, 20), (1.0, 1.0, 4.0)))
    start(page, "Thin slices x2")  # can be clicked once the other file is read
    page.get_by_text("Done.").wait_for()
    assert page.inner_text("#size").startswith("20x20x4 ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no volume", "is no NIfTI-1 volume (.nii or .nii.gz); choose one that is"),
        (gzip.compress(b"no volume"), "is no NIfTI-1 volume (.nii or .nii.gz); choose one that is"),
        (
            gzip.compress(np.random.default_rng(0).bytes(999))[:99],
            "cannot be unpacked: it is damaged, or has several parts, which browsers refuse; get or pack it again",
        ),
        (
            gzip.compress(bytes(99)) + gzip.compress(bytes(999)),
            "cannot be unpacked: it is damaged, or has several parts, which browsers refuse; get or pack it again",
        ),
    ],
    ids=["text", "packed text", "cut", "two parts"],
)
def test_a_wrong_file_is_refused_in_a_sentence_and_the_scan_before_stays(page, content, said, tmp_path: Path):
    open_scan(page, a_scan(tmp_path, (4, 20, 20), (1.0, 1.0, 4.0)))
    (tmp_path / "wrong.nii.gz").write_bytes(content)
    page.get_by_label("NIfTI volume").set_input_files(tmp_path / "wrong.nii.gz")
    page.wait_for_selector("#message.wrong")
    assert page.inner_text("#message") == f"The file wrong.nii.gz {said}"
    assert page.locator("canvas[data-drawn^=before]").count() == 2
    assert page.get_by_role("button", name="Enhance", exact=True).is_enabled()


def test_a_volume_with_one_damaged_place_in_space_is_opened_by_the_other(page, tmp_path: Path):
    path = a_scan(tmp_path, (4, 20, 20), (1.0, 1.0, 4.0))
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[280:284] = np.float32(np.nan).tobytes()
    path.write_bytes(gzip.compress(content))
    open_scan(page, path)
    assert page.inner_text("#message") == "The sform is damaged; the place in space is that of the other form"
    assert page.inner_text("#size") == "20x20x4 at 1.00x1.00x4.00 mm"


def test_a_volume_for_which_the_browser_has_no_memory_is_refused_in_a_sentence(page, tmp_path: Path):
    page.evaluate("""() => { const Whole = Uint8Array;
        window.Uint8Array = new Proxy(Whole, { construct(_, [first, ...more]) {
            return new Whole(first > 10_000 ? 2 ** 60 : first, ...more) } }) }""")
    page.get_by_label("NIfTI volume").set_input_files(a_scan(tmp_path, (8, 40, 36), (1.0, 1.0, 4.0)))
    page.wait_for_selector("#message.wrong")
    assert page.inner_text("#message") == (
        "The browser has not enough memory for this volume; close other pages, or crop the volume"
    )


def test_a_volume_that_is_refused_leaves_the_modality_of_the_one_before(page, tmp_path: Path):
    open_scan(page, a_scan(tmp_path, (4, 20, 20), (1.0, 1.0, 4.0)))
    page.get_by_label("Modality").select_option(label="MR")
    page.evaluate("() => { Float32Array.from = () => { throw new RangeError() } }")  # no memory
    (tmp_path / "other").mkdir()
    page.get_by_label("NIfTI volume").set_input_files(a_scan(tmp_path / "other", (5, 20, 20), (1.0, 1.0, 4.0)))
    page.wait_for_selector("#message.wrong")
    assert page.input_value("#modality") == "mr"


def test_a_modality_is_stated_of_the_volume_that_is_open(page, tmp_path: Path):
    open_scan(page, a_scan(tmp_path, (4, 20, 20), (1.0, 1.0, 4.0)))
    page.get_by_label("Modality").select_option(label="CT")
    (tmp_path / "other").mkdir()
    page.get_by_label("NIfTI volume").set_input_files(a_scan(tmp_path / "other", (5, 20, 20), (1.0, 1.0, 4.0)))
    page.wait_for_function("() => document.querySelector('#size').textContent.startsWith('20x20x5')")
    assert page.input_value("#modality") == "auto"
    assert page.locator("#preset option[value=soft]").is_disabled()


def test_the_controls_that_a_browser_kept_off_over_a_reload_are_on_again(page, tmp_path: Path):
    def kept(route) -> None:  # as Firefox does
        text = route.fetch().text()
        route.fulfill(content_type="text/html", body=text.replace('id="file"', 'id="file" disabled'))

    page.context.route(page.url, kept)
    page.reload()
    open_scan(page, a_scan(tmp_path, (4, 20, 20), (1.0, 1.0, 4.0)))
    assert page.get_by_role("button", name="Enhance", exact=True).is_enabled()


def test_on_a_phone_the_control_that_opens_a_volume_is_seen_at_once(page):
    page.set_viewport_size({"width": 390, "height": 700})
    box = page.get_by_label("NIfTI volume").bounding_box()
    assert box["y"] + box["height"] < 700
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_every_control_and_image_has_a_name(page, tmp_path: Path):
    open_scan(page, a_scan(tmp_path, (4, 20, 20), (1.0, 1.0, 4.0)))
    assert page.evaluate(UNNAMED) == []
