"""How far a verifier's labels agree with given ones, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from factalign.schemas import LABELS

METRICS = ("accuracy", "precision_supported", "recall_supported", "f1_supported", "recall_not_supported")


def verifier_agreement(
    claims: pd.DataFrame, labels: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Agreement of `labels` with those in `claims`, with 95% percentile intervals of a bootstrap over topics.

    Claims of one topic are drawn together: they share passages, and their errors go together. A `failed`
    label counts as disagreement.

    Args:
        claims: One row a claim, with `label` (right by hand) and `topic`.
        labels: The verifier's label of each row.
        resamples: Draws of the bootstrap.
        seed: Of the draws.

    Returns:
        One row a metric: `metric`, `value`, `low`, `high`, `claims` (what the share is of). A metric
        without a case to count is missing.

    Raises:
        ValueError: Lengths differ, or a label is none of `schemas.LABELS`.
    """
    if len(labels) != len(claims):
        raise ValueError(f"{len(claims)} claims but {len(labels)} labels")
    unknown = (set(labels) | set(claims["label"])) - set(LABELS)
    if unknown:
        raise ValueError(f"unknown label {sorted(unknown)[0]!r}; valid: {', '.join(LABELS)}")
    given, found = claims["label"].to_numpy(dtype=object), np.asarray(labels, dtype=object)
    counts = np.stack(
        [
            np.ones(len(claims)),
            given == found,
            (given == "supported") & (found == "supported"),
            found == "supported",
            given == "supported",
            (given == "not_supported") & (found == "not_supported"),
            given == "not_supported",
        ],
        axis=1,
    ).astype(float)
    topics, group = np.unique(claims["topic"].to_numpy(dtype=str), return_inverse=True)
    per_topic = np.zeros((len(topics), counts.shape[1]))
    np.add.at(per_topic, group, counts)
    if len(topics):
        draws = np.random.default_rng(seed).integers(len(topics), size=(resamples, len(topics)))
        sampled = per_topic[draws].sum(axis=1)
    else:
        sampled = per_topic
    total = counts.sum(axis=0)
    values, spread = _metrics(total[None]), _metrics(sampled)
    denominators = (total[0], total[3], total[4], total[4], total[6])
    rows = []
    for column, metric in enumerate(METRICS):
        known = spread[:, column][~np.isnan(spread[:, column])]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
        rows.append((metric, values[0, column], low, high, int(denominators[column])))
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "claims"])


def _metrics(counts: np.ndarray) -> np.ndarray:
    """[n, 7] counts to [n, 5] metrics; 0/0 is NaN."""
    total, equal, both, found, given, both_wrong, wrong = counts.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack(
            [equal / total, both / found, both / given, 2 * both / (found + given), both_wrong / wrong],
            axis=1,
        )
