"""Settings of a public function, given as an object, as keyword arguments, or as both."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from ..inference.fusion.settings import FusionSettings
from ..settings import EnhanceSettings

_Settings = TypeVar("_Settings", EnhanceSettings, FusionSettings)
_WORDS = {EnhanceSettings: ("an", "factor=4", "enhance"), FusionSettings: ("a", "spacing_mm=1.0", "fuse")}


def settings_from(kind: type[_Settings], given: _Settings | None, options: dict[str, Any]) -> _Settings:
    """The settings ``given``, or the defaults of their ``kind``, with ``options`` in place of its fields.

    Raises
    ------
    TypeError
        ``given`` is of another kind, or an option is not a field of it.
    SettingsError
        A value is invalid.
    """
    article, example, function = _WORDS[kind]
    if given is not None and not isinstance(given, kind):
        wanted = f"{article} {kind.__name__}"
        raise TypeError(f"settings must be {wanted}, got {type(given).__name__}; or give {example} and such")
    known = [field.name for field in dataclasses.fields(kind)]
    for name in options:
        if name not in known:
            raise TypeError(f"{function} has no option {name!r}; the settings are: {', '.join(known)}")
    return dataclasses.replace(given or kind(), **options)
