"""Translation into the language of the application: ``from MedicalSuperResolutionLib.translation import tr as _``.

Outside of the application, as over slicer-core or in a child process, texts stay as they are.
"""

import sys
from contextlib import suppress


def tr(text: str) -> str:
    """Return the text unchanged."""
    return text


def translate(context: str, text: str) -> str:
    """Return the text unchanged. ``context`` : the name under which translators find it."""
    return text


if "slicer" in sys.modules:  # else importing it would take seconds
    with suppress(ImportError):
        from slicer.i18n import tr, translate  # `tr` finds the file that a text stands in by itself

__all__ = ["tr", "translate"]
