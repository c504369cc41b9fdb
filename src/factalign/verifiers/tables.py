"""Passages to judge by, of a table."""

from __future__ import annotations

import json

import pandas as pd

from factalign.corpora import facts_from_json
from factalign.verifiers.protocol import Passage


def passages_by_id(passages: pd.DataFrame) -> dict[str, Passage]:
    """The rows of a `schemas.Passages` table, by `passage_id`."""
    columns = (passages[name].tolist() for name in ("passage_id", "title", "field", "text", "aliases", "facts"))
    return {
        passage_id: Passage(text, title, field, passage_id, tuple(json.loads(aliases)), facts_from_json(facts))
        for passage_id, title, field, text, aliases, facts in zip(*columns, strict=True)
    }
