"""What readers' labels of some claims say about all claims of a policy: prediction-powered inference.

Angelopoulos et al. (2023), "Prediction-powered inference", arXiv 2301.09633: the mean of the verdicts over all claims
is corrected by the mean of what verdicts get wrong on labelled ones. Claims are drawn by verdict, and so the correction
is made by verdict (Fisch et al. 2024, "Stratified prediction-powered inference", arXiv 2406.04291).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from factalign.base.estimates import CONFIDENCE, Estimate, estimates_to_json

PARTS = ("true", "telling", "false")
# What a verdict predicts and what a label says of a claim, by part; nothing of all others.
_OF_VERDICT = {"supported": (1, 1, 0), "not_supported": (0, 0, 1)}
_OF_LABEL = {"telling": (1, 1, 0), "trivial": (1, 0, 0), "false": (0, 0, 1)}
# Each metric is a share: of the claims of some parts, or of all.
METRICS: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "precision": ("true", ("true", "false")),
    "true": ("true", None),
    "telling": ("telling", None),
    "false": ("false", None),
}


@dataclass(frozen=True)
class _Share:
    """A share, and by how much each group of claims moves it (its influence, which adds up to 0)."""

    value: float
    influence: pd.Series

    def less(self, other: _Share) -> _Share:
        """The difference, on the same groups."""
        return _Share(self.value - other.value, self.influence.sub(other.influence, fill_value=0.0))

    def estimate(self, *, difference: bool = False) -> Estimate:
        """With a 95% interval from Student's t, since groups are few: variance by groups, as in cluster sampling."""
        from scipy.stats import t

        groups = len(self.influence)
        if groups < 2 or np.isnan(self.value):
            return Estimate(None if np.isnan(self.value) else self.value, None, None, n=groups)
        error = float(np.sqrt(groups / (groups - 1) * (self.influence**2).sum()))
        width = float(t.ppf((1 + CONFIDENCE) / 2, groups - 1)) * error
        low, high = self.value - width, self.value + width
        if not difference:
            return Estimate(self.value, max(low, 0.0), min(high, 1.0), n=groups)
        p_value = float(2 * t.sf(abs(self.value) / error, groups - 1)) if error else None
        return Estimate(self.value, low, high, p_value=p_value, n=groups)


def correct_policies(key: pd.DataFrame, annotations: pd.DataFrame) -> list[dict[str, Any]]:
    """Of each policy, shares by the verifier and corrected by readers, and their differences to the first; for JSON.

    precision is the share of true claims among those that are true or false; the others are shares of all distinct
    claims. All are over claims, unlike those of the benchmark's report, which average over responses. A claim that
    readers disagree on counts as a part of each label.

    Args:
        key: `schemas.AnnotationKey` of all policies, the base first.
        annotations: `schemas.Annotations`; unlabelled claims are taken to be missing at random.

    Returns:
        `[{"name", "claims", "drawn", "labelled", "verifier": {metric: estimate}, "corrected": …, "verifier_difference":
        …, "corrected_difference": …}]`; the differences of the first are empty, and so is what is corrected of a
        policy with fewer than two labels.
    """
    by_label = annotations["label"].map(lambda label: _OF_LABEL.get(label, (0, 0, 0)))
    labels = pd.DataFrame(by_label.tolist(), index=annotations["item_id"], columns=list(PARTS), dtype="float64")
    means = labels.groupby(level=0).mean()
    policies: list[dict[str, Any]] = []
    base: dict[str, dict[str, _Share]] = {}
    for name, claims in key.groupby("policy", sort=False):
        predicted = np.array([_OF_VERDICT.get(verdict, (0, 0, 0)) for verdict in claims["verdict"]], dtype="float64")
        observed = means.reindex(claims["item_id"]).to_numpy()
        labelled = int((~np.isnan(observed[:, 0])).sum())
        shares = {"verifier": _shares(predicted, claims["group"])}
        if labelled >= 2:
            outcomes = prediction_powered(predicted, observed, claims["verdict"].to_numpy())
            shares["corrected"] = _shares(outcomes, claims["group"])
        about: dict[str, Any] = {
            "name": str(name),
            "claims": len(claims),
            "drawn": int(claims["drawn"].sum()),
            "labelled": labelled,
        }
        for kind in ("verifier", "corrected"):
            own, first = shares.get(kind, {}), base.get(kind, {})
            about[kind] = estimates_to_json({metric: share.estimate() for metric, share in own.items()})
            about[f"{kind}_difference"] = estimates_to_json(
                {m: own[m].less(first[m]).estimate(difference=True) for m in own.keys() & first.keys()}
            )
        base = base or shares
        policies.append(about)
    return policies


def prediction_powered(predicted: np.ndarray, observed: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Outcomes of all claims whose mean is the prediction-powered one, and whose variance is that of both its parts.

    The mean of the outcomes is `mean(f) + Σ_h N_h / N · mean_h(y - f)`, with f predicted and y observed in strata h of
    N_h claims. A claim's outcome is f + mean_h(y - f), plus for each of the n_h labelled ones its distance from that
    times N_h / n_h, so that sums of squares estimate the variance of both parts, whatever groups they are taken over.
    √(n_h / (n_h - 1)) makes up for the estimated mean. Strata with fewer than two labels (and unlabelled claims) join
    the next larger one.

    Args:
        predicted: [claims x parts], what the verifier says.
        observed: [claims x parts], what readers say; NaN where a claim was not labelled, two labels at least.
        strata: [claims], from which claims were drawn with equal chances.

    Returns:
        [claims x parts].
    """
    known = ~np.isnan(observed[:, 0])
    outcomes = predicted.copy()
    for inside in _with_labels(strata, known):
        labelled = inside & known
        gap = observed[labelled] - predicted[labelled]
        size, read = int(inside.sum()), len(gap)
        outcomes[inside] += gap.mean(axis=0)
        small = np.sqrt(read / max(read - 1, 1))
        outcomes[labelled] += (gap - gap.mean(axis=0)) * small * size / read
    return outcomes


def _with_labels(strata: np.ndarray, known: np.ndarray) -> list[np.ndarray]:
    """Masks of the strata, from small to large; too thin ones are joined."""
    names, sizes = np.unique(strata, return_counts=True)
    masks: list[np.ndarray] = []
    waiting = np.zeros(len(strata), dtype=bool)
    for name in names[np.argsort(sizes, kind="stable")]:
        waiting = waiting | (strata == name)
        read = int((waiting & known).sum())
        if read >= 2 or read == waiting.sum():
            masks.append(waiting)
            waiting = np.zeros(len(strata), dtype=bool)
    if waiting.any():
        last = masks.pop() if masks else np.zeros(len(strata), dtype=bool)
        masks.append(last | waiting)
    return masks


def _shares(outcomes: np.ndarray, groups: pd.Series) -> dict[str, _Share]:
    columns = pd.DataFrame(outcomes, columns=list(PARTS))
    shares = {}
    for metric, (part, among) in METRICS.items():
        below = columns[list(among)].sum(axis=1) if among else pd.Series(1.0, index=columns.index)
        total = float(below.sum())
        value = float(columns[part].sum()) / total if total else float("nan")
        residual = (columns[part] - value * below) / total if total else below * value
        shares[metric] = _Share(value, residual.groupby(groups.to_numpy()).sum())
    return shares
