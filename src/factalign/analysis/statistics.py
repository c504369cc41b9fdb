"""Tests of paired differences."""

from __future__ import annotations

import numpy as np
import pandas as pd

from factalign.base.estimates import blocks


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
    for block in blocks(resamples, len(matrix)):
        signs = generator.integers(0, 2, size=(block.stop - block.start, len(matrix))) * 2.0 - 1.0
        extreme += (np.abs(signs @ filled) >= observed - slack).sum(axis=0)
    p_values = np.where(np.isnan(matrix).all(axis=0), np.nan, (1 + extreme) / (1 + resamples))
    return pd.Series(p_values, index=differences.columns, name="p_value")
