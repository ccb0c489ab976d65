"""Long short-term memory, written out as in the paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LongShortTermMemory(nn.Module):
    """A sequence (N, T, inputs) -> the state of the memory after each step, (N, T, hidden).

    Written out, because the gradient penalty differentiates twice, which the fused kernels of cuDNN cannot do.

    References
    ----------
    .. [1] Zhang et al. (2025), Super-resolution of 3D medical images by generative adversarial networks with long and
       short-term memory and attention. Scientific Reports, eq. 5 to 10.
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
