"""A real Chromium for tests of pages, which the environment variable MEDSR_CHROMIUM names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

CHROMIUM = os.environ.get("MEDSR_CHROMIUM", "")
PATIENCE = 240_000  # ms, for a computer that is busy with other things
NEEDS_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="MEDSR_CHROMIUM does not name a Chromium to drive"),
]
UNNAMED = """() => [...document.querySelectorAll('input, select, button, canvas, progress')].filter((one) =>
    !(one.ariaLabel || one.labels?.length || one.textContent.trim())).map((one) => one.outerHTML)"""
SHADES = """([image, left]) => { const canvas = document.querySelector(`canvas[data-drawn^=${image}]`);
    const data = canvas.getContext('2d').getImageData(Math.floor(left * canvas.width), 0, 1, canvas.height).data;
    return [...data].filter((_, n) => n % 4 === 0) }"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@contextmanager
def opened(chromium, address: str) -> Iterator[object]:
    """A page at an address; at the end it has asked nothing of another, and no script has failed."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    problems, asked = [], []
    context.on("weberror", lambda problem: problems.append(str(problem.error)))
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(address)
    yield page
    context.close()
    assert problems == []
    home = address.partition("?")[0]
    assert [url for url in asked if not url.startswith((home, "data:", f"blob:{home}"))] == []


def shades(page, image: str, *, left: float) -> list[int]:
    """The reds of a column of a canvas, ``left`` of its width from the left."""
    return page.evaluate(SHADES, [image, left])
