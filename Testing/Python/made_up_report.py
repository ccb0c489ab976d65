"""A report for tests that do not depend on its contents."""

from __future__ import annotations

import dataclasses
from typing import Any

from medical_super_resolution.report import Report

_BY_TYPE = {"str": "unknown", "float": 1.0, "int": 1, "bool": True}


def made_up_report(**known: Any) -> Report:
    """A report with the given values, and values of the right type for all others."""
    facts = {}
    for field in dataclasses.fields(Report):
        kind = str(field.type)
        if kind.startswith("tuple[") and "..." not in kind:
            facts[field.name] = (1,) * (kind.count(",") + 1)
        elif field.default is dataclasses.MISSING:
            facts[field.name] = _BY_TYPE.get(kind.removesuffix(" | None"), {} if kind.startswith("dict") else ())
    return Report(**{**facts, **known})
