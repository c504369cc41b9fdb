"""Claim extractors by name: each turns sentences into atomic, self-contained claims.

A factory with a parameter `aids` is handed the corpus's `ReadingAids`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from factalign.base.registry import Registry


class ClaimExtractor(Protocol):
    """Turns sentences into claims."""

    def extract(self, sentences: Sequence[str], topics: Sequence[str]) -> list[list[str]]:
        """The claims of each sentence, in order; `topics` names what each sentence is about ("" if
        unknown).
        """


@runtime_checkable
class ContextualExtractor(ClaimExtractor, Protocol):
    """An extractor that reads a sentence in its response; `extract_claims` prefers this method."""

    def extract_in_context(
        self, sentences: Sequence[str], topics: Sequence[str], response_ids: Sequence[str]
    ) -> list[list[str]]:
        """As `extract`; `response_ids` says which response each sentence is from."""


EXTRACTORS: Registry[ClaimExtractor] = Registry(
    "claim extractor",
    {
        "sentence": "factalign.extraction.claims:SentenceExtractor",
        "clause": "factalign.extraction.clauses:ClauseExtractor",
        "llm": "factalign.extraction.chat_extractor:ChatExtractor",
    },
)
