"""Assemble the demonstration page: its own files, those it shares with the viewer, the network, and onnxruntime-web.

``python docs/assemble_demo.py build/demo``; see ``make demo-page``. The runtime comes from npm, by name and version.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import torch
from torch import Tensor

from medical_super_resolution.models.export.program import ThroughPlaneProgram, program_of
from medical_super_resolution.models.weight_interpolation import load_model
from medical_super_resolution.system.temp_dirs import work_folder

ROOT = Path(__file__).parents[1]
OWN = ROOT / "docs" / "demo"
SHARED = ROOT / "MedicalSuperResolution" / "medical_super_resolution" / "viewer" / "page"
SHARED_NAMES = ("controls.js", "images.js", "viewer.css", "views.js")
RUNTIME = "onnxruntime-web@1.30.0"
RUNTIME_SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
PROGRAMS = ("ort.wasm.bundle.min.mjs", "ort.jspi.bundle.min.mjs")
BINARIES = ("ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.jspi.wasm")  # without and with WebGPU
NETWORK = "general.onnx"
LARGEST = 10_000_000  # bytes of the whole page


class PageNetwork(ThroughPlaneProgram):
    """The features of slices and the kernels of fine slices; what they come to is computed by the page.

    Weighing features by kernels inside the network would take a copy of all features for each fine slice.
    """

    def forward(self, lr: Tensor, phases: Tensor, factor: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """See `ThroughPlaneProgram.features` and `PhaseKernel`: (1, C, K, J, I) and (M, 2, C)."""
        return self.features(lr, width), self.generator.kernel(phases, factor, width)


def write_network(path: Path) -> None:
    """Write the network of the model `general` for the page, as ONNX."""
    model = load_model("general", 0.0)
    _, (lr, positions, factor, width) = program_of(model)
    sizes = {name: torch.export.Dim(name, min=3, max=65_536) for name in ("K", "J", "I", "M")}
    made = torch.onnx.export(
        PageNetwork(model.generator).eval(),
        (lr, positions - torch.floor(positions), factor, width),
        dynamo=True,
        dynamic_shapes=({2: sizes["K"], 3: sizes["J"], 4: sizes["I"]}, {0: sizes["M"]}, None, None),
        input_names=["lr", "phases", "factor", "width"],
        output_names=["features", "kernels"],
        verbose=False,
    )
    proto = made.model_proto
    for node in proto.graph.node:  # where in the sources each comes from
        del node.metadata_props[:]
    path.write_bytes(proto.SerializeToString())


def write_runtime(folder: Path) -> None:
    """Fetch the runtime and keep what the page needs; WebAssembly is packed, and the page unpacks it."""
    with work_folder(folder) as work:
        subprocess.run(["npm", "pack", RUNTIME, "--silent"], cwd=work, check=True, stdout=subprocess.DEVNULL)
        (packed,) = work.glob("*.tgz")
        digest = hashlib.sha256(packed.read_bytes()).hexdigest()
        if digest != RUNTIME_SHA256:
            raise SystemExit(f"{RUNTIME} is not the package that was tested: its SHA-256 is {digest}")
        with tarfile.open(packed) as content:
            for name in (*PROGRAMS, *BINARIES):
                member = content.extractfile(f"package/dist/{name}")
                assert member is not None
                data = member.read()
                if name in BINARIES:
                    name, data = f"{name}.gz", gzip.compress(data, mtime=0)
                (folder / name).write_bytes(data)


def assemble(folder: Path) -> int:
    """Write the page into a folder; return its size in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (*OWN.iterdir(), *(SHARED / name for name in SHARED_NAMES)):
        shutil.copyfile(path, folder / path.name)
    if not (folder / f"{BINARIES[0]}.gz").is_file():
        write_runtime(folder)
    write_network(folder / NETWORK)
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


if __name__ == "__main__":
    size = assemble(Path(sys.argv[1]))
    if size > LARGEST:
        raise SystemExit(f"the page is {size / 1e6:.1f} MB; it may have {LARGEST / 1e6:.0f}")
    print(f"{sys.argv[1]}/index.html, {size / 1e6:.1f} MB; serve the folder: python -m http.server -d {sys.argv[1]}")
