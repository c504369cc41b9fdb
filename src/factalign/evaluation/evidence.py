"""The passages that claims are judged by."""

from __future__ import annotations

from typing import Any

import pandas as pd

from factalign.extraction import topics_of
from factalign.retrieval import Retriever
from factalign.schemas import Evidence, Passages, Table, empty


def retrieve_evidence(
    claims: pd.DataFrame, responses: pd.DataFrame, prompts: pd.DataFrame, retriever: Retriever, k: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The evidence of claims: the `k` best passages of each claim's topic.

    A prompt without a topic ("") is searched for in the whole corpus. Duplicate claims get evidence as well.

    Returns:
        The `schemas.Evidence`, and a `schemas.Passages` table of the passages that the retriever brought along
        because the passages table does not hold them (a search engine's answers, say).
    """
    topics = [topic or None for topic in topics_of(claims["response_id"], responses, prompts)]
    hits = [
        (claim_id, rank, hit)
        for claim_id, hits in zip(claims["claim_id"], retriever.search(claims["text"].tolist(), topics, k), strict=True)
        for rank, hit in enumerate(hits)
    ]
    rows = [(claim_id, rank, hit.passage_id, hit.score) for claim_id, rank, hit in hits]
    brought = {hit.passage_id: (hit.passage_id, hit.title, "", hit.text, "[]", "[]") for *_, hit in hits if hit.text}
    return _table(Evidence, rows), _table(Passages, list(brought.values()))


def _table(schema: type[Table], rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(schema.to_schema().columns)) if rows else empty(schema)
