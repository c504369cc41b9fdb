"""What changed from the base to the last iteration: estimates with intervals, figures, a report."""

from __future__ import annotations

from factalign.lazy import lazy_exports

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
    "audit_figure": "audit",
    "format_audit": "audit",
    "render_audit": "audit",
    "Answers": "report",
    "format_table": "report",
    "pick_examples": "report",
    "render_report": "report",
}
__all__ = sorted(_EXPORTS)

__getattr__ = lazy_exports(__name__, _EXPORTS)
