from __future__ import annotations

import pytest

from medical_super_resolution.errors import SettingsError
from medical_super_resolution_training.data.preparation.splitting import shares_from, split_by_patient

SHARES = (0.7, 0.2, 0.1)


def counts(number: int, shares: tuple[float, ...] = SHARES) -> list[int]:
    found = list(split_by_patient([f"patient-{one}" for one in range(number)], shares).values())
    assert len(found) == number
    return [found.count(split) for split in ("train", "validation", "test")]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, [0, 0, 0]),
        (1, [1, 0, 0]),
        (2, [2, 0, 0]),
        (3, [2, 1, 0]),
        (5, [4, 1, 0]),
        (10, [7, 2, 1]),
        (25, [18, 5, 2]),
        (1251, None),
    ],
)
def test_shares_of_patients_are_as_near_as_whole_numbers_can_be(number: int, expected: list[int] | None):
    assert counts(number) == (expected or [876, 250, 125])


def test_three_patients_and_more_have_one_to_validate_on():
    assert all(counts(number)[1] >= 1 for number in range(3, 60))


def test_the_split_depends_on_the_patients_alone():
    patients = [f"patient-{one}" for one in range(40)]
    assert split_by_patient(patients, SHARES) == split_by_patient([*reversed(patients), *patients], SHARES)


def test_patients_whose_names_are_no_utf_8_are_split_like_others():
    assert set(split_by_patient(["M\udcfcller", "Meier", "Mayer"], SHARES).values()) == {"train", "validation"}


def test_neighbors_by_number_are_not_kept_together():
    found = split_by_patient([f"patient-{one:03d}" for one in range(100)], SHARES)
    validated = sorted(int(patient[-3:]) for patient, split in found.items() if split == "validation")
    assert validated[0] < 20
    assert validated[-1] > 80


@pytest.mark.parametrize(
    ("text", "shares"),
    [("70/20/10", SHARES), ("80/20", (0.8, 0.2, 0)), ("1", (1, 0, 0)), ("100/0/0", (1, 0, 0)), ("7/2/1", SHARES)],
)
def test_shares_are_read(text: str, shares: tuple[float, ...]):
    assert shares_from(text) == pytest.approx(shares)


@pytest.mark.parametrize("text", ["", "most", "70/x", "0/100", "-1/2", "1/2/3/4", "nan/1", "inf"])
def test_shares_without_sense_are_refused(text: str):
    with pytest.raises(SettingsError, match="write train/validation/test like 70/20/10"):
        shares_from(text)
