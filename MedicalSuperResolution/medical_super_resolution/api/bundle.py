"""Network and inferer of an exported MONAI bundle; the configuration of the bundle names both.

The inferer runs normalization, tiles, network and data consistency together, as MONAI's sliding windows do. To enhance
a dictionary of images outside a bundle, use `enhance.EnhanceTransform`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..models.export.program import program_of
from ..models.weight_interpolation import load
from .enhance import enhance


class BundleNetwork(nn.Module):
    """The generator of a model file, as a network of MONAI.

    Parameters
    ----------
    path : str
        The model file, such as ``models/general.safetensors`` of the bundle.
    detail : float
        Interpolation weight between the model (0) and its detail model (1).

    Raises
    ------
    ModelError
        The file is missing or damaged, is no through-plane model, or has no detail model for a ``detail``.
    SettingsError
        ``detail`` lies outside [0, 1].
    """

    def __init__(self, path: str, detail: float = 0.0) -> None:
        super().__init__()
        self.model = load(Path(path), detail)
        self.generator = self.model.generator
        if not detail:
            program_of(self.model)  # refuses what has no forward pass of tensors alone

    def forward(self, lr: Tensor, factor: float = 2.0, width: float = 1.0) -> Tensor:
        """Refine one sequence of normalized slices, before data consistency.

        Parameters
        ----------
        lr : Tensor of shape (1, 1, K, J, I), float32
            Thick slices along K, mostly in [0, 1]. K must be at least 2.
        factor : float
            Fine slices for each thick one.
        width : float
            Full width at half maximum of the slice profile, in slice distances.

        Returns
        -------
        Tensor of shape (1, 1, round(factor * K), J, I), float32

        Raises
        ------
        ModelError
            The detail has random texture, which only `EnhanceInferer` adds.
        """
        count = round(factor * lr.shape[2])
        positions = (torch.arange(count, dtype=torch.float32, device=lr.device) + 0.5) / factor - 0.5
        program, _ = program_of(self.model)
        return program(lr, positions, lr.new_tensor([factor]), lr.new_tensor([width]))

    def load_state_dict(self, state_dict: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as torch has it
        """Take the weights of ``models/model.pt``, which are those of the generator alone."""
        return self.generator.load_state_dict(state_dict, *arguments, **options)

    def state_dict(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as torch has it
        """The weights of the generator."""
        return self.generator.state_dict(*arguments, **options)


class EnhanceInferer:
    """Refines the volumes of a batch by the engine of this package.

    Parameters
    ----------
    **options
        Fields of `EnhanceSettings`, such as ``factor=4``. None stands for the default.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - EnhanceSettings checks them
        self.options = {name: value for name, value in options.items() if value is not None}

    def __call__(self, inputs: Any, network: BundleNetwork, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - of MONAI
        """Refine a batch.

        Parameters
        ----------
        inputs : MetaTensor of shape (N, 1, I, J, K)
            Volumes in the units of the scanner, with their affine matrices.
        network : BundleNetwork
            The network of the bundle.

        Returns
        -------
        MetaTensor of shape (N, 1, I, J, K)
            The refined volumes, with their affine matrices.
        """
        from monai.data.utils import decollate_batch, list_data_collate

        options = {"device": inputs.device.type, "detail": network.model.detail, **self.options}
        return list_data_collate([enhance(image, network.model, **options) for image in decollate_batch(inputs)])
