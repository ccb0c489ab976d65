"""Table, report and thumbnails of a cohort, and the studies that stand out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cohort_runs import table_of
from medical_super_resolution.cohort.outliers import outlier_distances
from medical_super_resolution.cohort.page import write_page
from medical_super_resolution.cohort.preview import picture
from medical_super_resolution.cohort.table import Row, read_table, write_parquet, write_table
from medical_super_resolution.volumes.volume import Volume


def test_the_line_of_a_study_states_its_result_or_why_there_is_none():
    made = {"size": "4x4x8", "spacing_mm": "1x1x1", "warnings": "noisy"}
    assert a_row(1, **made).line == "done      s1: 4x4x8 at 1x1x1 mm, 0 s"
    assert replace(a_row(1, **made), status="kept").line == "kept      s1: 4x4x8 at 1x1x1 mm"
    assert replace(a_row(1), status="failed", error="no volume").line == "failed    s1: no volume"


def a_row(number: int, **facts: str) -> Row:
    standard = {"modality": "ct", "slice_width_mm": "4", "slice_thickness_mm": "5", "consistency_error": "2"}
    return Row(input=f"s{number}", output=f"s{number}", status="done", **(standard | facts))


def test_the_line_of_a_study_shows_what_a_name_would_do_to_a_terminal():
    row = Row(input="\x1b[2Ja\nb.nii", output="o", status="failed", error="M\udcfcller is damaged")
    assert row.line == r"failed    \x1b[2Ja b.nii: M\udcfcller is damaged"


def test_what_is_unlike_the_others_of_its_modality_stands_out():
    rows = [a_row(number, consistency_error=f"{2 + 0.1 * (number % 3)}") for number in range(12)]
    rows += [a_row(12, consistency_error="9"), a_row(13, slice_width_mm="9"), a_row(14, modality="mr")]
    distances = outlier_distances(rows)
    assert distances["s12"]["consistency error"] > 10
    assert distances["s13"]["slice profile"] > 10
    assert max(abs(value) for number in range(12) for value in distances[f"s{number}"].values()) < 2
    assert "s14" not in distances


def test_series_of_one_folder_are_told_apart(tmp_path: Path):
    rows = [replace(a_row(number), input="patient", output=f"patient/{number}_CT") for number in range(9)]
    rows.append(replace(rows[0], output="patient/9_CT", consistency_error="50"))
    distances = outlier_distances(rows)
    assert distances["patient/9_CT"]["consistency error"] > 10
    assert distances["patient/0_CT"]["consistency error"] == 0
    write_page(rows, tmp_path)
    page = (tmp_path / "medsr.html").read_text()
    assert page.index("<td>patient/9_CT</td>") < page.index("is above the others") < page.index("<td>patient/0_CT</td>")
    assert rows[0].line == "done      patient/0_CT"
    assert replace(rows[0], input="sub-1/t1.mgz", output="sub-1/t1.nii.gz").name == "sub-1/t1.mgz"


def test_a_name_in_the_encoding_of_an_old_archive_is_in_the_report(tmp_path: Path):
    write_page([Row(input="M\udcfcller.nii", output="M\udcfcller.nii", status="done")], tmp_path)
    assert r"M\udcfcller.nii" in (tmp_path / "medsr.html").read_text(encoding="utf-8")


def test_a_table_is_read_as_it_was_written_and_one_that_was_changed_is_none(tmp_path: Path):
    rows = [
        Row(input="a", output="a/1", status="done", size="4x5x6", seconds=1.5, warnings='one, "two"'),
        Row(input="a", output="a/2", status="failed", error="why"),
    ]
    table = tmp_path / "medsr.csv"
    write_table(rows, table)
    assert read_table(table) == {row.output: row for row in rows}
    for changed in (
        b"input,output,status\na,x,done\n",
        b"name,seconds\na,1\n",
        b"output,seconds\nx,soon\n",
        b"\xff\xfe",
    ):
        table.write_bytes(changed)
        assert read_table(table) == {}
    assert read_table(tmp_path / "none.csv") == {}


def test_the_table_in_parquet_holds_what_the_csv_holds(tmp_path: Path):
    pytest.importorskip("pyarrow", reason="pyarrow, 170 MB, is optional and in no extra")
    from pyarrow import parquet

    rows = [a_row(number, seconds=1.5 + number, error='ä, "b"' if number else "") for number in range(3)]
    write_table(rows, tmp_path / "medsr.csv")
    write_parquet(rows, tmp_path / "medsr.parquet")
    found = parquet.read_table(tmp_path / "medsr.parquet").to_pylist()
    assert [{name: str(value) for name, value in row.items()} for row in found] == table_of(tmp_path)
    assert [row["seconds"] for row in found] == [1.5, 2.5, 3.5]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["medsr.csv", "medsr.parquet"]


def test_the_report_names_failures_then_outliers_and_text_of_files_is_no_markup(tmp_path: Path):
    rows = [a_row(number) for number in range(9)] + [a_row(9, consistency_error="50"), a_row(10, error="<b>bad</b>")]
    write_page(rows, tmp_path)
    page = (tmp_path / "medsr.html").read_text()
    assert page.index("<td>s10</td>") < page.index("<td>s9</td>") < page.index("<td>s0</td>")
    assert "&lt;b&gt;bad" in page
    assert "consistency error is above the others" in page


def test_the_report_states_units_and_has_a_column_for_the_uncertainty_where_there_is_one(tmp_path: Path):
    write_page([a_row(1), a_row(2, modality="mr")], tmp_path)
    page = (tmp_path / "medsr.html").read_text()
    assert ['<td class="number">2 HU</td>' in page, '<td class="number">2</td>' in page] == [True, True]
    assert "Uncertainty" not in page
    write_page([a_row(1, uncertainty="3.5"), a_row(2)], tmp_path)
    page = (tmp_path / "medsr.html").read_text()
    assert '<th scope="col">Uncertainty</th>' in page
    assert ['<td class="number">3.5 HU</td>' in page, '<td class="number"></td>' in page] == [True, True]


def test_in_a_narrow_window_the_table_scrolls_and_not_the_page(tmp_path: Path):
    write_page([a_row(1)], tmp_path)
    page = (tmp_path / "medsr.html").read_text()
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "@media screen { .wide { overflow-x: auto } }" in page
    assert page.index('<div class="wide" tabindex="0"') < page.index("<table>")


def test_a_screen_reader_finds_the_content_of_the_report(tmp_path: Path):
    write_page([a_row(1)], tmp_path)
    page = (tmp_path / "medsr.html").read_text()
    assert page.index("<main>") < page.index("<h1>") < page.index("</table>") < page.index("</main>")


def test_a_thumbnail_shows_the_cut_across_the_slices_before_and_after(a_volume: Volume):
    fine = Volume(np.repeat(a_volume.array, 2, axis=0), a_volume.grid.refined("k", 2))
    gray = picture(a_volume, fine, across=0)
    assert gray.dtype == np.uint8
    rows, columns = gray.shape
    assert rows / (columns / 2) == pytest.approx(27 / 16, rel=0.02)  # 9 slices of 3 mm, 20 columns of 0.8 mm
    np.testing.assert_array_equal(gray[:, : columns // 2], gray[:, columns // 2 :])


def test_a_printed_report_shows_why_a_study_failed(tmp_path: Path):
    """The last column of a page of A4 was cut where it held a path, which breaks at no space."""
    write_page([replace(a_row(1), status="failed", error="/scans/" + "deep/" * 40 + "s1.nii cannot be read")], tmp_path)
    style = (tmp_path / "medsr.html").read_text(encoding="utf-8").partition("</style>")[0]
    assert "td:last-child { overflow-wrap: anywhere" in style
    assert "@media print { body { font-size: 10px" in style
