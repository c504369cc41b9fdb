"""Nodes of the benchmarking pipeline."""

from __future__ import annotations

from typing import Any

from factalign.base.heavy import pd, plotly
from factalign.parameters import BenchmarkConfig, EvaluationConfig

SIDES = ("first_", "last_")


def compare(
    benchmark_prompts: pd.DataFrame,
    evaluation: EvaluationConfig,
    benchmark: BenchmarkConfig,
    seed: int,
    **scores: pd.DataFrame,
) -> dict[str, Any]:
    """Metrics of every policy with intervals, and the paired differences to the base."""
    from factalign.analysis import build_summary

    return build_summary(scores, benchmark_prompts, k=evaluation.k, seed=seed, resamples=benchmark.resamples)


def plot(summary: dict[str, Any]) -> plotly.graph_objects.Figure:
    """The metrics over the iterations."""
    from factalign.analysis import metrics_figure

    return metrics_figure(summary)


def write_report(
    summary: dict[str, Any],
    figure: plotly.graph_objects.Figure,
    benchmark_prompts: pd.DataFrame,
    seed: int,
    **tables: pd.DataFrame,
) -> str:
    """One HTML page: the table, the figure, what drifted, and answers before and after.

    Args:
        tables: `first_{table}` of the base and `last_{table}` of the newest policy, for the tables named below.
    """
    from factalign.analysis import Answers, claim_drift, claim_shares, pick_examples, render_report

    first, last = (
        {name.removeprefix(side): tables[name] for name in tables if name.startswith(side)} for side in SIDES
    )
    sides = (first, last)
    base, newest = (claim_shares(t["claims"], t["verdicts"], t["responses"], benchmark_prompts) for t in sides)
    before, after = (Answers(t["responses"], t["response_scores"], t["sentences"], t["sentence_scores"]) for t in sides)
    return render_report(
        summary,
        figures={"Metrics": figure},
        drift=claim_drift(base, newest),
        examples=pick_examples(benchmark_prompts, before, after, seed=seed),
    )
