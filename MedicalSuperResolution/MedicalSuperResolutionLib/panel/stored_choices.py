"""Choices in a scene that another version of the module has saved."""

import logging
from enum import Enum
from typing import get_type_hints

from slicer import vtkMRMLScriptedModuleNode


def forget_unknown(node: vtkMRMLScriptedModuleNode, parameters: type) -> None:
    """Remove what a wrapped class of parameters could not read, so that the defaults are taken.

    Slicer's parameterNodeWrapper raises at an entry of a list that this version has not, and no panel would open.
    """
    stored = set(node.GetParameterNames())
    for name, kind in get_type_hints(parameters).items():
        text = node.GetParameter(name)
        if name in stored and not _is_readable(text, kind):
            logging.warning("The scene holds %s = %r, which is not known here; the default is taken.", name, text)
            node.UnsetParameter(name)


def _is_readable(text: str, kind: type) -> bool:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return text in kind.__members__
    try:
        return kind not in (int, float) or kind(text) is not None
    except ValueError:
        return False
