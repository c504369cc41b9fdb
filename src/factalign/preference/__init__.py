"""Scores become training rows: labels, balance, and prompts kept off the benchmark."""

from __future__ import annotations

from factalign.lazy import lazy_exports

_EXPORTS = {
    "PreferenceConfig": "config",
    "build_preferences": "rows",
    "summarise_preferences": "rows",
    "decontaminate": "decontamination",
}
__all__ = ["PreferenceConfig", "build_preferences", "decontaminate", "summarise_preferences"]

__getattr__ = lazy_exports(__name__, _EXPORTS)
