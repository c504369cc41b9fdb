from .annotation import render_annotation, render_sheet
from .audit import audit_figure, format_audit, render_audit
from .benchmark import Answer, BenchmarkResult, benchmark_result
from .calibration import calibration_figure
from .drift import claim_drift, claim_shares, drift_warnings
from .evaluation_page import render_evaluation
from .figures import metrics_figure, training_figure
from .metrics import response_metrics
from .report import format_table, pair_examples, render_report
from .statistics import sign_flip_p_values
from .summary import build_summary

__all__ = [
    "Answer",
    "BenchmarkResult",
    "audit_figure",
    "benchmark_result",
    "build_summary",
    "calibration_figure",
    "claim_drift",
    "claim_shares",
    "drift_warnings",
    "format_audit",
    "format_table",
    "metrics_figure",
    "pair_examples",
    "render_annotation",
    "render_audit",
    "render_evaluation",
    "render_report",
    "render_sheet",
    "response_metrics",
    "sign_flip_p_values",
    "training_figure",
]
