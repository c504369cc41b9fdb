"""Scores become training rows: labels, balance, and prompts kept off the benchmark."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {
    "PreferenceConfig": "config",
    "build_preferences": "rows",
    "summarise_preferences": "rows",
    "decontaminate": "decontamination",
}
__all__ = ["PreferenceConfig", "build_preferences", "decontaminate", "summarise_preferences"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
