from .audit import audit_figure, format_audit, render_audit
from .drift import claim_drift, claim_shares, drift_warnings
from .evaluation_page import render_page
from .figures import metrics_figure, training_figure
from .metrics import response_metrics
from .report import Answers, format_table, pick_examples, render_report
from .statistics import bootstrap_mean, prompt_means, sign_flip_p_values
from .summary import build_summary

__all__ = [
    "Answers",
    "audit_figure",
    "bootstrap_mean",
    "build_summary",
    "claim_drift",
    "claim_shares",
    "drift_warnings",
    "format_audit",
    "format_table",
    "metrics_figure",
    "pick_examples",
    "prompt_means",
    "render_audit",
    "render_page",
    "render_report",
    "response_metrics",
    "sign_flip_p_values",
    "training_figure",
]
