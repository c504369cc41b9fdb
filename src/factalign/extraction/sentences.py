"""Sentences of a response, with the character offsets at which they stand in it."""

from __future__ import annotations

import pandas as pd

from factalign.base.ids import content_id
from factalign.base.text import split_sentences
from factalign.schemas import Sentences, empty


def split_responses(responses: pd.DataFrame) -> pd.DataFrame:
    """The `schemas.Sentences` of a `schemas.Responses` table; a response without text has none."""
    rows = []
    for response_id, text in zip(responses["response_id"], responses["text"], strict=True):
        for index, (start, end) in enumerate(split_sentences(text)):
            rows.append(
                {
                    "sentence_id": content_id("sentence", response_id, index, start, end),
                    "response_id": response_id,
                    "index": index,
                    "start": start,
                    "end": end,
                    "text": text[start:end],
                }
            )
    return pd.DataFrame(rows) if rows else empty(Sentences)
