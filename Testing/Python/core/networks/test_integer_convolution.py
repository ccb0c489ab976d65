"""Convolutions of 8-bit integers: exact, by oneDNN or in single precision."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medical_super_resolution.networks.narrow import integer_convolution
from medical_super_resolution.networks.narrow.integer_convolution import IntegerConvolution, operator_is_exact

SCALE = torch.tensor([1.0, 0.5, 3.0])
KERNELS = [((3, 3), (1, 1)), ((3, 3), (0, 1)), ((3, 1), (0, 0)), ((1, 1), (0, 0))]  # and padding


def integers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(-127, 128, shape, generator=torch.Generator().manual_seed(seed)).to(torch.int8)


def expected(codes: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
    image = codes.permute(2, 0, 1)[None].double()
    return (functional.conv2d(image, weight.double(), padding=padding)[0].permute(1, 2, 0) * SCALE).float()


@pytest.fixture
def without_the_operator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    operator_is_exact.cache_clear()
    monkeypatch.setattr(integer_convolution, "_packed", refuse)
    yield
    operator_is_exact.cache_clear()


def refuse(weight: Tensor) -> Tensor:
    raise RuntimeError("'onednn' has no attribute 'qconv_prepack'")


@pytest.mark.parametrize(("kernel", "padding"), KERNELS)
def test_sums_are_exact(kernel: tuple[int, int], padding: tuple[int, int]):
    codes, weight = integers(6, 9, 16), integers(3, 16, *kernel, seed=1)
    found = IntegerConvolution(weight, SCALE)(codes, padding)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected(codes, weight, padding), rtol=1e-6, atol=0)


def test_zeros_stay_zeros():
    assert not IntegerConvolution(integers(3, 16, 3, 3), SCALE)(integers(6, 9, 16) * 0, (1, 1)).any()


def test_without_the_operator_single_precision_gives_the_same(without_the_operator: None):
    assert not operator_is_exact()
    test_sums_are_exact((3, 3), (1, 1))
    test_zeros_stay_zeros()


def test_an_inexact_operator_is_not_used(monkeypatch: pytest.MonkeyPatch):
    operator_is_exact.cache_clear()
    monkeypatch.setattr(integer_convolution, "_convolved", lambda codes, *_: codes.float())
    assert not operator_is_exact()
    operator_is_exact.cache_clear()
