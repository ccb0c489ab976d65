"""LSTMAGAN's discriminator: an LSTM over the slices of a sequence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...physics.pictures import as_slices
from ..contracts import Discriminator


@dataclass(frozen=True, kw_only=True)
class SequenceLstmConfig:
    """The size of a `SequenceLstmDiscriminator`.

    Parameters
    ----------
    channels
        Width of the first convolution that describes a slice; it doubles twice.
    grid
        The description has grid x grid places, whatever the size of the slice.
    hidden
        Width of the LSTM. The paper gives none of these sizes.

    References
    ----------
    .. [1] Zhang et al. (2025), Super-resolution of 3D medical images by generative adversarial networks with long and
       short-term memory and attention. Scientific Reports, eq. 5 to 10.
       DOI 10.1038/s41598-025-05783-7
    """

    channels: int = 16
    grid: int = 6
    hidden: int = 128


class SequenceLstmDiscriminator(Discriminator):
    """(N, 1, K, J, I) -> (N, K) scores, real is high: how real the sequence looks up to each of its slices.

    Differences from the paper: the slices are the time steps, where the paper has a batch of 16 slices with one time
    step, in which an LSTM has no effect. Three convolutions and a mean over each cell of a grid encode slices of any
    size, where the paper takes whole slices of fixed size as vectors. Every state is scored, as the paper does not name
    one. There is no sigmoid, because Wasserstein losses need the raw score.
    """

    def __init__(self, config: SequenceLstmConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        inputs = 1
        for width in (config.channels, 2 * config.channels, 4 * config.channels):
            layers += [nn.Conv2d(inputs, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            inputs = width
        self.describe = nn.Sequential(
            *layers,
            nn.AdaptiveAvgPool2d(config.grid),
            nn.Flatten(),
            nn.Linear(inputs * config.grid**2, config.hidden),
            nn.LeakyReLU(0.2),
        )
        self.memory = LongShortTermMemory(config.hidden, config.hidden)
        self.judge = nn.Linear(config.hidden, 1)

    def forward(self, volume: Tensor) -> Tensor:
        described = self.describe(as_slices(volume)).unflatten(0, (volume.shape[0], volume.shape[2]))
        return self.judge(self.memory(described)).squeeze(-1)


class LongShortTermMemory(nn.Module):
    """An LSTM: a sequence (N, T, inputs) -> the state after each step, (N, T, hidden).

    Not `torch.nn.LSTM`, because the gradient penalty needs second derivatives, which cuDNN's kernels do not have.

    References
    ----------
    .. [1] Zhang et al. (2025), Super-resolution of 3D medical images by generative adversarial networks with long and
       short-term memory and attention. Scientific Reports, eq. 5 to 10.
       DOI 10.1038/s41598-025-05783-7
    .. [2] Hochreiter and Schmidhuber (1997), Long short-term memory. DOI 10.1162/neco.1997.9.8.1735
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.gates = nn.Linear(hidden + inputs, 4 * hidden)  # W_f, W_i, W_C, W_o one below the other, on [h, x]

    def forward(self, sequence: Tensor) -> Tensor:
        state = memory = sequence.new_zeros(sequence.shape[0], self.hidden)
        states = []
        for step in sequence.unbind(dim=1):
            forget, admit, candidate, show = self.gates(torch.cat([state, step], dim=1)).chunk(4, dim=1)
            kept = torch.sigmoid(forget) * memory  # eq. 5, first half of eq. 8
            memory = kept + torch.sigmoid(admit) * torch.tanh(candidate)  # eq. 6, 7 and 8
            state = torch.sigmoid(show) * torch.tanh(memory)  # eq. 9 and 10
            states.append(state)
        return torch.stack(states, dim=1)
