"""Settings of a public function, given as an object, as keyword arguments, or as both."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from ..inference.fusion.settings import FusionSettings
from ..settings import EnhanceSettings

_Settings = TypeVar("_Settings", EnhanceSettings, FusionSettings)


def settings_from(
    kind: type[_Settings], given: _Settings | None, options: dict[str, Any], *, function: str, example: str
) -> _Settings:
    """The settings ``given``, or the defaults of their ``kind``, with ``options`` in place of its fields.

    Parameters
    ----------
    function, example
        The function that is called and an option of it, for messages.

    Raises
    ------
    TypeError
        ``given`` is of another kind, or an option is not a field of it.
    SettingsError
        A value is invalid.
    """
    if given is not None and not isinstance(given, kind):
        wanted = f"{'an' if kind is EnhanceSettings else 'a'} {kind.__name__}"
        raise TypeError(f"settings must be {wanted}, got {type(given).__name__}; or give {example} and such")
    known = [field.name for field in dataclasses.fields(kind)]
    for name in options:
        if name not in known:
            raise TypeError(f"{function} has no option {name!r}; the settings are: {', '.join(known)}")
    return dataclasses.replace(given or kind(), **options)
