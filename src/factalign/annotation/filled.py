"""Sheets that readers have filled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from factalign.annotation.labels import KEYS
from factalign.base.records import RecordError, read_records
from factalign.schemas import READER_LABELS, Annotations, empty


def read_filled(sheets: Mapping[str, str | Path], items: Iterable[str]) -> pd.DataFrame:
    """The `schemas.Annotations` of all readers.

    Args:
        sheets: Reader to the file that she filled: `.csv`, `.jsonl` or `.parquet` with `item_id` and `label`, a label
            being one of `READER_LABELS` or its key (1 to 4), or empty where the claim was not read.
        items: The ids of the sheet.

    Raises:
        RecordError: A file is missing, malformed, without any label or not of this sheet; a label is not valid; an item
            stands twice. The message names path and line.
    """
    known = set(items)
    rows = [(item_id, reader, label) for reader, path in sheets.items() for item_id, label in _read(path, known)]
    if not rows:
        return empty(Annotations)
    return Annotations.validate(pd.DataFrame(rows, columns=["item_id", "reader", "label"]))


def _read(path: str | Path, known: set[str]) -> list[tuple[str, str]]:
    seen: dict[str, int] = {}
    labelled = []
    for record in read_records(path, "filled annotation sheets"):
        item_id = record.text("item_id").strip()
        if item_id not in known:
            raise record.error(
                "item_id", f"{item_id!r} is no claim of the sheet that these runs, seed and number of claims make"
            )
        if item_id in seen:
            raise record.error("item_id", f"{item_id!r} stands in line {seen[item_id]} already")
        seen[item_id] = record.line
        given = str(record["label"]).strip() if record.has("label") else ""
        label = KEYS.get(given, given)
        if label and label not in READER_LABELS:
            valid = ", ".join(f"{name} ({key})" for key, name in KEYS.items())
            raise record.error("label", f"must be one of {valid} or empty, got {given!r:.200}")
        if label:
            labelled.append((item_id, label))
    if not labelled:
        raise RecordError(f"{path}: no label in it; its reader fills the column 'label'")
    return labelled
