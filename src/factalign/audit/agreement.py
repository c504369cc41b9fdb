"""How far a verifier agrees with given labels, with intervals, alone and against another verifier."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from factalign.base.agreement import agreed_share, cohen_kappa
from factalign.base.estimates import Estimate, divide, estimates_of_draws, resampled_weights
from factalign.base.reliability import BINS, binned_error, confidence_bins
from factalign.schemas import LABELS

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "auroc",
    "precision_supported",
    "recall_supported",
    "f1_supported",
    "precision_not_supported",
    "recall_not_supported",
    "youden_j",
    "ece",
    "kappa",
    "coverage",
)
_STEPS = 2048  # different scores that the AUROC tells apart: beyond that, neighbours in rank are taken together
_CELLS = len(LABELS) ** 2


def verifier_agreement(
    claims: pd.DataFrame, verdicts: pd.DataFrame, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Estimate]:
    """Agreement of verdicts with given labels, with 95% percentile intervals of a bootstrap over groups.

    Claims of one group (a topic, a document) are drawn together: they share passages, and their errors go together.

    accuracy, balanced_accuracy (the mean of both recalls), precision, recall and F1 by class, and kappa (Cohen 1960)
    compare labels; youden_j is the sum of both recalls less 1 (Youden 1950), 0 for whoever answers without looking. A
    `failed` verdict agrees with none of them, and lowers `coverage`. auroc is that of the score P(supported), over the
    claims that are supported or not supported: `confidence` for a supported verdict, 1 - confidence for a not
    supported one, (1 - confidence) / 2 for an irrelevant one and 1/2 for a failed one. ece is the expected calibration
    error of the confidence in the label (Guo et al. 2017, arXiv 1706.04599, equation 3), in `BINS` equal bins, without
    failed verdicts; resampling makes it larger, so that it may lie below its own interval.

    Args:
        claims: `claim_id`, `label` (the right one) and `group`.
        verdicts: `claim_id`, `label` and `confidence`, one row for each of `claims`.
        resamples: Draws of the bootstrap.
        seed: Of the draws.

    Returns:
        Each of `METRICS`, None where there is no case to count; `n` is the number of groups.

    Raises:
        ValueError: A claim has no verdict or several, or a label is none of `schemas.LABELS`.
    """
    return _estimates(claims, _draws(claims, verdicts, resamples, seed))


def agreement_difference(
    claims: pd.DataFrame, first: pd.DataFrame, second: pd.DataFrame, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Estimate]:
    """`verifier_agreement` of `first` less that of `second`, on the same draws of groups."""
    difference = _draws(claims, first, resamples, seed) - _draws(claims, second, resamples, seed)
    return _estimates(claims, difference)


def confusion(claims: pd.DataFrame, verdicts: pd.DataFrame) -> dict[str, dict[str, int]]:
    """How often each given label met each verdict: given -> found -> claims; labels that are never given left out."""
    both = _joined(claims, verdicts)
    pairs = Counter(zip(both["label"], both["found"], strict=True))
    given = [label for label in LABELS if label in set(both["label"])]
    return {label: {found: pairs[label, found] for found in LABELS} for label in given}


def reliability(claims: pd.DataFrame, verdicts: pd.DataFrame) -> list[dict[str, Any]]:
    """The bins behind `ece` that hold a claim: mean `confidence`, share that is right (`accuracy`), `claims`."""
    both = _joined(claims, verdicts)
    both = both[both["found"] != "failed"]
    right = both["label"] == both["found"]
    table = pd.DataFrame(
        {"bin": confidence_bins(both["confidence"]), "confidence": both["confidence"], "accuracy": right}
    )
    grouped = table.groupby("bin")
    return [
        {"confidence": float(row["confidence"]), "accuracy": float(row["accuracy"]), "claims": int(size)}
        for (_, row), size in zip(grouped.mean().iterrows(), grouped.size(), strict=True)
    ]


def _joined(claims: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    found = verdicts[["claim_id", "label", "confidence"]].rename(columns={"label": "found"})
    if sorted(found["claim_id"]) != sorted(claims["claim_id"]):
        raise ValueError(f"{len(claims)} claims need one verdict each, got {len(found)} verdicts, not all on them")
    both = claims.merge(found, on="claim_id", validate="one_to_one")
    unknown = (set(both["label"]) | set(both["found"])) - set(LABELS)
    if unknown:
        raise ValueError(f"unknown label {min(unknown)!r}; valid: {', '.join(LABELS)}")
    return both


def _draws(claims: pd.DataFrame, verdicts: pd.DataFrame, resamples: int, seed: int) -> np.ndarray:
    """[1 + resamples x metrics]: of all claims, then of each draw.

    Every metric is a function of counts that add up over claims, so a draw is a weighting of the counts of groups.
    """
    both = _joined(claims, verdicts)
    counts = _counts(both)
    everything = np.ones((1, counts.shape[0]))
    weights = [everything, *resampled_weights(counts.shape[0], resamples, seed)]
    return np.concatenate([_metrics((counts.T @ block.T).T) for block in weights])


def _counts(both: pd.DataFrame) -> csr_matrix:
    """[groups x columns]: the confusion matrix; claims, confidence and right ones by bin; both classes by score."""
    _, group = np.unique(both["group"].to_numpy(dtype=str), return_inverse=True)
    number = {label: position for position, label in enumerate(LABELS)}
    given, found = (both[name].map(number).to_numpy(dtype=int) for name in ("label", "found"))
    confidence = both["confidence"].to_numpy(dtype="float64")
    judged = found != number["failed"]
    score = np.select(
        [found == number["supported"], found == number["not_supported"], judged],
        [confidence, 1 - confidence, (1 - confidence) / 2],
        default=0.5,
    )
    values, rank = np.unique(score, return_inverse=True)
    if len(values) > _STEPS:
        rank = rank * _STEPS // len(values)
    steps = min(len(values), _STEPS)
    bins = _CELLS + confidence_bins(confidence)
    ones = np.ones(len(both))
    parts = [
        (ones.astype(bool), given * len(LABELS) + found, ones),
        (judged, bins, ones),
        (judged, bins + BINS, confidence),
        (judged, bins + 2 * BINS, (given == found).astype(float)),
        (given == number["supported"], _CELLS + 3 * BINS + rank, ones),
        (given == number["not_supported"], _CELLS + 3 * BINS + steps + rank, ones),
    ]
    rows, columns, amounts = (
        np.concatenate(arrays)
        for arrays in zip(
            *((group[which], column[which], amount[which]) for which, column, amount in parts), strict=True
        )
    )
    shape = (int(group.max()) + 1 if len(both) else 0, _CELLS + 3 * BINS + 2 * steps)
    return csr_matrix((amounts, (rows, columns)), shape=shape)


def _metrics(counts: np.ndarray) -> np.ndarray:
    """[n x columns] counts to [n x metrics]; 0/0 is NaN."""
    cells = counts[:, :_CELLS].reshape(-1, len(LABELS), len(LABELS))
    total, given, found = cells.sum(axis=(1, 2)), cells.sum(axis=2), cells.sum(axis=1)
    right = np.diagonal(cells, axis1=1, axis2=2)
    precision, recall = divide(right[:, :2], found[:, :2]), divide(right[:, :2], given[:, :2])
    size, sure, correct = counts[:, _CELLS : _CELLS + 3 * BINS].reshape(-1, 3, BINS).transpose(1, 0, 2)
    positive, negative = np.split(counts[:, _CELLS + 3 * BINS :], 2, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2  # ties count one half
    return np.stack(
        [
            agreed_share(cells),
            recall.mean(axis=1),
            divide((positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1)),
            precision[:, 0],
            recall[:, 0],
            divide(2 * right[:, 0], given[:, 0] + found[:, 0]),
            precision[:, 1],
            recall[:, 1],
            recall.sum(axis=1) - 1,
            binned_error(size, sure, correct),
            cohen_kappa(cells),
            1 - divide(found[:, LABELS.index("failed")], total),
        ],
        axis=1,
    )


def _estimates(claims: pd.DataFrame, draws: np.ndarray) -> dict[str, Estimate]:
    return estimates_of_draws(draws, METRICS, n=claims["group"].nunique())
