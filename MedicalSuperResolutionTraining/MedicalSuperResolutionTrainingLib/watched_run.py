"""Monitoring of a run: its growing curves, sample pictures, and the time left."""

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from medical_super_resolution.errors import SettingsError
from MedicalSuperResolutionLib.messages import TimeLeft
from MedicalSuperResolutionTrainingLib import commands, curve, plot

_SAMPLES = "samples"  # folder of the pictures, in that of the run


class WatchedRun:
    """Reads the folder of a run repeatedly, also of one that was not started here.

    Parameters
    ----------
    folder
        Folder of the run.
    steps
        How many the run will have.

    Attributes
    ----------
    curves
        As last read.
    """

    def __init__(self, folder: Path, steps: int) -> None:
        self.curves: curve.Curve = {}
        self.steps = steps
        self.folder = folder
        self._time_left = TimeLeft()
        self._is_shown = False
        self._drawn: curve.Curve = {}
        earlier = curve.read(folder)
        is_cut = bool(earlier) and earlier[curve.STEP][-1] > commands.latest_step(folder)
        self._earlier = earlier if is_cut else {}  # goes beyond the checkpoint: cut when the training begins

    def update(self, quantity: str, *, is_watched: bool = True) -> None:
        """Read the curves again, and draw one of them if they have grown.

        The first time, bring it into view, unless the user is in another module.
        """
        curves = curve.read(self.folder)
        if curves == self._earlier:
            return
        self._earlier, self.curves = {}, curves
        if curves == self._drawn:
            return
        if quantity in curves:
            chart = plot.draw(slicer.mrmlScene, curves, quantity, self.folder.name)
            if is_watched and not self._is_shown:
                plot.show(chart)
                self._is_shown = True
        self._drawn = curves

    def show(self, quantity: str) -> slicer.vtkMRMLPlotChartNode:
        """Draw one of the curves and bring it into view.

        Raises
        ------
        SettingsError
            There is none of this name.
        """
        self.curves = curve.read(self.folder)
        if quantity not in self.curves:
            raise SettingsError(_("there is no curve of {name} in {folder}").format(name=quantity, folder=self.folder))
        chart = plot.draw(slicer.mrmlScene, self.curves, quantity, self.folder.name)
        plot.show(chart)
        return chart

    def latest(self, quantity: str) -> tuple[int, float] | None:
        """The last step, and the last value of a quantity."""
        return curve.latest(self.curves, quantity)

    def seconds_left(self) -> float | None:
        """The time left in seconds, or None while it is too early for an estimate."""
        steps = self.curves.get(curve.STEP)
        return self._time_left.seconds(int(steps[-1]), self.steps) if steps else None


class SamplePicture:
    """Shows the latest picture of a run in a label."""

    def __init__(self, label: qt.QLabel) -> None:
        self._label = label
        self.hide()

    def hide(self) -> None:
        """Show no picture."""
        self._shown: Path | None = None
        self._label.visible = False

    def hide_unless_of(self, run: Path) -> None:
        """Show no picture of another run."""
        if self._shown is not None and self._shown.parent.parent != run:
            self.hide()

    def show(self, run: Path) -> None:
        """Show the latest picture, where there is one; nothing is done where it is shown already."""
        latest = max((run / _SAMPLES).glob("step-*.png"), default=None)
        if latest == self._shown:
            return
        picture = qt.QPixmap(str(latest) if latest else "")
        if latest is not None and picture.isNull():
            return  # it is being written
        self._label.visible = latest is not None
        if latest is not None:
            room = self._label.parentWidget().layout().contentsRect().width()  # PythonQt knows no margins
            if 0 < room < picture.width():  # 0 or less: it has not been on the screen yet
                picture = picture.scaledToWidth(room, qt.Qt.SmoothTransformation)
            self._label.setPixmap(picture)
            self._label.toolTip = latest.name
        self._shown = latest
