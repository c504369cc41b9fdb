"""Measures of probabilities against labels, for every draw of a bootstrap over topics.

Each measure is a function of counts that add up over topics, or over pairs of topics, so that a draw is a weighting of
them. `weights` are [draws x topics]; 0/0 is NaN.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from factalign.base.agreement import cohen_kappa
from factalign.base.estimates import divide
from factalign.base.reliability import BINS, binned_error, confidence_bins


def auroc(
    weights: np.ndarray,
    topic: np.ndarray,
    score: np.ndarray,
    positive: np.ndarray,
    negative: np.ndarray,
    kind: np.ndarray | None = None,
) -> np.ndarray:
    """The probability that a positive has the higher score than a negative, ties half [draws].

    Args:
        weights: See above.
        topic: The number of each case's topic.
        score: Of each case.
        positive, negative: Which cases are; others do not count.
        kind: If given, only pairs of one kind and two topics count.
    """
    wins, pairs = ordered_pairs(weights.shape[1], topic, score, positive, negative, kind)
    above, count = (np.einsum("dt,tu,du->d", weights, matrix, weights, optimize=True) for matrix in (wins, pairs))
    return divide(above, count)


def ordered_pairs(
    topics: int,
    topic: np.ndarray,
    score: np.ndarray,
    positive: np.ndarray,
    negative: np.ndarray,
    kind: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """[topics x topics]: pairs that `auroc` counts as right, and all, by the topics of positive and negative."""
    first, second = np.flatnonzero(positive), np.flatnonzero(negative)
    gap = score[first, None] - score[None, second]
    right = (gap > 0) + 0.5 * (gap == 0)
    counted = np.ones_like(right)
    if kind is not None:
        counted = (kind[first, None] == kind[None, second]) & (topic[first, None] != topic[None, second])
    rows, columns = np.eye(topics)[topic[first]], np.eye(topics)[topic[second]]
    return rows.T @ (right * counted) @ columns, rows.T @ counted.astype("float64") @ columns


def by_topic(weights: np.ndarray, topic: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sums over cases, [draws x columns], of `columns` [cases x columns]."""
    sums = np.zeros((weights.shape[1], columns.shape[1]))
    np.add.at(sums, topic, columns.astype("float64"))
    return weights @ sums


def decisions(weights: np.ndarray, topic: np.ndarray, found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[draws x (precision, recall, κ)] of yes or no against the truth."""
    cells = by_topic(weights, topic, np.column_stack([found & truth, found & ~truth, ~found & truth, ~found & ~truth]))
    right, wrong, missed, _ = cells.T
    return np.column_stack(
        [divide(right, right + wrong), divide(right, right + missed), cohen_kappa(cells.reshape(-1, 2, 2))]
    )


def calibration_error(weights: np.ndarray, topic: np.ndarray, probability: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The expected calibration error of a probability [draws]; see `base.reliability.binned_error`."""
    bins = np.eye(BINS)[confidence_bins(probability)]
    columns = np.column_stack([bins, bins * probability[:, None], bins * truth[:, None]])
    size, sure, right = by_topic(weights, topic, columns).reshape(-1, 3, BINS).transpose(1, 0, 2)
    return binned_error(size, sure, right)


def reliability_table(probability: np.ndarray, truth: np.ndarray) -> list[dict[str, float]]:
    """The bins behind `calibration_error` that hold a case: mean `probability`, `share` that is true, `cases`."""
    table = pd.DataFrame({"bin": confidence_bins(probability), "probability": probability, "share": truth})
    return [
        {"probability": float(rows["probability"].mean()), "share": float(rows["share"].mean()), "cases": len(rows)}
        for _, rows in table.groupby("bin")
    ]
