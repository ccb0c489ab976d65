"""The generator of LSTMAGAN: SRResNet's skeleton with attention dense connection modules in place of its blocks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .plane import FeatureGenerator, PlaneConfig, Upscaler, last_convolution
from .srresnet import OUTER_KERNEL

_OPEN = 2.0  # initial bias of the gates, nearly open: half-open gates would halve the signal in each module


@dataclass(frozen=True, kw_only=True)
class AttentionDenseConfig(PlaneConfig):
    """The size of an `AttentionDenseGenerator`.

    Parameters
    ----------
    channels
        Width of the features.
    modules
        Attention dense connection modules.
    layers
        Convolutions in each.
    gate_channels
        Width inside an attention gate.
    attention
        Whether there are gates; the ablation's models 1 and 2 have none.
    beta
        Weight of the dense features, 0.2 in the paper.

    Notes
    -----
    The paper gives no other sizes; SRResNet's (64 channels, 16 modules) are its skeleton, the defaults are smaller for
    two CPU cores.

    References
    ----------
    .. [1] Zhang et al. (2025), Super-resolution of 3D medical images by generative adversarial networks with long and
       short-term memory and attention. Scientific Reports, eq. 2 to 4.
       DOI 10.1038/s41598-025-05783-7
    """

    channels: int = 32
    modules: int = 6
    layers: int = 3
    gate_channels: int = 16
    attention: bool = True
    beta: float = 0.2


class PlaneAttentionGate(nn.Module):
    """Attention gate: the weight of the initial features at every place, from 0 to 1 (eq. 3 and 4).

    (S, C, J, I) initial features P and dense features G -> (S, 1, J, I).
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.initial = nn.Conv2d(channels, hidden, 1, bias=False)  # W_p
        self.dense = nn.Conv2d(channels, hidden, 1)  # W_g, b_g
        self.attention = nn.Conv2d(hidden, 1, 1)  # psi, b_psi
        nn.init.constant_(self.attention.get_parameter("bias"), _OPEN)

    def forward(self, initial: Tensor, dense: Tensor) -> Tensor:
        hidden = functional.relu(self.initial(initial) + self.dense(dense))
        return torch.sigmoid(self.attention(hidden))


class AttentionDenseModule(nn.Module):
    """Densely connected convolutions, scaled by beta, added to the input that the gate lets through.

    Eq. 2 adds the results of all earlier layers, though the text around it mentions concatenation; the equation is
    followed. The paper does not define the output of the module; here it is the gated input plus the scaled dense
    features, which without a gate is a plain residual.
    """

    def __init__(self, config: AttentionDenseConfig) -> None:
        super().__init__()
        channels = config.channels
        self.beta = config.beta
        self.layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(config.layers))
        self.gate = PlaneAttentionGate(channels, config.gate_channels) if config.attention else None

    def forward(self, initial: Tensor) -> Tensor:
        latest = total = initial
        for layer in self.layers:
            latest = functional.relu(layer(latest)) + total  # eq. 2
            total = total + latest
        dense = self.beta * latest
        if self.gate is None:
            return initial + dense
        return self.gate(initial, dense) * initial + dense


class AttentionDenseGenerator(FeatureGenerator):
    """(N, 1, K, J, I) slice sequences -> (N, 1, K, factor*J, factor*I).

    The sequence is seen by the discriminator; the generator refines slice by slice, as the paper's data are slices.
    """

    def __init__(self, config: AttentionDenseConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.first = nn.Sequential(nn.Conv2d(1, channels, OUTER_KERNEL, padding=OUTER_KERNEL // 2), nn.PReLU())
        modules = [AttentionDenseModule(config) for _ in range(config.modules)]
        self.body = nn.Sequential(*modules, nn.Conv2d(channels, channels, 3, padding=1))
        self.upscale = Upscaler(channels, config.factor)
        self.last = last_convolution(channels, OUTER_KERNEL)
