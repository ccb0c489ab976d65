"""Slicer takes one icon for each module, whatever the theme: Resources/Icons/NAME.svg. So it has to show on both."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
ICONS = sorted(REPOSITORY.glob("*/Resources/Icons/*.svg"))
LIGHT_PANELS, DARK_PANELS = ("#ffffff", "#fcfcfc"), ("#323232", "#1e1e1e")  # of Slicer's light and dark style
LEAST_CONTRAST = 3.0  # of graphics that one must be able to tell, by WCAG 2.1, 1.4.11


def luminance(color: str) -> float:
    """Relative luminance of "#rrggbb", by WCAG 2.1."""
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_counted_as_the_guideline_does():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_there_is_an_icon():
    assert "MedicalSuperResolution.svg" in [icon.name for icon in ICONS]


@pytest.mark.parametrize("icon", ICONS, ids=lambda icon: icon.stem)
@pytest.mark.parametrize("panel", LIGHT_PANELS + DARK_PANELS)
def test_every_part_of_an_icon_shows_on_light_and_dark_panels(icon: Path, panel: str):
    """By its face or by its edge."""
    parts = [part for part in ElementTree.parse(icon).iter() if part.get("fill", "none") != "none"]
    assert parts
    for part in parts:
        colors = [part.get(name) for name in ("fill", "stroke") if part.get(name)]
        assert max(contrast(color, panel) for color in colors) >= LEAST_CONTRAST, part.attrib


@pytest.mark.parametrize("icon", ICONS, ids=lambda icon: icon.stem)
def test_qt_draws_an_icon(icon: Path):
    qt_svg = pytest.importorskip("PySide6.QtSvg")
    renderer = qt_svg.QSvgRenderer(str(icon))
    assert renderer.isValid()
    assert renderer.defaultSize().width() == renderer.defaultSize().height()
