"""The benchmark in one JSON-serialisable dict: each model's metrics and paired difference to the base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from factalign.analysis.metrics import UNITS
from factalign.analysis.statistics import sign_flip_p_values
from factalign.base.estimates import CONFIDENCE, bootstrap_mean, estimates_of, estimates_to_json, prompt_means

BASE = "base"


def build_summary(metrics: Mapping[str, pd.DataFrame], *, k: int, seed: int, resamples: int = 5000) -> dict[str, Any]:
    """Compare models that answered the same prompts.

    A metric is the mean over prompts of the mean over their responses of the response's own value; precision
    too is an average of per-response precisions, as in SAFE, not a share of all claims, and leaves out
    responses without any judged claim (see `abstention_share` and `judged_claims` beside it). Intervals are
    95% percentile intervals of a bootstrap over prompts; a difference is paired by prompt.

    Args:
        metrics: Model name to what `response_metrics` gave; one is named "base".
        k: The K of F1@K that the scores were made with.
        seed: Seeds the resampling.
        resamples: Number of bootstrap resamples and of sign flips.

    Returns:
        `{"models": [{"name", "metrics": {metric: estimate}, "difference_to_base": {metric: estimate}}], "prompts",
        "samples_per_prompt", "k", "seed", "confidence", "resamples"}`, each estimate as `Estimate.to_json` writes it.
        The base comes first, its `difference_to_base` is empty.

    Raises:
        ValueError: There is no base, or a model did not answer the prompts that the base answered.
    """
    if BASE not in metrics:
        raise ValueError(f"no model is named {BASE!r}; got {', '.join(metrics) or 'none'}")
    expected = set(metrics[BASE]["prompt_id"])
    for name, table in metrics.items():
        check_prompts(f"model {name!r}", set(table["prompt_id"]), expected)
    ordered = [BASE, *(name for name in metrics if name != BASE)]
    means = {name: prompt_means(metrics[name]) for name in ordered}
    models = []
    for name in ordered:
        difference: dict[str, Any] = {}
        if name != BASE:
            paired = means[name] - means[BASE]
            estimates = bootstrap_mean(paired, seed=seed, resamples=resamples)
            p_values = sign_flip_p_values(paired, seed=seed, resamples=resamples)
            difference = estimates_to_json(estimates_of(estimates.assign(p_value=p_values), UNITS))
        own = estimates_of(bootstrap_mean(means[name], seed=seed, resamples=resamples), UNITS)
        models.append({"name": name, "metrics": estimates_to_json(own), "difference_to_base": difference})
    return {
        "models": models,
        "prompts": len(expected),
        "samples_per_prompt": _samples_per_prompt(metrics),
        "k": k,
        "seed": seed,
        "confidence": CONFIDENCE,
        "resamples": resamples,
    }


def check_prompts(who: str, answered: set[str], expected: set[str]) -> None:
    """Refuse to compare answers to different prompts.

    Args:
        who: Answered, for the message.
        answered: Ids of prompts.
        expected: Ids of the benchmark's prompts.

    Raises:
        ValueError: The two differ.
    """
    if answered != expected:
        missing, surplus = sorted(expected - answered), sorted(answered - expected)
        raise ValueError(
            f"{who} was not benchmarked on the benchmark's {len(expected)} prompts: "
            f"{len(missing)} not answered {missing[:3]}, {len(surplus)} of others {surplus[:3]}; "
            "models are only comparable on the same prompts"
        )


def _samples_per_prompt(metrics: Mapping[str, pd.DataFrame]) -> int | float | None:
    """The number of samples, or their mean where prompts differ in it."""
    counts = pd.concat([table["prompt_id"].value_counts() for table in metrics.values()])
    if counts.empty:
        return None
    return int(counts.iloc[0]) if counts.nunique() == 1 else round(float(counts.mean()), 2)
