"""Means over prompts with bootstrap intervals, and paired tests.

The prompt is the unit: samples of one prompt are not independent, so they are averaged first and prompts are
resampled (a cluster bootstrap). Missing values are left out of a mean, never counted as 0; a prompt whose
samples are all missing does not count for that metric.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

CONFIDENCE = 0.95
_BLOCK_CELLS = 4_000_000  # resamples x prompts held at once, 32 MB


def prompt_means(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean over the samples of each prompt: one row a `prompt_id` (sorted), one column a metric."""
    return metrics.drop(columns="response_id", errors="ignore").groupby("prompt_id").mean().sort_index()


def bootstrap_mean(values: pd.DataFrame, *, seed: int, resamples: int = 5000) -> pd.DataFrame:
    """Mean over the rows of `values` and its 95% percentile interval (Efron & Tibshirani 1993, chapter 13).

    Args:
        values: [prompts x metrics]. All metrics share the same resampled prompts.
        seed: Same seed and number of prompts, same resamples.
        resamples: Number of bootstrap resamples.

    Returns:
        [metrics x (mean, low, high)], missing where a metric has no value at all.
    """
    matrix = values.to_numpy(dtype="float64")
    present = ~np.isnan(matrix)
    filled = np.where(present, matrix, 0.0)
    n = len(matrix)
    generator = np.random.default_rng(seed)
    means = np.full((resamples, matrix.shape[1]), np.nan)
    for block in _blocks(resamples, n):
        weights = generator.multinomial(n, np.full(n, 1 / n), size=block.stop - block.start).astype("float64")
        # A resample that misses every prompt with a value has no mean; quantiles leave it out.
        means[block] = _divide(weights @ filled, weights @ present)
    tail = (1 - CONFIDENCE) / 2
    result = pd.DataFrame({"mean": _divide(filled.sum(axis=0), present.sum(axis=0))}, index=values.columns)
    known = present.any(axis=0)
    bounds = np.full((2, matrix.shape[1]), np.nan)
    bounds[:, known] = np.nanquantile(means[:, known], [tail, 1 - tail], axis=0)
    return result.assign(low=bounds[0], high=bounds[1])


def sign_flip_p_values(differences: pd.DataFrame, *, seed: int, resamples: int = 5000) -> pd.Series:
    """Two-sided p-values of paired differences under random flips of their signs (Fisher's randomisation
    test).

    p = (1 + flips whose |mean| is at least the observed one) / (1 + flips): never 0, and 1 if nothing
    differs.

    Args:
        differences: [prompts x metrics].
        seed: Same seed and number of prompts, same flips.
        resamples: Number of random flips.

    Returns:
        One p-value a metric, missing where a metric has no value.
    """
    matrix = differences.to_numpy(dtype="float64")
    filled = np.nan_to_num(matrix)
    observed = np.abs(filled.sum(axis=0))
    slack = 1e-12 * np.abs(filled).sum(axis=0)  # sums of the same terms differ in their last bits
    generator = np.random.default_rng(seed)
    extreme = np.zeros(matrix.shape[1])
    for block in _blocks(resamples, len(matrix)):
        signs = generator.integers(0, 2, size=(block.stop - block.start, len(matrix))) * 2.0 - 1.0
        extreme += (np.abs(signs @ filled) >= observed - slack).sum(axis=0)
    p_values = np.where(np.isnan(matrix).all(axis=0), np.nan, (1 + extreme) / (1 + resamples))
    return pd.Series(p_values, index=differences.columns, name="p_value")


def _blocks(resamples: int, n: int) -> Iterator[slice]:
    if n:
        step = max(1, _BLOCK_CELLS // n)
        for start in range(0, resamples, step):
            yield slice(start, min(start + step, resamples))


def _divide(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    quotient = np.full(np.shape(total), np.nan)
    np.divide(total, count, out=quotient, where=count > 0)
    return quotient
