"""What changed from the base to the last iteration: estimates with intervals, figures, a report."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {
    "response_metrics": "metrics",
    "bootstrap_mean": "statistics",
    "prompt_means": "statistics",
    "sign_flip_p_values": "statistics",
    "build_summary": "summary",
    "metrics_figure": "figures",
    "training_figure": "figures",
    "claim_shares": "drift",
    "claim_drift": "drift",
    "drift_warnings": "drift",
    "format_table": "report",
    "pick_examples": "report",
    "render_report": "report",
}
__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
