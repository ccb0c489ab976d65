"""The picture of `medsr compare`: its labels are readable, also where a panel is low."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medical_super_resolution.cli import figures
from medical_super_resolution.volumes.grid import Grid


@pytest.mark.parametrize("height", [0.35, 3.0])
def test_the_letters_of_a_panel_do_not_overlap(height: float):
    """3.1 inches wide, and 0.35 high, as 24 slices of 1.25 mm beside 170 mm in plane."""
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(3.1, height))
    axis = figure.add_axes((0, 0, 1, 1))
    figures._label_plane(axis, "sagittal", SimpleNamespace(left="A", top="S"))
    boxes = [text.get_window_extent() for text in axis.texts]
    assert [text.get_text() for text in axis.texts] == ["A", "S", "sagittal"]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    pyplot.close(figure)


def test_the_titles_of_many_low_panels_are_whole(tmp_path: Path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    array = np.random.default_rng(0).normal(0, 100, (12, 64, 64)).astype(np.float32)
    panels = [figures.Panel(f"panel {number}", array, number > 2) for number in range(5)]
    grid = Grid(array.shape, np.diag([2.7, 2.7, 2.5, 1.0]))

    figures._draw(panels, grid, (-160, 240), "HU", tmp_path / "picture.png", {})

    pixels = pyplot.imread(tmp_path / "picture.png")[..., :3]
    assert not pixels[:3].any()  # nothing is cut by the upper edge
    assert pixels[:20].any()  # where the titles are


def test_the_planes_of_a_sagittal_slab_are_drawn_at_one_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(pyplot, "close", lambda figure: None)
    array = np.random.default_rng(0).normal(0, 100, (60, 50, 10)).astype(np.float32)
    panels = [figures.Panel("after", array), figures.Panel("difference", array, True)]

    figures._draw(panels, Grid(array.shape, np.diag([3.0, 3.0, 3.0, 1.0])), (-160, 240), "HU", tmp_path / "p.png", {})

    monkeypatch.undo()
    axes = [axis for axis in pyplot.gcf().axes if axis.images]
    boxes = [axis.get_window_extent() for axis in axes]
    widths = [float(np.ptp(axis.get_xlim())) / box.width for axis, box in zip(axes, boxes, strict=True)]
    heights = [float(np.ptp(axis.get_ylim())) / box.height for axis, box in zip(axes, boxes, strict=True)]
    pyplot.close(pyplot.gcf())
    assert len(axes) == 6
    assert np.allclose([*widths, *heights], widths[0], rtol=0.01)


@pytest.mark.parametrize("largest", [4e-7, 0.9, 180.0, 177000.0])
def test_the_numbers_of_the_scale_are_whole_and_do_not_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: float
):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(pyplot, "close", lambda figure: None)
    array = np.linspace(-largest, largest, 16**3, dtype=np.float32).reshape(16, 16, 16)
    panels = [figures.Panel("before", array), figures.Panel("after", array), figures.Panel("difference", array, True)]

    figures._draw(panels, Grid(array.shape, np.eye(4)), (0, largest), "", tmp_path / "picture.png", {})

    monkeypatch.undo()
    scale = pyplot.gcf().axes[-1]
    low, high = scale.get_xlim()
    labels = [text for text in scale.get_xticklabels() if low <= text.get_position()[0] <= high]
    boxes = [label.get_window_extent() for label in labels]
    pyplot.close(pyplot.gcf())
    assert [float(label.get_text().replace("\N{MINUS SIGN}", "-")) for label in labels] == pytest.approx(
        [x.get_position()[0] for x in labels]
    )
    assert len(labels) >= 3
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


@pytest.mark.parametrize(
    ("unit", "said"),
    [("HU", "difference in HU; gray window -160 to 240 HU"), ("", "difference in signal; gray window -160 to 240")],
)
def test_the_scale_has_the_unit_of_ct_and_none_where_there_is_none(tmp_path: Path, unit: str, said: str):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    array = np.arange(8 * 8 * 8, dtype=np.float32).reshape(8, 8, 8)
    panels = [figures.Panel("after", array), figures.Panel("difference", array, True)]
    with pyplot.rc_context({"svg.fonttype": "none"}):
        figures._draw(panels, Grid(array.shape, np.eye(4)), (-160, 240), unit, tmp_path / "picture.svg", {})
    assert f">{said}<" in (tmp_path / "picture.svg").read_text(encoding="utf-8")
