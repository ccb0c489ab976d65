"""Products of features and small matrices: the same from both libraries."""

from __future__ import annotations

import pytest
import torch

from medical_super_resolution.networks import products
from medical_super_resolution.networks.products import add_product, mkl_lacks_instructions, product

CASES = [(5000, torch.float32), (7, torch.float32), (5000, torch.bfloat16)]


def random(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


@pytest.mark.parametrize("lacks_instructions", [False, True])
@pytest.mark.parametrize(("voxels", "dtype"), CASES)
def test_a_product_does_not_depend_on_the_library(
    monkeypatch: pytest.MonkeyPatch, voxels: int, dtype: torch.dtype, lacks_instructions: bool
):
    monkeypatch.setattr(products, "mkl_lacks_instructions", lambda: lacks_instructions)
    features, weight, bias = random(voxels, 48, dtype=dtype), random(16, 48, dtype=dtype), random(16, dtype=dtype)
    expected = features.double() @ weight.double().t() + bias.double()
    rounding = 50 * torch.finfo(dtype).eps
    torch.testing.assert_close(product(features, weight, bias).double(), expected, rtol=rounding, atol=rounding)
    sums = random(voxels, 16, dtype=dtype)
    added = add_product(sums.clone(), features, weight)
    expected += sums.double() - bias.double()
    torch.testing.assert_close(added.double(), expected, rtol=rounding, atol=rounding)
    assert added.dtype == dtype


@pytest.mark.parametrize(("voxels", "dtype"), CASES)
def test_convolutions_are_taken_for_many_voxels_in_single_precision(
    monkeypatch: pytest.MonkeyPatch, voxels: int, dtype: torch.dtype
):
    monkeypatch.setattr(products, "mkl_lacks_instructions", lambda: True)
    features, weight = random(voxels, 48, dtype=dtype), random(16, 48, dtype=dtype)
    with torch.profiler.profile() as profile:
        product(features, weight)
    taken = {event.key for event in profile.key_averages()}
    assert ("aten::conv2d" in taken) == (voxels == 5000 and dtype == torch.float32)


@pytest.mark.parametrize(
    ("capability", "family", "lacks"), [("AVX512", 26, True), ("AVX512", 25, False), ("AVX2", 26, False)]
)
def test_mkl_lacks_instructions_since_zen_5(monkeypatch: pytest.MonkeyPatch, capability: str, family: int, lacks: bool):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(products, "amd_family", lambda: family)
    assert mkl_lacks_instructions.__wrapped__() == lacks
