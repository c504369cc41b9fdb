"""The page on which people label claims, and the page that says what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from factalign.analysis.pages import render
from factalign.base.estimates import estimates_from_json

TITLES = {"precision": "Precision", "true": "True", "telling": "True and telling", "false": "False"}
OF_VERDICTS = {name: title for name, title in TITLES.items() if name != "telling"}
AGREEMENT = {"share": "Same label", "kappa": "Cohen's κ"}


def render_sheet(sheet: pd.DataFrame, *, sheet_id: str, choices: Sequence[tuple[str, str, str]]) -> str:
    """The page to label claims on; it loads nothing, keeps the labels in the browser and saves them as CSV.

    Args:
        sheet: `schemas.SheetItems`, in the order of reading; text in it may hold anything.
        sheet_id: Under which the browser keeps the labels.
        choices: Key, label and its words.
    """
    numbers: dict[tuple[str, str], int] = {}
    items = [
        {
            **row,
            "passages": [
                numbers.setdefault((each["title"], each["text"]), len(numbers) + 1) for each in row["evidence"]
            ],
        }
        for row in sheet.to_dict("records")
    ]
    return render("sheet.html", items=items, passages=list(numbers), sheet_id=sheet_id, choices=choices)


def render_annotation(results: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """The report on filled sheets.

    Args:
        results: What `annotation.annotation_results` gave.
        words: Label to what it says.
    """
    agreement = results["agreement"] or {"all": {}, "pairs": [], "verifier": []}
    return render(
        "annotation.html",
        results=results,
        words=words,
        alpha=estimates_from_json(agreement["all"]),
        agreement_titles=AGREEMENT,
        readers=[_pair(row) for row in agreement["pairs"]],
        verifier=[_pair(row) for row in agreement["verifier"]],
        verdicts={row["first"]: row["labels"] for row in agreement["verifier"]},
        titles=TITLES,
        verdict_titles=OF_VERDICTS,
        corrected={name: _columns(policies) for name, policies in results["corrected"].items()},
    )


def _pair(row: Mapping[str, Any]) -> dict[str, Any]:
    head = f"{row['first']} – {row['second']} ({row['claims']} claims)"
    return {"head": head, "estimates": estimates_from_json(row["metrics"]), "signed": False}


def _columns(policies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of the policies with estimates: those of each kind, and differences to the base, as columns of tables."""
    return {
        "policies": policies,
        **{
            kind: [
                {
                    "head": each["name"],
                    "estimates": estimates_from_json(each[kind]),
                    "signed": kind.endswith("difference"),
                }
                for each in policies
                if each[kind]
            ]
            for kind in ("verifier", "corrected", "verifier_difference", "corrected_difference")
        },
    }
