"""All that filled sheets tell, in one dict."""

from __future__ import annotations

from typing import Any

import pandas as pd

from factalign.annotation.agreement import agreement_table
from factalign.annotation.correction import correct_policies
from factalign.base.estimates import CONFIDENCE
from factalign.schemas import READER_LABELS


def annotation_results(
    key: pd.DataFrame, annotations: pd.DataFrame, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Agreement, and the policies corrected by all readers and by each; fits into JSON.

    Returns:
        `{"claims", "policies", "readers": {reader: {label: claims}}, "agreement": what `agreement_table` gives,
        "corrected": {"all readers" or reader: what `correct_policies` gives}, "confidence", "resamples", "seed"}`, with
        nothing in agreement and corrected where no sheet was filled.
    """
    results: dict[str, Any] = {
        "claims": int(key["drawn"].sum()),
        "policies": list(dict.fromkeys(key["policy"])),
        "readers": {},
        "agreement": {},
        "corrected": {},
        "confidence": CONFIDENCE,
        "resamples": resamples,
        "seed": seed,
    }
    if annotations.empty:
        return results
    by_reader = {str(name): rows for name, rows in annotations.groupby("reader", sort=False)}
    everybody = {"all readers": annotations} if len(by_reader) > 1 else {}
    results["readers"] = {
        name: {label: int((rows["label"] == label).sum()) for label in READER_LABELS}
        for name, rows in by_reader.items()
    }
    results["agreement"] = agreement_table(key, annotations, resamples=resamples, seed=seed)
    results["corrected"] = {name: correct_policies(key, rows) for name, rows in (everybody | by_reader).items()}
    return results
