"""Atomic, self-contained claims out of sentences, and which of them say the same."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from factalign.base.ids import content_id
from factalign.base.registry import ChoiceLike
from factalign.base.text import with_topic
from factalign.extraction.duplicates import find_duplicates
from factalign.extraction.protocol import EXTRACTORS, ClaimExtractor, ContextualExtractor
from factalign.extraction.topics import topics_of
from factalign.schemas import Claims, empty


class SentenceExtractor:
    """Each sentence is one claim, prefixed with its topic where it does not name it."""

    def extract(self, sentences: Sequence[str], topics: Sequence[str]) -> list[list[str]]:
        """See `ClaimExtractor.extract`."""
        return [[with_topic(sentence, topic)] for sentence, topic in zip(sentences, topics, strict=True)]


def extract_claims(
    sentences: pd.DataFrame,
    responses: pd.DataFrame,
    prompts: pd.DataFrame,
    extractor: ChoiceLike | ClaimExtractor = "clause",
) -> pd.DataFrame:
    """The `schemas.Claims` of sentences.

    Args:
        sentences: A `schemas.Sentences` table.
        responses: Its responses.
        prompts: Their prompts; a sentence's topic is that of its prompt.
        extractor: An extractor, or the choice of one of `EXTRACTORS`.
    """
    topics = topics_of(sentences["response_id"], responses, prompts)
    chosen = EXTRACTORS.resolve(extractor)
    texts = sentences["text"].tolist()
    if isinstance(chosen, ContextualExtractor):
        extracted = chosen.extract_in_context(texts, topics, sentences["response_id"].tolist())
    else:
        extracted = chosen.extract(texts, topics)
    rows = []
    for sentence_id, response_id, texts in zip(
        sentences["sentence_id"], sentences["response_id"], extracted, strict=True
    ):
        for number, text in enumerate(texts):
            claim_id = content_id("claim", sentence_id, number, text)
            rows.append({"claim_id": claim_id, "sentence_id": sentence_id, "response_id": response_id, "text": text})
    if not rows:
        return empty(Claims)
    claims = pd.DataFrame(rows)
    duplicate_of: list[str | None] = [None] * len(claims)
    for group in claims.groupby("response_id", sort=False).indices.values():
        ids = claims["claim_id"].iloc[group].tolist()
        for position, first in enumerate(find_duplicates(claims["text"].iloc[group].tolist())):
            duplicate_of[group[position]] = None if first is None else ids[first]
    claims["duplicate_of"] = pd.Series(duplicate_of, dtype="object")
    return claims
