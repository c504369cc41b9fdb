"""Nodes of the benchmarking pipeline."""

import logging
from typing import Any

import pandas as pd
from plotly.graph_objects import Figure

from factalign.parameters import BenchmarkConfig, EvaluationConfig

logger = logging.getLogger(__name__)


def compare(
    benchmark_prompts: pd.DataFrame,
    evaluation: EvaluationConfig,
    benchmark: BenchmarkConfig,
    seed: int,
    **scores: pd.DataFrame,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metrics of every policy with intervals, and the paired differences to the base; saved twice (see the catalog)."""
    from factalign.analysis import build_summary

    summary = build_summary(scores, benchmark_prompts, k=evaluation.k, seed=seed, resamples=benchmark.resamples)
    return summary, summary


def plot(summary: dict[str, Any]) -> Figure:
    """The metrics over the iterations."""
    from factalign.analysis import metrics_figure

    return metrics_figure(summary)


def write_report(
    summary: dict[str, Any],
    figure: Figure,
    benchmark_prompts: pd.DataFrame,
    seed: int,
    first_responses: pd.DataFrame,
    first_response_scores: pd.DataFrame,
    first_claims: pd.DataFrame,
    first_verdicts: pd.DataFrame,
    last_responses: pd.DataFrame,
    last_response_scores: pd.DataFrame,
    last_claims: pd.DataFrame,
    last_verdicts: pd.DataFrame,
) -> tuple[str, str]:
    """One HTML page: the table, the figure, what drifted, and answers before and after."""
    from factalign.analysis import claim_drift, claim_shares, pick_examples, render_report

    drift = claim_drift(
        claim_shares(first_claims, first_verdicts, first_responses, benchmark_prompts),
        claim_shares(last_claims, last_verdicts, last_responses, benchmark_prompts),
    )
    examples = pick_examples(
        benchmark_prompts,
        first_responses,
        last_responses,
        first_response_scores,
        last_response_scores,
        seed=seed,
    )
    page = render_report(summary, figures={"Metrics": figure}, drift=drift, examples=examples)
    return page, page
