"""The passages that claims are judged by."""

from __future__ import annotations

import logging
import math
from typing import Any

import pandas as pd

from factalign.base.http import FetchError
from factalign.extraction import topics_of
from factalign.retrieval import Retriever
from factalign.schemas import Evidence, Passages, Table, empty

logger = logging.getLogger(__name__)


def retrieve_evidence(
    claims: pd.DataFrame, responses: pd.DataFrame, prompts: pd.DataFrame, retriever: Retriever, k: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The evidence of claims: the `k` best passages of each claim's topic.

    A prompt without a topic ("") is searched for in the whole corpus. Duplicate claims get evidence as well. A
    claim whose query failed gets a row without a passage, and the log says why: `verify_claims` makes it `failed`.

    Returns:
        The `schemas.Evidence`, and a `schemas.Passages` table of the passages that the retriever brought along
        because the passages table does not hold them (a search engine's answers, say).
    """
    topics = [topic or None for topic in topics_of(claims["response_id"], responses, prompts)]
    rows: list[tuple[str, int, str | None, float]] = []
    brought: dict[str, tuple[str, ...]] = {}
    texts = claims["text"].tolist()
    for claim_id, text, found in zip(claims["claim_id"], texts, retriever.search(texts, topics, k), strict=True):
        if isinstance(found, FetchError):
            logger.warning("the evidence of claim %.200r could not be looked up: %s", text, found)
            rows.append((claim_id, 0, None, math.nan))
            continue
        rows += [(claim_id, rank, hit.passage_id, hit.score) for rank, hit in enumerate(found)]
        brought |= {hit.passage_id: (hit.passage_id, hit.title, "", hit.text, "[]", "[]") for hit in found if hit.text}
    return _table(Evidence, rows), _table(Passages, list(brought.values()))


def _table(schema: type[Table], rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(schema.to_schema().columns)) if rows else empty(schema)
