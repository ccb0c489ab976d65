"""What the section Comparison says of itself."""

from slicer import vtkMRMLScalarVolumeNode

from MedicalSuperResolutionLib.compare.blend import Blend
from MedicalSuperResolutionLib.compare.comparison import Shown
from MedicalSuperResolutionLib.compare.layouts import DIFFERENCE, Arrangement
from MedicalSuperResolutionLib.panel.choices import Overlay
from MedicalSuperResolutionLib.translation import tr as _

_NO_UNITS = "no units"  # the meaning of UCUM's code 1, which Slicer gives every MR that comes from DICOM


def why_no_share(blends: list[Blend], how: Overlay) -> str:
    """Why the slider is of no use; empty where it is."""
    if not blends:
        return _("Nothing is compared.")
    if how is Overlay.UNCERTAINTY and not blends[0].has_colors:
        return _("There is no uncertainty map of this volume; check Uncertainty map, and enhance again.")
    if how in (Overlay.NOTHING, Overlay.CHECKERBOARD):
        return _("Choose to wipe, to fade or to color first.")
    return ""


def how_to_use(how: Overlay) -> str:
    """What the slider does."""
    return {
        Overlay.WIPE: _("Left of the line is before, right of it after."),
        Overlay.FADE: _("Left: after alone. Right: before alone."),
        Overlay.UNCERTAINTY: _("Left: no colors. Right: strong colors."),
    }[how]


def offer(pair: tuple[vtkMRMLScalarVolumeNode, vtkMRMLScalarVolumeNode] | None) -> str:
    """What the button Compare would show."""
    if pair is None:
        return _("Nothing to compare yet: enhance the input volume, or choose a volume to compare it with.")
    before, after = (volume.GetName() for volume in pair)
    return _("Show {before}, {after} and their difference side by side, linked.").format(before=before, after=after)


def described(shown: Shown, arrangement: Arrangement, how: Overlay) -> str:
    """What is shown: which volumes, the colors of their difference, and those of the uncertainty if it is laid over."""
    before = _("Before is {before}.").format(before=shown.before)
    if shown.resampled:
        before = _("Before is {before}, resampled by cubic B-spline onto the grid of {after}.").format(
            before=shown.before, after=shown.after
        )
    sentences = [before]
    if arrangement.columns > DIFFERENCE:
        difference = _("Difference is after minus before: orange is higher, blue lower, brightest at {limit}.")
        sentences.append(difference.format(limit=_amount(shown.limit, shown)))
    if shown.of_two_patients:
        sentences.insert(0, _("Caution: before and after are of different patients."))
    if how is Overlay.UNCERTAINTY:
        sentences.append(_uncertainty(shown))
    return " ".join(sentences)


def _uncertainty(shown: Shown) -> str:
    if shown.uncertainty is None:
        return _("There is no uncertainty map of {after}: check Uncertainty map, and enhance again.").format(
            after=shown.after
        )
    first, brightest = (_amount(end, shown) for end in shown.uncertainty)
    return _("Uncertainty is colored from {first} on, and brightest at {brightest}.").format(
        first=first, brightest=brightest
    )


def _amount(value: float, shown: Shown) -> str:
    """A value with the unit that it has, if it has one and the unit is known."""
    units = "" if shown.units == _NO_UNITS else shown.units
    return f"{value:g} {units}".strip()
