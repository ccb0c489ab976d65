"""The enhancing of one series of the station, as ``medsr enhance FOLDER NEW_FOLDER`` does it."""

from __future__ import annotations

import errno
from pathlib import Path

from ..errors import SuperResolutionError
from ..models.file import Model
from .rules import Rule

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Enhancer:
    """Writes derived series, and keeps the models that it has loaded for the next ones."""

    def __init__(self) -> None:
        self._models: dict[str, Model] = {}

    def write(self, source: Path, target: Path, rule: Rule) -> None:
        """Enhance the series in a folder by a rule, and write the derived series into another folder."""
        from ..inference.enhance import enhance
        from ..models.weight_interpolation import load_model
        from ..volumes.io import files
        from ..volumes.io.writers import destination_of

        output = destination_of(source, target)
        if rule.model not in self._models:
            self._models[rule.model] = load_model(rule.model)
        enhanced = enhance(files.read(source), self._models[rule.model], rule.settings())
        output.write(enhanced.volume, enhanced.report)


def is_lack_of_room(problem: BaseException) -> bool:
    """Whether an error was caused by a full disk, possibly through errors of pydicom or of our writers."""
    causes = [problem]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    return any(isinstance(cause, OSError) and cause.errno in _NO_ROOM for cause in causes)


def sentence_of(problem: Exception) -> str:
    """Why a series was not enhanced."""
    return str(problem) if isinstance(problem, SuperResolutionError) else f"{type(problem).__name__}: {problem}"
