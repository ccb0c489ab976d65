"""Splits by patient: training, validation and test."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

from medical_super_resolution.errors import SettingsError

SPLITS = ("train", "validation", "test")
FEWEST_PATIENTS = 3  # fewer are not split: all train


def shares_from(text: str) -> tuple[float, ...]:
    """Shares of `SPLITS` from "70/20/10" or "80/20"; they sum to 1.

    Raises
    ------
    SettingsError
        No such numbers.
    """
    try:
        shares = [float(part) for part in text.split("/")]
    except ValueError:
        shares = []
    if not 0 < len(shares) <= len(SPLITS) or not all(0 <= share < math.inf for share in shares) or not shares[0]:
        raise SettingsError(f"cannot read the split {text!r}; write train/validation/test like 70/20/10")
    return tuple(share / sum(shares) for share in [*shares, *[0.0] * (len(SPLITS) - len(shares))])


def split_by_patient(patients: Iterable[str], shares: tuple[float, ...]) -> dict[str, str]:
    """The split of each patient: the same for the same patients, in whatever order they come.

    Their order is that of the SHA-256 of their labels, which has nothing to do with how they were numbered. Fewer than
    three all train.
    """

    def drawn(patient: str) -> bytes:
        return hashlib.sha256(patient.encode(errors="backslashreplace")).digest()  # names of files may be no UTF-8

    ordered = sorted(set(patients), key=drawn)
    if len(ordered) < FEWEST_PATIENTS:
        return dict.fromkeys(ordered, SPLITS[0])
    found: dict[str, str] = {}
    begin, total = 0, 0.0
    for split, share in zip(SPLITS, shares, strict=True):
        total += share
        end = math.floor(total * len(ordered) + 0.5 + 1e-9)
        found |= dict.fromkeys(ordered[begin:end], split)
        begin = end
    return found
