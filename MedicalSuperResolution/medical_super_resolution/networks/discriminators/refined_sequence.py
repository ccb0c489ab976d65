"""A critic of refined slice sequences, for through-plane generators."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import SettingsError
from ..contracts import Discriminator
from .sequence_lstm import LongShortTermMemory


@dataclass(frozen=True, kw_only=True)
class RefinedSequenceConfig:
    """The size of a `RefinedSequenceCritic`, a design of this project.

    Parameters
    ----------
    channels
        Width of the first convolution; it doubles twice.
    cell
        Side in voxels of the squares whose sequences are judged separately, a multiple of 4.
    hidden
        Width of each LSTM.
    """

    channels: int = 16
    cell: int = 8
    hidden: int = 64

    def __post_init__(self) -> None:
        if self.cell % 4:
            raise SettingsError(f"cell must be a multiple of 4, got {self.cell}")


class RefinedSequenceCritic(Discriminator):
    """(N, 1, K, J, I) -> (N, M) scores, real is high: one for every slice of every column of square cells.

    Refinement along K changes how neighboring slices differ at each place: kernels that span three slices detect the
    differences, and an LSTM in each direction follows a column of cells along the sequence. Partial cells are left out.
    """

    def __init__(self, config: RefinedSequenceConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels
        self.describe = nn.Sequential(
            nn.Conv3d(1, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv3d(width, 2 * width, (3, 4, 4), stride=(1, 2, 2), padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv3d(2 * width, 4 * width, (3, 4, 4), stride=(1, 2, 2), padding=1),
            nn.LeakyReLU(0.2),
            nn.AvgPool3d((1, config.cell // 4, config.cell // 4)),
        )
        self.onwards = LongShortTermMemory(4 * width, config.hidden)
        self.backwards = LongShortTermMemory(4 * width, config.hidden)
        self.judge = nn.Linear(2 * config.hidden, 1)

    def forward(self, volume: Tensor) -> Tensor:
        columns = self.describe(volume).permute(0, 3, 4, 2, 1).flatten(0, 2)  # (N * cells, K, C)
        states = torch.cat([self.onwards(columns), self.backwards(columns.flip(1)).flip(1)], dim=2)
        return self.judge(states).reshape(volume.shape[0], -1)
