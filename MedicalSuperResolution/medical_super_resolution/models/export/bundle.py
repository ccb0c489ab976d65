"""A model as a bundle of MONAI: weights, metadata, and the configuration of an inference run by our engine."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from ...system.temp_dirs import put_in_place, work_folder
from ..file import Model
from ..store import detail_files_of
from .program import program_of

NOTICE = "For research. Not for diagnosis."  # of exported models
_SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
_PACKAGE = "medical_super_resolution"
_VERSION = "0.1.0"  # of the layout of this bundle
_NEEDED = {"nibabel": "5.2.0", "pytorch-ignite": "0.4.11"}  # by MONAI, to read volumes and to run
_MONAI, _NUMPY = "1.3.0", "1.26.0"  # the oldest that will do, where they are not installed


def write_bundle(model: Model, folder: Path, readme: str) -> list[Path]:
    """Write a bundle: ``configs``, ``models`` and ``docs`` in a new folder.

    Parameters
    ----------
    model : Model
        A through-plane model.
    folder : Path
        Does not exist yet.
    readme : str
        The card in Markdown.

    Returns
    -------
    list of Path
        The files of the bundle.

    Raises
    ------
    ModelError
        See `program.program_of`.
    """
    program_of(model)  # refuses what has no forward pass of tensors alone
    with work_folder(folder.parent) as work:
        made = work / folder.name
        for name in ("configs", "models", "docs"):
            (made / name).mkdir(parents=True)
        (made / "configs/metadata.json").write_text(json.dumps(metadata(model), indent=4), encoding="utf-8")
        (made / "configs/inference.json").write_text(json.dumps(inference(model), indent=4), encoding="utf-8")
        (made / "docs/README.md").write_text(readme, encoding="utf-8")
        weights = BytesIO()  # torch would report a full disk as an internal error
        torch.save(model.generator.state_dict(), weights)
        (made / "models/model.pt").write_bytes(weights.getvalue())
        for path in (model.path, *detail_files_of(model.path)):
            if path.is_file():
                shutil.copy(path, made / "models" / path.name)
        put_in_place(made, folder)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def metadata(model: Model) -> dict[str, Any]:
    """The contents of ``metadata.json``, by MONAI's schema."""
    summary = f"{model.card.get('summary', model.name)}. {NOTICE}"
    return {
        "schema": _SCHEMA,
        "version": _VERSION,
        "changelog": {_VERSION: "as exported by medsr export-model"},
        "monai_version": _installed("monai", _MONAI),
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": _installed("numpy", _NUMPY),
        "required_packages_version": {
            "medical-super-resolution": _installed("medical-super-resolution", "0.1.0"),
            **{name: _installed(name, oldest) for name, oldest in _NEEDED.items()},
        },
        "name": f"MedicalSuperResolution {model.name}",
        "task": "Super-resolution of CT and MR volumes across the slices",
        "description": summary,
        "authors": "MedicalSuperResolution contributors",
        "copyright": f"MedicalSuperResolution contributors; {model.card.get('license', 'license unknown')}",
        "data_type": "nibabel",
        "intended_use": "Research. Not for diagnosis.",
        "network_data_format": {
            "inputs": {"image": _tensor("thick slices, normalized", ["n + 1", "*", "*"])},
            "outputs": {"pred": _tensor("fine slices, before data consistency", ["2 * (n + 1)", "*", "*"])},
            "post_processed_outputs": {"pred": _tensor("the refined volume, in the units of the input", ["*"] * 3)},
        },
    }


def _tensor(meaning: str, shape: list[str]) -> dict[str, Any]:
    return {
        "type": "image",
        "format": "magnitude",
        "modality": "CT, MR",
        "num_channels": 1,
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {"0": meaning},
    }


def _installed(name: str, otherwise: str) -> str:
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return otherwise


_LOADING = [{"_target_": "LoadImaged", "keys": "image"}, {"_target_": "EnsureChannelFirstd", "keys": "image"}]
_SAVING = {
    "_target_": "SaveImaged",
    "keys": "pred",
    "output_dir": "@output_dir",
    "output_postfix": "fine",
    "separate_folder": False,
    "resample": False,
}


def inference(model: Model) -> dict[str, Any]:
    """The contents of ``inference.json``: MONAI reads and writes the volumes, this package refines them."""
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/input'",
        "output_dir": "$@bundle_root + '/output'",
        "factor": None,
        "detail": 0.0,
        "datalist": "$sorted(glob.glob(os.path.join(@dataset_dir, '*.nii*')))",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "network_def": {
            "_target_": f"{_PACKAGE}.api.bundle.BundleNetwork",
            "path": f"$@bundle_root + '/models/{model.path.name}'",
            "detail": "@detail",
        },
        "preprocessing": {"_target_": "Compose", "transforms": _LOADING},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': path} for path in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": {"_target_": f"{_PACKAGE}.api.bundle.EnhanceInferer", "factor": "@factor"},
        "postprocessing": {"_target_": "Compose", "transforms": [_SAVING]},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "$@network_def.to(@device)",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "run": ["$@evaluator.run()"],
    }
