"""The numerics of the demonstration page are those of the package; they run in Node.js, without a browser."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.inference.planning import plan
from medical_super_resolution.inference.refiners.padding import fill_along_sequence
from medical_super_resolution.physics.acquisition import SliceProfile, acquisition_matrix, consistency_matrix
from medical_super_resolution.physics.projection import AxisModel
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import AXES_IJK, Grid
from medical_super_resolution.volumes.intensity import guess_modality, intensity_range, padding_values
from medical_super_resolution.volumes.io import files

PAGE = Path(__file__).parents[3] / "docs" / "demo"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js, which runs the scripts of the page, is not installed")

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a script of the page's modules, with values for its name ``given``; gives what it returns."""
    for path in PAGE.glob("*.js"):
        shutil.copyfile(path, tmp_path / path.name)
    (tmp_path / "package.json").write_text('{"type": "module"}')

    def run(script: str, **given: object) -> Any:
        lines = [
            'import * as physics from "./physics.js"; import * as grids from "./grid.js";',
            'import * as intensity from "./intensity.js"; import * as nifti from "./nifti.js";',
            'import { Comparison } from "./comparison.js"; import { fillPadding, refineTile } from "./tile.js";',
            'import { readFileSync, writeFileSync } from "node:fs";',
            "class File extends Blob { constructor(parts, name) { super(parts); this.name = name; } }",
            'const given = JSON.parse(readFileSync(0, "utf8"));',
            f"const made = await (async () => {{ {script} }})();",
            "const plain = (_, value) => (ArrayBuffer.isView(value) || value instanceof Set ? [...value] : value);",
            "process.stdout.write(JSON.stringify(made, plain));",
        ]
        (tmp_path / "script.js").write_text("\n".join(lines))
        done = subprocess.run(
            [str(NODE), "script.js"], cwd=tmp_path, input=json.dumps(given), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize(
    ("count", "fine_count", "factor"), [(9, 36, 4.0), (7, 18, 2.5), (60, 61, 1.01)], ids=["whole", "broken", "raised"]
)
def test_acquisition_and_consistency_are_those_of_the_package(run: Run, count: int, fine_count: int, factor: float):
    script = """const acquisition = physics.acquisitionMatrix(...given.sizes, 1);
        return [acquisition, physics.consistencyMatrix(acquisition)];"""
    acquisition, back = map(np.array, run(script, sizes=[count, fine_count, factor]))
    expected = acquisition_matrix(count, fine_count, factor)
    np.testing.assert_allclose(acquisition, expected, atol=1e-12)
    np.testing.assert_allclose(back, consistency_matrix(expected), atol=1e-9)


def test_many_slices_are_ready_before_the_eigenvalues_of_half_as_many_are_known(run: Run):
    script = """const seconds = (work) => {
            const before = process.cpuUsage();
            work();
            return process.cpuUsage(before).user;
        };
        const few = physics.acquisitionMatrix(200, 400, 2, 1);
        const gram = few.map((row) => few.map((other) => row.reduce((sum, value, m) => sum + value * other[m], 0)));
        const acquisition = physics.acquisitionMatrix(400, 800, 2, 1);
        return [seconds(() => physics.consistencyMatrix(acquisition)), seconds(() => physics.eigen(gram))];"""
    taken, eigenvalues = run(script)
    assert taken < eigenvalues


@pytest.mark.parametrize(
    ("spacing", "factor"),
    [((1.0, 1.0, 4.0), None), ((0.7, 0.7, 2.5), None), ((5.0, 0.9, 0.9), None), ((0.5, 0.5, 6.0), None)]
    + [((1.0, 3.0, 1.0), 2.0), ((1.25, 0.98, 5.0), None), ((5.0, 0.9766, 2.5), None), ((0.7, 0.98, 1.25), None)],
)  # fmt: skip
def test_a_volume_is_planned_as_by_the_package(run: Run, spacing: tuple[float, ...], factor: float | None):
    turned = np.array([[0, -1, 0, 5], [0, 0, 1, -7], [1, 0, 0, 2], [0, 0, 0, 1.0]])
    grid = Grid((7, 9, 11), turned @ np.diag([*spacing, 1.0]))
    (expected,) = plan(grid, EnhanceSettings(factor=factor, axes="through-plane")).passes
    given = {"counts": [11, 9, 7], "matrix": grid.ijk_to_ras[:3].tolist()}
    made = run("return grids.planned(given.grid, given.factor);", grid=given, factor=factor or 0)
    assert (AXES_IJK[made["axis"]], made["factor"]) == (expected.axis, expected.factor)
    assert tuple(reversed(made["grid"]["counts"])) == expected.target.shape_kji
    np.testing.assert_allclose(made["grid"]["matrix"], expected.target.ijk_to_ras[:3], atol=1e-12)


def test_an_isotropic_volume_is_refused_by_both(run: Run):
    grid = Grid((7, 9, 11), np.eye(4))
    with pytest.raises(SettingsError, match="nothing to refine"):
        plan(grid, EnhanceSettings())
    script = "try { grids.planned(given.grid, 0); } catch (problem) { return problem.message; }"
    said = run(script, grid={"counts": [11, 9, 7], "matrix": np.eye(4)[:3].tolist()})
    assert said == "the volume, 11x9x7 at 1.00x1.00x1.00 mm, is isotropic already; choose a factor"


def test_more_slices_than_the_header_of_a_result_holds_are_refused(run: Run):
    script = "try { return grids.planned(given, 4).grid.counts[2]; } catch (problem) { return problem.message; }"
    grid = {"matrix": np.diag([1.0, 1.0, 4.0, 1.0])[:3].tolist()}
    assert run(script, counts=[4, 4, 8191], **grid) == 32764
    said = run(script, counts=[4, 4, 8192], **grid)
    assert said == "the result would have 32768 slices, and a NIfTI-1 file holds 32767; crop the volume first"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", ["sform", "qform", "none"])
def test_a_file_is_read_as_by_the_package(run: Run, order: str, form: str, tmp_path: Path):
    values = np.random.default_rng(0).integers(-900, 1200, (5, 4, 3)).astype(f"{order}i2")
    matrix = np.array([[0, -1.2, 0, 5], [0, 0, 4, -7], [0.9, 0, 0, 2], [0, 0, 0, 1.0]])
    header = nibabel.Nifti1Header(endianness=order)
    image = nibabel.Nifti1Image(values, matrix, header)
    image.header.set_slope_inter(0.5, -3)
    image.set_sform(matrix, code=2 if form == "sform" else 0)
    image.set_qform(matrix, code=0 if form == "none" else 1)
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(image.to_bytes()))
    made = run('return nifti.read(new File([readFileSync(given.path)], "scan.nii.gz"));', path=str(path))
    expected = files.read(path)
    assert tuple(reversed(made["counts"])) == expected.array.shape
    np.testing.assert_allclose(np.reshape(made["values"], expected.array.shape), expected.array, rtol=1e-6)
    np.testing.assert_allclose(made["matrix"], expected.grid.ijk_to_ras[:3], atol=1e-5)


@pytest.mark.parametrize("kind", ["int16", "int32", "float32", ">f4", "float64"])
def test_scaled_values_are_of_the_type_that_the_package_gives_them(run: Run, kind: str, tmp_path: Path):
    values = np.arange(24).reshape(2, 3, 4) + (2**24 + 1 if kind in ("int32", "float64") else 0)
    header = nibabel.Nifti1Header(endianness=">" if kind.startswith(">") else "<")
    header.set_data_dtype(kind)
    image = nibabel.Nifti1Image(values.astype(kind), np.eye(4), header)
    image.header.set_slope_inter(0.25, 3)
    (tmp_path / "scan.nii").write_bytes(image.to_bytes())
    script = """const { values } = await nifti.read(new File([readFileSync("scan.nii")], "scan.nii"));
        return [values.constructor.name, values];"""
    name, made = run(script)
    expected = files.read(tmp_path / "scan.nii").array
    assert name == f"{expected.dtype.name.capitalize()}Array"
    assert made == expected.ravel().tolist()


def test_values_are_scaled_in_place_and_not_listed_first(run: Run, tmp_path: Path):
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    (tmp_path / "scan.nii").write_bytes(image.to_bytes())
    script = """const list = () => { throw new Error("a list of 134 million values ends the page"); };
        Int16Array.prototype[Symbol.iterator] = list;
        const volume = await nifti.read(new File([readFileSync("scan.nii")], "scan.nii"));
        return Array.from({ length: 24 }, (_, n) => volume.values[n]).sort((one, other) => one - other);"""
    assert run(script) == [0.5 * value - 3 for value in range(24)]


@pytest.fixture
def said(run: Run, tmp_path: Path) -> Callable[[bytes], str]:
    """What the page says to a file."""

    def said(content: bytes) -> str:
        (tmp_path / "scan.nii").write_bytes(content)
        script = """const file = new File([readFileSync("scan.nii")], "scan.nii");
            return nifti.read(file).then(({ counts }) => counts.join("x"), (problem) => problem.message);"""
        return run(script)

    return said


def a_damaged_file(at: int, *values: float, codes: tuple[int, int] = (1, 1)) -> bytes:
    """A volume of 4x3x2 whose header has real numbers at a byte; ``codes`` of the qform and the sform."""
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(4, 3, 2), np.eye(4))
    image.set_qform(np.diag([1.0, 1.0, 4.0, 1.0]), code=codes[0])
    image.set_sform(np.diag([1.0, 1.0, 4.0, 1.0]), code=codes[1])
    content = bytearray(image.to_bytes())
    struct.pack_into(f"<{len(values)}f", content, at, *values)
    return bytes(content)


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ((9, 2, 3, 4), "is damaged: it has 9 dimensions; get it again"),
        ((0, 2, 3, 4), "is damaged: it has 0 dimensions; get it again"),
        ((4, 2, 3, 4, 0), "is no volume: its size is 2x3x4x0"),
        ((2, 6, 4), "is no volume: its size is 6x4"),
        ((4, 2, 3, 4, 1), None),
    ],
)
def test_sizes_that_the_package_refuses_are_refused(said: Callable[[bytes], str], sizes, why, tmp_path: Path):
    content = bytearray(a_damaged_file(108, 352.0))
    struct.pack_into(f"<{len(sizes)}h", content, 40, *sizes)
    assert said(bytes(content)) == (f"the file scan.nii {why}" if why else "2x3x4")
    if why:
        with pytest.raises(VolumeError):
            files.read(tmp_path / "scan.nii")


@pytest.mark.parametrize("offset", [0, 348, 352.5, 360])
def test_voxels_begin_where_they_begin_for_the_package(run: Run, offset: float, tmp_path: Path):
    (tmp_path / "scan.nii").write_bytes(a_damaged_file(108, offset) + bytes(16))
    made = run('return (await nifti.read(new File([readFileSync("scan.nii")], "scan.nii"))).values;')
    assert made == files.read(tmp_path / "scan.nii").array.ravel().tolist()


def test_voxels_that_begin_before_the_file_are_refused(said: Callable[[bytes], str]):
    assert said(a_damaged_file(108, -5.0)) == ("the file scan.nii is damaged: its voxels begin nowhere; get it again")


def test_a_file_whose_scaling_is_damaged_is_refused_as_by_the_package(said: Callable[[bytes], str], tmp_path: Path):
    content = a_damaged_file(112, 2.0, np.nan)
    assert said(content) == ("the file scan.nii is damaged: it does not say how its values are scaled; get it again")
    with pytest.raises(VolumeError, match="the scaling of its values is damaged"):
        files.read(tmp_path / "scan.nii")


def test_a_file_whose_only_quaternion_is_no_rotation_is_refused(said: Callable[[bytes], str], tmp_path: Path):
    content = a_damaged_file(256, 0.9, 0.9, 0.0, codes=(1, 0))
    assert said(content) == ("the file scan.nii does not say where its voxels lie: its spacing or direction is damaged")
    with pytest.raises(VolumeError, match="its position in space is damaged"):
        files.read(tmp_path / "scan.nii")
    assert said(a_damaged_file(256, 0.6, 0.8, 1e-4, codes=(1, 0))) == "4x3x2"  # by rounding


def test_half_a_turn_has_no_rest_that_rounding_left_as_in_the_package(run: Run, tmp_path: Path):
    (tmp_path / "scan.nii").write_bytes(a_damaged_file(256, 1 - 2**-24, 0.0, 0.0, codes=(1, 0)))
    script = 'return (await nifti.read(new File([readFileSync("scan.nii")], "scan.nii"))).matrix;'
    expected = files.read(tmp_path / "scan.nii").grid.ijk_to_ras[:3]
    np.testing.assert_allclose(run(script), expected, atol=1e-9)


def test_a_quaternion_that_is_no_rotation_is_left_out_of_the_result(run: Run, tmp_path: Path):
    (tmp_path / "scan.nii").write_bytes(a_damaged_file(256, 0.9, 0.9, 0.0))
    run(
        """const volume = await nifti.read(new File([readFileSync("scan.nii")], "scan.nii"));
        const blob = await nifti.write(volume, new Int16Array(48), [4, 3, 4], 2, 2);
        writeFileSync("fine.nii.gz", new Uint8Array(await blob.arrayBuffer()));
        return 0;"""
    )
    header = nibabel.load(tmp_path / "fine.nii.gz").header
    assert (header["qform_code"], header["sform_code"]) == (0, 1)
    np.testing.assert_allclose(header["pixdim"][1:4], [1, 1, 2])


@pytest.mark.parametrize("damage", [(np.nan,), (1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0)], ids=["NaN", "flat"])
def test_beside_a_damaged_sform_the_qform_places_the_volume_as_in_the_package(run: Run, tmp_path: Path, damage):
    (tmp_path / "scan.nii").write_bytes(a_damaged_file(280, *damage))
    matrix, dropped = run(
        """const volume = await nifti.read(new File([readFileSync("scan.nii")], "scan.nii"));
        const blob = await nifti.write(volume, new Int16Array(48), [4, 3, 4], 2, 2);
        writeFileSync("fine.nii.gz", new Uint8Array(await blob.arrayBuffer()));
        return [volume.matrix, volume.forms.dropped];"""
    )
    np.testing.assert_allclose(matrix, files.read(tmp_path / "scan.nii").grid.ijk_to_ras[:3])
    header = nibabel.load(tmp_path / "fine.nii.gz").header
    assert (dropped, header["qform_code"], header["sform_code"]) == (["sform"], 1, 0)
    np.testing.assert_allclose(header.get_qform()[:3, :3], np.diag([1, 1, 2]))


def test_a_result_is_written_with_finer_slices_in_the_same_place(run: Run, a_volume: Any, tmp_path: Path):
    files.write(a_volume, tmp_path / "scan.nii")
    script = """const volume = await nifti.read(new File([readFileSync("scan.nii")], "scan.nii"));
        const { axis, factor, grid } = grids.planned(volume, 2);
        const values = Int16Array.from({ length: grid.counts.reduce((one, other) => one * other) }, (_, n) => n % 999);
        const blob = await nifti.write(volume, values, grid.counts, axis, factor);
        writeFileSync("fine.nii.gz", new Uint8Array(await blob.arrayBuffer()));
        return values;"""
    values = run(script)
    fine = files.read(tmp_path / "fine.nii.gz")
    expected = a_volume.grid.refined(a_volume.grid.through_plane_axis, 2)
    np.testing.assert_array_equal(fine.array.ravel(), values)
    assert fine.grid.shape_kji == expected.shape_kji
    np.testing.assert_allclose(fine.grid.ijk_to_ras, expected.ijk_to_ras, atol=1e-4)


@pytest.mark.parametrize(("offset", "is_padded"), [(0, False), (-1000, False), (-1000, True), (0, True)])
def test_intensities_mean_what_they_mean_to_the_package(run: Run, offset: int, is_padded: bool):
    values = np.random.default_rng(0).gamma(2, 150, (6, 30, 30)).astype(np.int16) + np.int16(offset)
    if is_padded:
        values[:, :5] = -2000
    made = run('return intensity.meaningOf(Int16Array.from(given.values), "auto");', values=values.ravel().tolist())
    modality, padding = guess_modality(values), padding_values(values)
    expected = intensity_range(values, modality, padding=padding)
    assert modality == made["modality"] == ("ct" if offset else "mr")
    assert made["padding"] == list(padding) == [-2000] * is_padded
    np.testing.assert_allclose([made["low"], made["high"]], [expected.low, expected.high], rtol=1e-5)


@pytest.mark.parametrize(("highest", "expected"), [(4096, "mr"), (2000, "ct")])
def test_values_far_below_air_are_those_of_a_phase_image_as_in_the_package(run: Run, highest: int, expected: str):
    values = np.random.default_rng(0).integers(-4096, highest, 4000).tolist()
    made = run('return intensity.meaningOf(Int16Array.from(given.values), "auto");', values=values)
    assert made["modality"] == guess_modality(np.reshape(values, (10, 20, 20))) == expected


def test_padding_of_a_float64_volume_is_found_where_float32_does_not_hold_it(run: Run):
    values = np.random.default_rng(0).gamma(2, 150, 4000) - 1000
    values[:900] = -2000.1
    made = run('return intensity.meaningOf(Float64Array.from(given.values), "auto");', values=values.tolist())
    assert made["padding"] == list(padding_values(values)) == [-2000.1]


def test_the_quaternion_of_a_file_keeps_its_own_spacing(run: Run, tmp_path: Path):
    matrix = np.diag([1.0, 1.0, 4.0, 1.0])
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), matrix)
    image.set_qform(matrix, code=1)
    image.set_sform(matrix @ np.diag([0.9, 1.1, 1.0, 1.0]), code=4)
    (tmp_path / "scan.nii").write_bytes(image.to_bytes())
    script = """const volume = await nifti.read(new File([readFileSync("scan.nii")], "scan.nii"));
        const blob = await nifti.write(volume, new Int16Array(120), [3, 4, 10], 2, 2);
        writeFileSync("fine.nii.gz", new Uint8Array(await blob.arrayBuffer()));"""
    run(script + " return 0;")
    header = nibabel.load(tmp_path / "fine.nii.gz").header
    np.testing.assert_allclose(header.get_qform(), [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 2, -1], [0, 0, 0, 1]])
    np.testing.assert_allclose(header.get_sform()[:3, :3], np.diag([0.9, 1.1, 2.0]), rtol=1e-6)


def test_a_part_that_fails_with_a_number_has_failed(run: Run):
    script = """const said = [];
        const fetch = () => Promise.reject(5);
        Object.assign(globalThis, { onmessage: null, postMessage: (what) => said.push(what), fetch });
        await import("./worker.js");
        await onmessage({ data: { action: "open", runtime: "wasm" } });
        return said;"""  # as the runtime fails where memory ends
    assert run(script) == [{"isDone": True, "error": "5"}]


@pytest.mark.parametrize(("side", "looked_at"), [(30, 10), (200, 67), (512, 47)])
def test_the_range_of_the_difference_is_that_of_few_slices(run: Run, side: int, looked_at: int):
    script = """let asked = 0;
        class Counted extends Comparison { pixels() { asked += 1; return Float32Array.of(-3); } }
        const matrix = (spacing) => [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, spacing, 0]];
        const after = { axis: 2, factor: 8, grid: { counts: [given.side, given.side, 800], matrix: matrix(1) } };
        const volume = { counts: [given.side, given.side, 100], matrix: matrix(8) };
        return [new Counted(volume, { window: [0, 1], modality: "mr" }, after).described.difference_limit, asked];"""
    assert run(script, side=side) == [3, looked_at]


def test_measured_slices_go_on_into_padding_as_in_the_package(run: Run):
    random = np.random.default_rng(0)
    slices, is_padding = random.random((24, 3, 4), np.float32), random.random((24, 3, 4)) < 0.7
    is_padding[4:, 0, 0] = True
    script = """const slices = Float32Array.from(given.slices);
        fillPadding(slices, given.isPadding, 24, 12);
        return slices;"""
    made = run(script, slices=slices.ravel().tolist(), isPadding=is_padding.ravel().tolist())
    np.testing.assert_allclose(np.reshape(made, slices.shape), fill_along_sequence(slices, is_padding), rtol=1e-6)


def test_without_a_residual_a_tile_is_the_projected_interpolation(run: Run):
    slices = np.random.default_rng(0).random((50, 6, 5), np.float32)
    axis = AxisModel(50, 125, 2.5, SliceProfile(), torch.device("cpu"))
    measured = torch.from_numpy(slices)
    expected = axis.projected(axis.interpolated(measured), measured)[:, 1:4, 2:5]
    script = """const nothing = (lr, [K, J, I], phases) =>
            ({ features: new Float32Array(2 * K * J * I), kernels: new Float32Array(4 * phases.length) });
        const slices = Float32Array.from(given.slices);
        const tile = { slices, shape: [50, 6, 5], inner: [[1, 4], [2, 5]], clamp: [-1, 4] };
        return refineTile(tile, physics.axisModel(50, 125, 2.5, 1), nothing, () => {});"""
    made = np.reshape(run(script, slices=slices.ravel().tolist()), expected.shape)
    np.testing.assert_allclose(made, expected, atol=1e-5)
