"""Volumes as batches of images for two-dimensional networks: slices, and cuts perpendicular to them."""

from __future__ import annotations

from torch import Tensor


def as_slices(volume: Tensor) -> Tensor:
    """(N, C, K, J, I) -> (N * K, C, J, I)."""
    return volume.transpose(1, 2).flatten(0, 1)


def as_volumes(slices: Tensor, count: int) -> Tensor:
    """(N * count, C, J, I) -> (N, C, count, J, I), the inverse of `as_slices`."""
    return slices.unflatten(0, (-1, count)).transpose(1, 2)


def perpendicular_cuts(volume: Tensor, *, every: int = 1) -> tuple[Tensor, Tensor]:
    """Cuts perpendicular to the slices: for axial slices, coronal and sagittal ones.

    Parameters
    ----------
    volume
        (N, C, K, J, I).
    every
        Distance of the cuts in voxels; the first lies half of it from the edge.

    Returns
    -------
    (N * j, C, K, I) and (N * i, C, K, J): rows run along the slice sequence.
    """
    first = every // 2
    coronal = volume[:, :, :, first::every].permute(0, 3, 1, 2, 4).flatten(0, 1)
    sagittal = volume[..., first::every].permute(0, 4, 1, 2, 3).flatten(0, 1)
    return coronal, sagittal


def slice_triples(volume: Tensor, *, every: int = 1) -> Tensor:
    """Every ``every``-th slice with both neighbors as channels: (N, C, K, J, I) -> (N * k, 3 * C, J, I)."""
    triples = volume.unfold(2, 3, every)  # (N, C, k, J, I, 3)
    return triples.permute(0, 2, 5, 1, 3, 4).flatten(2, 3).flatten(0, 1)
