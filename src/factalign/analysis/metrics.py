"""The metrics of responses: what they are called, how they are shown, and their value for one response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from factalign.base.estimates import Unit


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Attributes:
        title: Words for tables and figures; `{k}` stands for the K of F1@K.
        unit: `share` (0 to 1) or `count` (mean number in a response).
        role: `factuality` is what alignment is for; `guard` is what must not pay for it.
    """

    title: str
    unit: Unit
    role: Literal["factuality", "guard"]

    def label(self, k: int) -> str:
        """The title with K filled in."""
        return self.title.format(k=k)


METRICS = {
    "precision": Metric("Precision", "share", "factuality"),
    "f1_at_k": Metric("F1@{k}", "share", "factuality"),
    "recall_at_k": Metric("Recall@{k}", "share", "factuality"),
    "supported_claims": Metric("Supported claims", "count", "factuality"),
    "judged_claims": Metric("Judged claims", "count", "guard"),
    "coverage": Metric("Coverage", "share", "guard"),
    "num_words": Metric("Length (words)", "count", "guard"),
    "num_tokens": Metric("Length (tokens)", "count", "guard"),
    "duplicate_share": Metric("Duplicate claims", "share", "guard"),
    "distinct_2": Metric("Distinct-2", "share", "guard"),
    "irrelevant_share": Metric("Irrelevant claims", "share", "guard"),
    "abstention_share": Metric("Abstentions", "share", "guard"),
}
UNITS = {name: metric.unit for name, metric in METRICS.items()}


def response_metrics(scores: pd.DataFrame) -> pd.DataFrame:
    """One row a response: `response_id`, `prompt_id` and a float column for each of `METRICS`.

    judged_claims counts supported and not supported ones; duplicate_share = duplicates / all claims;
    irrelevant_share = irrelevant / distinct claims; abstention_share is 1 for a response with nothing to
    judge (no supported, not supported or failed claim), else 0. Missing where the denominator is 0.

    Args:
        scores: A `ResponseScores` table.
    """
    judged = scores["num_supported"] + scores["num_not_supported"]
    all_claims = scores["num_claims"] + scores["num_duplicates"]
    columns = {
        "precision": scores["precision"],
        "f1_at_k": scores["f1_at_k"],
        "recall_at_k": scores["recall_at_k"],
        "supported_claims": scores["num_supported"],
        "judged_claims": judged,
        "coverage": scores["coverage"],
        "num_words": scores["num_words"],
        "num_tokens": scores["num_tokens"],
        "duplicate_share": scores["num_duplicates"] / all_claims.where(all_claims > 0),
        "distinct_2": scores["distinct_2"],
        "irrelevant_share": scores["num_irrelevant"] / scores["num_claims"].where(scores["num_claims"] > 0),
        "abstention_share": (judged + scores["num_failed"]) == 0,
    }
    values = {name: columns[name].astype("float64") for name in METRICS}
    return pd.DataFrame({"response_id": scores["response_id"], "prompt_id": scores["prompt_id"], **values})
