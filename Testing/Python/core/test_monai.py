"""MONAI: its tensors are taken, and a bundle is valid by its own checks and gives what the engine gives."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from medical_super_resolution import EnhanceSettings, enhance, load_model, read
from medical_super_resolution.api.image_kinds import to_volume
from medical_super_resolution.errors import ModelError
from medical_super_resolution.models.export.files import export_model
from medical_super_resolution.models.file import Model
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

TWICE = EnhanceSettings(factor=2, axes="k", slice_profile="gaussian", device="cpu")


@pytest.fixture(scope="module")
def monai() -> ModuleType:
    """MONAI. Its import takes seconds, so none of the other files of tests needs it."""
    return pytest.importorskip("monai", reason="MONAI is not installed")


@pytest.fixture(scope="module")
def bundles(monai: ModuleType) -> ModuleType:
    pytest.importorskip("ignite", reason="MONAI's evaluator needs pytorch-ignite")
    return pytest.importorskip("monai.bundle")


@pytest.mark.parametrize("space", ["RAS", "LPS"])
def test_a_meta_tensor_gives_one_with_its_channel_and_space(
    monai: ModuleType, a_volume: Volume, a_model: Model, space: str
):
    to_space = np.diag([-1.0, -1.0, 1.0, 1.0]) if space == "LPS" else np.eye(4)
    values = torch.from_numpy(np.ascontiguousarray(a_volume.array.transpose()))[None]
    affine = torch.from_numpy(to_space @ a_volume.grid.ijk_to_ras)
    image = monai.data.MetaTensor(values, affine=affine, meta={"space": space})

    expected = enhance(a_volume, a_model, TWICE)
    found = enhance(image, a_model, TWICE, modality="ct")

    np.testing.assert_allclose(to_volume(image).volume.grid.ijk_to_ras, a_volume.grid.ijk_to_ras)
    assert isinstance(found, monai.data.MetaTensor)
    assert found.meta["space"] == space
    np.testing.assert_array_equal(found.as_tensor().numpy()[0].transpose(), expected.array)
    np.testing.assert_allclose(found.affine.numpy(), to_space @ expected.grid.ijk_to_ras)


@pytest.fixture
def a_bundle(a_model: Model, tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    export_model(a_model, "monai-bundle", folder)
    return folder


def test_a_bundle_has_the_files_that_the_specification_asks_for(a_bundle: Path, a_model: Model):
    files = {str(path.relative_to(a_bundle)) for path in a_bundle.rglob("*") if path.is_file()}
    weights = f"models/{a_model.path.name}"
    assert {"configs/metadata.json", "configs/inference.json", "models/model.pt", "docs/README.md", weights} <= files


def test_the_metadata_is_valid_by_a_schema(bundles: ModuleType, a_bundle: Path, tmp_path: Path):
    pytest.importorskip("jsonschema", reason="MONAI checks metadata with jsonschema, which is not installed")
    texts = ["schema", "version", "monai_version", "pytorch_version", "numpy_version", "task", "description"]
    texts += ["authors", "copyright"]
    tensor = {"type": "object", "required": ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range"]}
    tensors = {"type": "object", "minProperties": 1, "additionalProperties": tensor}
    data_format = {"type": "object", "required": ["inputs", "outputs"], "additionalProperties": tensors}
    properties = {name: {"type": "string", "minLength": 1} for name in texts}
    properties |= {"network_data_format": data_format, "required_packages_version": {"type": "object"}}
    schema = tmp_path / "schema.json"  # where there is one already, MONAI loads none
    schema.write_text(json.dumps({"type": "object", "required": list(properties), "properties": properties}))
    bundles.verify_metadata(str(a_bundle / "configs/metadata.json"), filepath=str(schema))


def test_the_network_takes_and_gives_what_the_metadata_say(bundles: ModuleType, a_bundle: Path):
    bundles.verify_net_in_out(
        "network_def",
        meta_file=str(a_bundle / "configs/metadata.json"),
        config_file=str(a_bundle / "configs/inference.json"),
        device="cpu", n=3, any=9, bundle_root=str(a_bundle),
    )  # fmt: skip


def test_the_state_dictionary_of_a_bundle_fits_its_network(bundles: ModuleType, a_bundle: Path, a_model: Model):
    parser = bundles.ConfigParser()
    parser.read_config(str(a_bundle / "configs/inference.json"))
    parser["bundle_root"] = str(a_bundle)
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(a_bundle / "models/model.pt", weights_only=True))
    lr = torch.rand(1, 1, 4, 9, 9)
    positions = (torch.arange(8) + 0.5) / 2 - 0.5
    expected = a_model.generator(lr, positions.double(), 2.0)
    torch.testing.assert_close(network(lr), expected, rtol=0, atol=1e-5)


def test_an_inference_run_writes_what_the_engine_gives(
    bundles: ModuleType, a_bundle: Path, a_model: Model, a_volume: Volume
):
    (a_bundle / "input").mkdir()
    files.write(a_volume, a_bundle / "input/scan.nii.gz")
    workflow = bundles.ConfigWorkflow(
        config_file=str(a_bundle / "configs/inference.json"),
        meta_file=str(a_bundle / "configs/metadata.json"),
        logging_file=False, workflow_type="inference", bundle_root=str(a_bundle), factor=2,
        device="$torch.device('cpu')",
    )  # fmt: skip
    workflow.initialize()
    assert workflow.check_properties() == []
    workflow.run()
    made = read(a_bundle / "output/scan_fine.nii.gz")
    given = read(a_bundle / "input/scan.nii.gz")
    expected = enhance(Volume(given.array.astype(np.float32), given.grid), a_model, factor=2)
    np.testing.assert_allclose(made.grid.ijk_to_ras, expected.grid.ijk_to_ras, atol=1e-4)
    np.testing.assert_allclose(made.array, expected.array, rtol=0, atol=1e-3)


def test_a_bundle_refines_with_the_detail_that_is_asked_for(
    monai: ModuleType, bundles: ModuleType, a_volume: Volume, tmp_path: Path
):
    model = load_model("general")
    export_model(model, "monai-bundle", tmp_path / "bundle")
    parser = bundles.ConfigParser()
    parser.read_config(str(tmp_path / "bundle/configs/inference.json"))
    parser.update({"bundle_root": str(tmp_path / "bundle"), "detail": 0.5, "factor": 2.0})
    network, inferer = (parser.get_parsed_content(name) for name in ("network_def", "inferer"))
    image = monai.data.MetaTensor(
        torch.from_numpy(np.ascontiguousarray(a_volume.array.transpose()))[None],
        affine=torch.tensor(a_volume.grid.ijk_to_ras),
    )
    (found,) = inferer(monai.data.utils.list_data_collate([image]), network)
    expected = enhance(image, load_model("general", 0.5), factor=2.0, detail=0.5, device="cpu")
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    with pytest.raises(ModelError, match="random texture"):
        network(torch.rand(1, 1, 4, 9, 9))
