"""Room for every line of the panel's texts, however narrow the panel is."""

import qt


class FullHeight(qt.QObject):
    """Keeps a widget at least as tall as the texts that are wrapped in it need.

    Slicer's module panel asks each module once for the height that it needs at a width. In a module that is left and
    opened again, Qt then answers from memory for good (qSlicerModulePanel takes the QLayoutItem of the module out
    without deleting it), and texts that have grown since would be cut.
    """

    def __init__(self, widget: qt.QWidget) -> None:
        super().__init__(widget)
        widget.installEventFilter(self)

    def eventFilter(self, widget: qt.QWidget, event: qt.QEvent) -> bool:  # noqa: N802 - Qt's name
        """After each change of the width or of what is in the widget; lets every event pass."""
        if event.type() in (qt.QEvent.Resize, qt.QEvent.LayoutRequest):
            needed = widget.heightForWidth(widget.width)
            if needed != widget.minimumHeight:
                widget.minimumHeight = needed
        return False
