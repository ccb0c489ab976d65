"""The sample pictures that a run writes as it trains."""

from pathlib import Path

import qt

_FOLDER = "samples"  # in the folder of a run


class SamplePicture:
    """Shows the latest picture of a run in a label."""

    def __init__(self, label: qt.QLabel) -> None:
        self._label = label
        self._shown: Path | None = None
        label.visible = False

    def show(self, run: Path) -> None:
        """Show the latest picture, where there is one; nothing is done where it is shown already."""
        latest = max((run / _FOLDER).glob("step-*.png"), default=None)
        if latest == self._shown:
            return
        self._shown, self._label.visible = latest, latest is not None
        if latest is not None:
            picture = qt.QPixmap(str(latest))
            margins = self._label.parentWidget().layout().contentsMargins()
            room = self._label.parentWidget().width - margins.left() - margins.right()
            width = max(1, min(room, picture.width()))
            self._label.setPixmap(picture.scaledToWidth(width, qt.Qt.SmoothTransformation))
            self._label.toolTip = latest.name
