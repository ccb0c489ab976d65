"""Patch size of a recipe, and the volumes that are large enough. Without PyTorch, for Slicer's panel."""

from __future__ import annotations

from collections.abc import Sequence

from ..config.recipe import Recipe

_FINE_SLICES = 80  # of a sequence, about
_FEWEST_THICK = 6
_SMALLEST_SIDE, _SIDE_STEP = 16, 4  # voxels
_OF_SEQUENCES = ("slice-sequence", "through-plane")  # the task, and the generator that it trains


def trains_sequences(recipe: Recipe) -> bool:
    """Whether the patches of a recipe are sequences of slices along any axis; else they are slices in their plane."""
    return (recipe.generator if recipe.task == "generator" else recipe.task) in _OF_SEQUENCES


def sequence_patch(recipe: Recipe, factor: float, volumes: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Thick slices of a patch, and voxels of its side: about as many voxels for every factor.

    Where all volumes, given by their voxels along three axes, are small, sequences are shorter and sides narrower.
    """
    longest = max(map(max, volumes), default=0)
    slices = 2 * recipe.patch_slices
    if factor > 2:
        slices = min(max(round(_FINE_SLICES / factor), _FEWEST_THICK), slices)
    slices = max(min(slices, int(longest / factor)), 2)
    side = recipe.patch_in_plane
    if factor <= 2 or slices > recipe.patch_slices:
        share = (recipe.patch_slices / slices) ** 0.5
        side = max(_SMALLEST_SIDE, round(side * share / _SIDE_STEP) * _SIDE_STEP)
    fine = round(slices * factor)
    if not any(fits((fine, side, side), volume) for volume in volumes):
        room = max((min(volume) for volume in volumes if max(volume) >= fine), default=0)
        side = min(side, max(_SMALLEST_SIDE, room // _SIDE_STEP * _SIDE_STEP))
    return slices, side


def fits(patch: Sequence[int], volume: Sequence[int]) -> bool:
    """Whether a patch fits into a volume, along whatever axes; both are voxels along three axes."""
    return all(have >= wanted for have, wanted in zip(sorted(volume), sorted(patch), strict=True))


def too_small(recipe: Recipe, volumes: Sequence[Sequence[int]]) -> int:
    """Number of volumes, given by their voxels along three axes, that are smaller than a patch of a recipe."""
    patches = [(recipe.patch_slices, recipe.patch_in_plane, recipe.patch_in_plane)]
    if trains_sequences(recipe):
        factors = recipe.factors or (2.0,)  # a recipe that names none draws any
        sizes = [(factor, *sequence_patch(recipe, factor, volumes)) for factor in factors]
        patches = [(round(slices * factor), side, side) for factor, slices, side in sizes]
    return sum(not any(fits(patch, volume) for patch in patches) for volume in volumes)
