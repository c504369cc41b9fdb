"""How far readers agree with one another and with the verifier.

Both coefficients are functions of counts that add up over claims, so a bootstrap over groups weights their counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from factalign.annotation.labels import AS_VERDICT
from factalign.base.agreement import agreed_share, cohen_kappa
from factalign.base.estimates import divide, estimates_of_draws, estimates_to_json, resampled_weights
from factalign.schemas import LABELS, READER_LABELS

_JUDGED = LABELS[:3]


def agreement_table(
    key: pd.DataFrame, annotations: pd.DataFrame, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Agreement on the claims of the sheet with 95% bootstrap intervals over groups; fits into JSON.

    Verdicts are compared with what a reader's label comes to (`labels.AS_VERDICT`), over claims with a verdict.

    Args:
        key: `schemas.AnnotationKey`.
        annotations: `schemas.Annotations`.
        resamples: Draws of the bootstrap.
        seed: Of the draws.

    Returns:
        `{"all": {"alpha"}, "pairs": [{"first", "second", "claims", "metrics": {"share", "kappa"}}], "verifier": [the
        same of each reader and "verifier", with "labels": {verdict: {label: claims}}]}`, alpha over claims with two
        labels at least.
    """
    table = annotations.pivot(index="item_id", columns="reader", values="label")
    about = key.set_index("item_id").loc[table.index]
    groups = about["group"]
    draws = {"resamples": resamples, "seed": seed}

    def compare(first: pd.Series, second: pd.Series, labels: Sequence[str]) -> dict[str, Any]:
        counts = confusions(first, second, labels)
        both = counts.sum(axis=(1, 2)) > 0
        metrics = _estimate(counts[both], groups[both], {"share": agreed_share, "kappa": cohen_kappa}, **draws)
        return {"first": first.name, "second": second.name, "claims": int(both.sum()), "metrics": metrics}

    verdicts = about["verdict"].rename("verifier")
    return {
        "all": _estimate(coincidences(table), groups, {"alpha": krippendorff_alpha}, **draws),
        "pairs": [compare(table[first], table[second], READER_LABELS) for first, second in combinations(table, 2)],
        "verifier": [
            {
                **compare(table[reader].map(AS_VERDICT), verdicts, _JUDGED),
                "labels": {
                    verdict: {
                        label: int(((verdicts == verdict) & (table[reader] == label)).sum()) for label in READER_LABELS
                    }
                    for verdict in LABELS
                    if (verdicts == verdict).any()
                },
            }
            for reader in table
        ],
    }


def confusions(first: pd.Series, second: pd.Series, labels: Sequence[str]) -> np.ndarray:
    """[claims x labels x labels]: 1 where the first says the one and the second the other; 0 without both."""
    return _one_hot(first, labels)[:, :, None] * _one_hot(second, labels)[:, None, :]


def coincidences(table: pd.DataFrame) -> np.ndarray:
    """[claims x labels x labels], what each claim adds to the coincidence matrix of Krippendorff (2011), section C.

    Args:
        table: [claims x readers] labels, missing where a reader did not label a claim.
    """
    counts = np.sum([_one_hot(table[reader], READER_LABELS) for reader in table], axis=0)
    readers = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(counts.shape[1])
    return pairs / np.maximum(readers - 1, 1)[:, None, None]


def krippendorff_alpha(coincidence: np.ndarray) -> np.ndarray:
    """α = 1 - D_o / D_e for nominal data of [... x labels x labels] coincidence matrices.

    K. Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C. NaN where there is but one label.
    """
    by_label = coincidence.sum(axis=-1)
    total = by_label.sum(axis=-1)
    differing = total - np.trace(coincidence, axis1=-2, axis2=-1)
    return 1 - divide((total - 1) * differing, total**2 - (by_label**2).sum(axis=-1))


def _one_hot(labels: pd.Series, valid: Sequence[str]) -> np.ndarray:
    return (labels.to_numpy(dtype=object)[:, None] == np.array(valid, dtype=object)).astype("float64")


def _estimate(
    counts: np.ndarray,
    groups: pd.Series,
    metrics: dict[str, Callable[[np.ndarray], np.ndarray]],
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    names, group = np.unique(groups.to_numpy(dtype=str), return_inverse=True)
    sums = np.zeros((len(names), *counts.shape[1:]))
    np.add.at(sums, group, counts)
    weights = [np.ones((1, len(names))), *resampled_weights(len(names), resamples, seed)]
    drawn = np.tensordot(np.concatenate(weights), sums, axes=1)
    values = np.stack([metric(drawn) for metric in metrics.values()], axis=1)
    return estimates_to_json(estimates_of_draws(values, list(metrics), n=len(names)))
