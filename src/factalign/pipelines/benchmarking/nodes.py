"""Nodes of the benchmarking pipeline."""

from __future__ import annotations

from typing import Any

from factalign.base.heavy import pd, plotly
from factalign.parameters import BenchmarkConfig, EvaluationConfig


def hand_over(
    seed: int, extraction_costs: pd.DataFrame, verification_costs: pd.DataFrame, **tables: pd.DataFrame
) -> dict[str, Any]:
    """What the report needs of one model's benchmark: metrics, how common its claims are, answers to show, costs.

    Args:
        tables: The others of `analysis.benchmark_result`, by name.
    """
    from factalign.analysis import benchmark_result

    costs = pd.concat([extraction_costs, verification_costs], ignore_index=True)
    return benchmark_result(**tables, costs=costs, seed=seed).to_json()


def compare(
    evaluation: EvaluationConfig, benchmark: BenchmarkConfig, seed: int, **results: dict[str, Any]
) -> dict[str, Any]:
    """Metrics of every policy with intervals, and the paired differences to the base.

    Args:
        results: What the benchmark of each policy handed over.
    """
    from factalign.analysis import BenchmarkResult, build_summary

    metrics = {model: BenchmarkResult.from_json(result).metrics for model, result in results.items()}
    return build_summary(metrics, k=evaluation.k, seed=seed, resamples=benchmark.resamples)


def plot(summary: dict[str, Any]) -> plotly.graph_objects.Figure:
    """The metrics over the iterations."""
    from factalign.analysis import metrics_figure

    return metrics_figure(summary)


def write_report(
    summary: dict[str, Any], figure: plotly.graph_objects.Figure, base: dict[str, Any], last: dict[str, Any]
) -> str:
    """One HTML page: the table, the figure, what drifted, and answers before and after.

    Args:
        base: What the benchmark of the base handed over.
        last: What that of the newest policy did.
    """
    from factalign.analysis import BenchmarkResult, claim_drift, pair_examples, render_report

    before, after = BenchmarkResult.from_json(base), BenchmarkResult.from_json(last)
    return render_report(
        summary,
        figures={"Metrics": figure},
        drift=claim_drift(before.claim_shares, after.claim_shares),
        examples=pair_examples(before, after),
        costs={"base": before.costs, summary["models"][-1]["name"]: after.costs},
    )
