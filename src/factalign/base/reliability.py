"""Confidence against accuracy, in bins of confidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from factalign.base.estimates import divide

BINS = 10


def confidence_bins(confidence: ArrayLike) -> np.ndarray:
    """The number of the bin of each confidence, of `BINS` equal ones; 1 belongs to the last."""
    return np.minimum((np.asarray(confidence, dtype="float64") * BINS).astype(int), BINS - 1)


def binned_error(size: np.ndarray, confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """The expected calibration error: mean gap between confidence and accuracy over bins, weighted by their size
    (Guo et al. 2017, arXiv 1706.04599, equation 3); NaN where all bins are empty.

    Args:
        size: [..., `BINS`], how many cases a bin has.
        confidence: Its sum over the cases of each bin.
        correct: How many of them are right.
    """
    return divide(np.abs(confidence - correct).sum(axis=-1), size.sum(axis=-1))


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike) -> float:
    """The `binned_error` of single cases: the confidence of each, and whether it is right."""
    group = confidence_bins(confidence)
    sums = (np.bincount(group, weights, BINS) for weights in (np.ones(len(group)), confidence, correct))
    return float(binned_error(*sums))
