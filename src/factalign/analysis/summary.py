"""The benchmark in one JSON-serialisable dict: each model's metrics and paired difference to the base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from factalign.analysis.metrics import METRICS, response_metrics
from factalign.analysis.statistics import CONFIDENCE, bootstrap_mean, prompt_means, sign_flip_p_values
from factalign.base.estimates import estimates_of

BASE = "base"


def build_summary(
    scores: Mapping[str, pd.DataFrame],
    prompts: pd.DataFrame,
    *,
    k: int,
    seed: int,
    resamples: int = 5000,
) -> dict[str, Any]:
    """Compare models that answered the same prompts.

    A metric is the mean over prompts of the mean over their responses of the response's own value; precision
    too is an average of per-response precisions, as in SAFE, not a share of all claims, and leaves out
    responses without any judged claim (see `abstention_share` and `judged_claims` beside it). Intervals are
    95% percentile intervals of a bootstrap over prompts; a difference is paired by prompt.

    Args:
        scores: Model name to its `ResponseScores` table; one is named "base".
        prompts: The benchmark's `Prompts` table.
        k: The K of F1@K that the scores were made with.
        seed: Seeds the resampling.
        resamples: Number of bootstrap resamples and of sign flips.

    Returns:
        `{"models": [{"name", "metrics": {metric: {"value", "low", "high"}}, "difference_to_base": {metric:
        {"value", "low", "high", "p_value"}}}], "prompts", "samples_per_prompt", "k", "seed", "confidence",
        "resamples"}`. The base comes first, its `difference_to_base` is empty. A missing number is None.

    Raises:
        ValueError: There is no base, or a model did not answer exactly the benchmark's prompts.
    """
    if BASE not in scores:
        raise ValueError(f"no model is named {BASE!r}; got {', '.join(scores) or 'none'}")
    expected = set(prompts["prompt_id"])
    for name, table in scores.items():
        _check_prompts(name, set(table["prompt_id"]), expected)
    ordered = [BASE, *(name for name in scores if name != BASE)]
    means = {name: prompt_means(response_metrics(scores[name])) for name in ordered}
    models = []
    for name in ordered:
        difference: dict[str, Any] = {}
        if name != BASE:
            paired = means[name] - means[BASE]
            estimates = bootstrap_mean(paired, seed=seed, resamples=resamples)
            p_values = sign_flip_p_values(paired, seed=seed, resamples=resamples)
            difference = _as_json(estimates.assign(p_value=p_values))
        estimates = bootstrap_mean(means[name], seed=seed, resamples=resamples)
        models.append({"name": name, "metrics": _as_json(estimates), "difference_to_base": difference})
    return {
        "models": models,
        "prompts": len(expected),
        "samples_per_prompt": _samples_per_prompt(scores),
        "k": k,
        "seed": seed,
        "confidence": CONFIDENCE,
        "resamples": resamples,
    }


def _check_prompts(name: str, answered: set[str], expected: set[str]) -> None:
    if answered != expected:
        missing, surplus = sorted(expected - answered), sorted(answered - expected)
        raise ValueError(
            f"model {name!r} was not benchmarked on the benchmark's {len(expected)} prompts: "
            f"{len(missing)} not answered {missing[:3]}, {len(surplus)} of others {surplus[:3]}; "
            "models are only comparable on the same prompts"
        )


def _samples_per_prompt(scores: Mapping[str, pd.DataFrame]) -> int | float | None:
    """The number of samples, or their mean where prompts differ in it."""
    counts = pd.concat([table["prompt_id"].value_counts() for table in scores.values()])
    if counts.empty:
        return None
    return int(counts.iloc[0]) if counts.nunique() == 1 else round(float(counts.mean()), 2)


def _as_json(estimates: pd.DataFrame) -> dict[str, dict[str, Any]]:
    units = {name: METRICS[name].unit for name in estimates.index if name in METRICS}
    return {name: estimate.to_json() for name, estimate in estimates_of(estimates, units).items()}
