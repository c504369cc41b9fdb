"""Atomic, self-contained claims out of sentences, and which of them say the same."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from factalign.factuality.topics import topics_of
from factalign.ids import content_id
from factalign.knowledge import stem
from factalign.registry import Registry
from factalign.schemas import Claims, empty
from factalign.words import normalise


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
        "sentence": "factalign.factuality.claims:SentenceExtractor",
        "clause": "factalign.factuality.clauses:ClauseExtractor",
        "llm": "factalign.factuality.llm_extractor:LLMExtractor",
    },
)
_WORD = re.compile(r"[^\W_]+")
_COMPASS = re.compile(r"(?:north|south|east|west)")
NEAR_DUPLICATE = 0.8


def load_extractor(name: str, **options: Any) -> ClaimExtractor:
    """The claim extractor `name` (one of `EXTRACTORS`, or "package.module:factory").

    Raises:
        ValueError: Unknown name or options.
    """
    return EXTRACTORS.load(name, **options)


class SentenceExtractor:
    """Each sentence is one claim, prefixed with its topic where it does not name it."""

    def extract(self, sentences: Sequence[str], topics: Sequence[str]) -> list[list[str]]:
        """See `ClaimExtractor.extract`."""
        return [[with_topic(sentence, topic)] for sentence, topic in zip(sentences, topics, strict=True)]


def with_topic(text: str, topic: str) -> str:
    """`text`, as "topic: text" unless it names the topic."""
    bare = re.sub(r"^the ", "", topic, flags=re.IGNORECASE)
    return text if not topic or bare.lower() in text.lower() else f"{topic}: {text}"


def extract_claims(
    sentences: pd.DataFrame,
    responses: pd.DataFrame,
    prompts: pd.DataFrame,
    extractor: str | ClaimExtractor = "clause",
) -> pd.DataFrame:
    """The `schemas.Claims` of sentences.

    Args:
        sentences: A `schemas.Sentences` table.
        responses: Its responses.
        prompts: Their prompts; a sentence's topic is that of its prompt.
        extractor: An extractor, or a name of `EXTRACTORS`.
    """
    topics = topics_of(sentences["response_id"], responses, prompts)
    chosen = load_extractor(extractor) if isinstance(extractor, str) else extractor
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


def find_duplicates(texts: Sequence[str]) -> list[int | None]:
    """For each claim the position of the first that says the same, None for a first one.

    The same: equal but for case and punctuation; or the same names, numbers and directions, and word sets
    that overlap by `NEAR_DUPLICATE` (Jaccard). Candidates are found by prefix filtering (Chaudhuri et al.
    2006), not pair by pair.
    """
    bags = [frozenset(stem(word) for word in _WORD.findall(text)) for text in texts]
    hard = [_hard_words(text) for text in texts]
    frequency = Counter(word for bag in bags for word in bag)
    seen: dict[str, int] = {}
    by_word: dict[tuple[frozenset[str], str], list[int]] = defaultdict(list)
    result: list[int | None] = []
    for position, text in enumerate(texts):
        bag, key = bags[position], normalise(text)
        rare = sorted(bag, key=lambda word: (frequency[word], word))[: int((1 - NEAR_DUPLICATE) * len(bag)) + 1]
        first = seen.get(key)
        if first is None:
            candidates = {other for word in rare for other in by_word[hard[position], word]}
            near = (o for o in candidates if len(bags[o] & bag) >= NEAR_DUPLICATE * len(bags[o] | bag))
            first = min(near, default=None)
        result.append(first)
        if first is None:
            seen[key] = position
            for word in rare:
                by_word[hard[position], word].append(position)
    return result


def _hard_words(text: str) -> frozenset[str]:
    """Words in which two claims that say the same cannot differ: numbers, names, directions, negations."""
    words = _WORD.findall(text)
    return frozenset(
        stem(word)
        for position, word in enumerate(words)
        if any(char.isdigit() for char in word)
        or (position > 0 and word[0].isupper())
        or _COMPASS.match(word.lower())
        or word.lower() in ("not", "no", "never", "without")
    )
