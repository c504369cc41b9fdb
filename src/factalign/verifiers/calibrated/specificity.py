"""Of how many other topics a claim would hold as well: a claim that holds of all tells nothing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import pandas as pd

from factalign.base.http import FetchError
from factalign.base.text import normalise
from factalign.retrieval import Retriever
from factalign.verifiers import passages_by_id
from factalign.verifiers.lexical.verifier import LexicalVerifier

TOPIC = "⟨topic⟩"
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class TopicNames:
    """The names of the topics of a `schemas.Passages` table: titles and their aliases."""

    def __init__(self, passages: pd.DataFrame) -> None:
        first = passages.drop_duplicates("title")
        aliases = dict(zip(first["title"], map(json.loads, first["aliases"]), strict=True))
        self._names = {title: {title, *names} for title, names in aliases.items()}

    def mask(self, text: str, topic: str) -> str:
        """`text` with the names of `topic` replaced by `TOPIC`; an unknown topic is its own only name."""
        return self._pattern(topic).sub(TOPIC, text) if topic else text

    def kind(self, text: str, topic: str) -> str:
        """What is left of a claim without its topic and its numbers, so that the same said of others is equal."""
        return normalise(_NUMBER.sub(" 0 ", self.mask(text, topic).replace(TOPIC, " topic ")))

    @cache  # noqa: B019 - lives as long as the names do
    def _pattern(self, topic: str) -> re.Pattern[str]:
        names = sorted(self._names.get(topic, {topic}), key=len, reverse=True)
        return re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b")


@dataclass(frozen=True)
class Elsewhere:
    """A claim with other topics' names in it: the share of these topics of which it is supported, contradicted by typed
    facts, or nothing that can be checked.
    """

    supported: float
    contradicted: float
    irrelevant: float
    topics: int

    @property
    def specificity(self) -> float:
        """-log2 of the share that is supported, one half topic more to be above 0: bits that the claim tells."""
        return -math.log2((self.supported * self.topics + 0.5) / (self.topics + 1))


class OtherTopics:
    """Asks the lexical verifier of each of `topics` what a claim says of its own topic, once a pattern."""

    def __init__(
        self, topics: Sequence[str], passages: pd.DataFrame, names: TopicNames, retriever: Retriever, k: int
    ) -> None:
        self.topics, self.names = tuple(topics), names
        self._retriever, self._k = retriever, k
        self._passages = passages_by_id(passages[passages["title"].isin(self.topics)])
        self._lexical = LexicalVerifier()
        self._known: dict[str, dict[str, str]] = {}

    def ask(self, claim: str, topic: str) -> Elsewhere:
        """What holds of the topics but `topic`."""
        pattern = self.names.mask(claim, topic)
        if pattern not in self._known:
            self._known[pattern] = self._judge(pattern)
        found = [label for other, label in self._known[pattern].items() if other != topic]
        share = {
            label: found.count(label) / max(len(found), 1) for label in ("supported", "contradicted", "irrelevant")
        }
        return Elsewhere(**share, topics=len(found))

    def _judge(self, pattern: str) -> dict[str, str]:
        claims = [pattern.replace(TOPIC, topic) for topic in self.topics]
        labels = {}
        for topic, claim, hits in zip(
            self.topics, claims, self._retriever.search(claims, list(self.topics), self._k), strict=True
        ):
            if isinstance(hits, FetchError):
                continue
            account = self._lexical.account(
                claim, [self._passages[hit.passage_id] for hit in hits if hit.passage_id in self._passages]
            )
            contradicted = account.total("contradicted_by_facts") > 0
            labels[topic] = "contradicted" if contradicted else account.verdict.label
        return labels
