"""Published metrics of long answers, from counts of their facts.

Every function takes arrays [responses] or numbers, and gives float arrays of the same shape. Facts without a verdict
(`failed`) are in none of the counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from factalign.base.estimates import divide

GAMMA = 10


def precision(supported: ArrayLike, not_supported: ArrayLike) -> np.ndarray:
    """S / (S + N), NaN where nothing was judged (SAFE, Wei et al. 2024, arXiv 2403.18802, section 5)."""
    supported = np.asarray(supported, dtype="float64")
    return divide(supported, supported + np.asarray(not_supported, dtype="float64"))


def recall_at_k(supported: ArrayLike, k: int) -> np.ndarray:
    """min(S / K, 1): K supported facts count as a complete answer (SAFE, section 5).

    Raises:
        ValueError: `k` is below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1 (supported claims for full recall), got {k}")
    return np.minimum(np.asarray(supported, dtype="float64") / k, 1.0)


def f1_at_k(supported: ArrayLike, not_supported: ArrayLike, k: int) -> np.ndarray:
    """2 precision recall / (precision + recall), and 0 where S = 0 (SAFE, section 5)."""
    exact, complete = precision(supported, not_supported), recall_at_k(supported, k)
    return np.nan_to_num(divide(2 * exact * complete, exact + complete))


def factscore(
    supported: ArrayLike, not_supported: ArrayLike, irrelevant: ArrayLike = 0, gamma: int | None = GAMMA
) -> np.ndarray:
    """FActScore of each response: the supported share of *all* its facts, times a penalty for having few.

    The share is S / (S + N + I) (Min et al. 2023, arXiv 2305.14251, section 3.1): irrelevant facts I are not supported
    ones there, which sets it apart from `precision`. The penalty is that of the authors' scorer: 1 from `gamma` facts
    on, exp(1 - gamma / facts) below; the paper's own numbers have none.

    Args:
        supported: Facts that the knowledge source supports.
        not_supported: Facts that it does not.
        irrelevant: Facts that are not about the topic, or with nothing to check.
        gamma: Facts that escape the penalty; None for no penalty.

    Returns:
        NaN where there is no fact: such a response abstains and is left out of the mean.
    """
    supported = np.asarray(supported, dtype="float64")
    facts = supported + np.asarray(not_supported, dtype="float64") + np.asarray(irrelevant, dtype="float64")
    share = divide(supported, facts)
    if gamma is None:
        return share
    return share * np.exp(np.minimum(1 - gamma / np.maximum(facts, 1), 0.0))
