"""Nodes of the annotate pipeline."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from factalign.base.heavy import pd
from factalign.parameters import AnnotateConfig

logger = logging.getLogger(__name__)


def draw_of(policy: str) -> Callable[..., Any]:
    """The node function that draws the claims of `policy`."""

    def draw(
        annotate: AnnotateConfig, passages: pd.DataFrame, found_passages: pd.DataFrame, **tables: pd.DataFrame
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """All distinct claims of the policy, and what a reader sees of those drawn."""
        from factalign.annotation import draw_items

        return draw_items(
            policy,
            {**tables, "passages": pd.concat([passages, found_passages])},
            number=annotate.claims_per_policy,
            passages=annotate.passages,
            seed=annotate.seed,
        )

    return draw


def join(*keys: pd.DataFrame) -> pd.DataFrame:
    """Which claim of which policy every item is, and its verdict."""
    return pd.concat(keys, ignore_index=True)


def write_sheet(*items: pd.DataFrame) -> tuple[pd.DataFrame, str, str]:
    """The blinded sheet as a table, as CSV and as a page to label it on."""
    from factalign.annotation import blind, sheet_csv, sheet_html

    sheet = blind(items)
    return sheet, sheet_csv(sheet), sheet_html(sheet)


def read(annotate: AnnotateConfig, key: pd.DataFrame) -> pd.DataFrame:
    """The labels of all filled sheets."""
    from factalign.annotation import read_filled

    if not annotate.sheets:
        logger.warning("annotate.sheets names no filled sheet: there is nothing to correct the verifier with yet.")
    return read_filled({sheet.name: sheet.path for sheet in annotate.sheets}, key.loc[key["drawn"], "item_id"])


def measure(key: pd.DataFrame, annotations: pd.DataFrame, annotate: AnnotateConfig) -> dict[str, Any]:
    """How far readers agree, and every policy and its difference to the base, corrected by their labels."""
    from factalign.annotation import annotation_results
    from factalign.base.estimates import Estimate

    results = annotation_results(key, annotations, resamples=annotate.resamples, seed=annotate.seed)
    for reader, policies in results["corrected"].items():
        for policy in filter(lambda each: each["corrected"], policies):
            estimates = (Estimate.from_json(policy[kind]["precision"]).text() for kind in ("verifier", "corrected"))
            logger.info(
                "precision of %s: %s, corrected by %s %s", policy["name"], next(estimates), reader, next(estimates)
            )
    return results


def report(results: dict[str, Any]) -> str:
    """One HTML page."""
    from factalign.analysis import render_annotation
    from factalign.annotation.labels import WORDS

    return render_annotation(results, WORDS)
