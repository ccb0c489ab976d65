"""The keyboard's way through the panel."""

from types import SimpleNamespace

import qt


def reach_selectors(ui: SimpleNamespace) -> None:
    """Let Tab stop at the lists of nodes, too.

    The box inside a list of nodes hands its focus to the list (qMRMLNodeComboBox::setComboBox), which accepts none, so
    Tab would pass over both. Here the list hands it to the box, which also takes the keys.
    """
    for selector in vars(ui).values():
        if selector.inherits("qMRMLNodeComboBox"):
            box = next(child for child in selector.children() if child.inherits("QComboBox"))
            box.setFocusProxy(None)
            selector.setFocusProxy(box)


def enable(button: qt.QPushButton, *, enabled: bool) -> None:
    """Enable a button or not; the panel holds its focus meanwhile, instead of scrolling to the next."""
    panel = button.parentWidget()
    if button.focus and not enabled:
        panel.setFocus()
    button.enabled = enabled
    if panel.focus and enabled:
        button.setFocus()
