"""Means with bootstrap intervals.

Whoever resamples draws whole groups (a prompt with its samples, a topic with its claims), since what belongs together
errs together. Missing values are left out of a mean, never counted as 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

CONFIDENCE = 0.95
_BLOCK_CELLS = 4_000_000  # resamples x groups held at once, 32 MB


def prompt_means(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean over the samples of each prompt: one row a `prompt_id` (sorted), one column a metric."""
    return metrics.drop(columns="response_id", errors="ignore").groupby("prompt_id").mean().sort_index()


def bootstrap_mean(values: pd.DataFrame, *, seed: int, resamples: int = 5000) -> pd.DataFrame:
    """Mean over the rows of `values` and its 95% percentile interval (Efron & Tibshirani 1993, chapter 13).

    Args:
        values: [groups x metrics]. All metrics share the same resampled groups.
        seed: Same seed and number of groups, same resamples.
        resamples: Number of bootstrap resamples.

    Returns:
        [metrics x (mean, low, high)], missing where a metric has no value at all.
    """
    matrix = values.to_numpy(dtype="float64")
    present = ~np.isnan(matrix)
    filled = np.where(present, matrix, 0.0)
    # A resample that misses every group with a value has no mean; quantiles leave it out.
    means = [divide(weights @ filled, weights @ present) for weights in resampled_weights(len(matrix), resamples, seed)]
    bounds = interval(np.concatenate(means)) if means else np.full((2, matrix.shape[1]), np.nan)
    result = pd.DataFrame({"mean": divide(filled.sum(axis=0), present.sum(axis=0))}, index=values.columns)
    return result.assign(low=bounds[0], high=bounds[1])


def resampled_weights(groups: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each group is drawn: blocks of [some resamples x groups], none where there is no group."""
    generator = np.random.default_rng(seed)
    for block in blocks(resamples, groups):
        size = block.stop - block.start
        yield generator.multinomial(groups, np.full(groups, 1 / groups), size=size).astype("float64")


def interval(estimates: np.ndarray) -> np.ndarray:
    """[resamples x metrics] to [(low, high) x metrics]; NaN is left out, and the answer where nothing else is."""
    tail = (1 - CONFIDENCE) / 2
    bounds = np.full((2, estimates.shape[1]), np.nan)
    known = ~np.isnan(estimates).all(axis=0)
    bounds[:, known] = np.nanquantile(estimates[:, known], [tail, 1 - tail], axis=0)
    return bounds


def blocks(resamples: int, groups: int) -> Iterator[slice]:
    """Slices of the resamples, each small enough to hold; none where there is no group."""
    if groups:
        step = max(1, _BLOCK_CELLS // groups)
        for start in range(0, resamples, step):
            yield slice(start, min(start + step, resamples))


def divide(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """`total / count`, NaN where `count` is 0."""
    quotient = np.full(np.shape(total), np.nan)
    np.divide(total, count, out=quotient, where=count > 0)
    return quotient
