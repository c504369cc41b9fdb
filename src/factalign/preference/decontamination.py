"""Training prompts that touch what the benchmark asks about, found whatever the order of the words.

Entities are compared as bags of words without case, punctuation, diacritics and small words, so that "Jericho
Tower" equals "Tower of Jericho". In doubt a training prompt is dropped: a prompt on South Sudan goes if the
benchmark asks about Sudan, for its answer may be about both.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator

import pandas as pd

from factalign.base.text import words
from factalign.base.text.words import without_accents

logger = logging.getLogger(__name__)

Bag = tuple[str, ...]

_LONGEST_NAME = 8  # words; anything longer is compared as a whole only, which keeps the time linear
DROPPED_COLUMNS = ["prompt_id", "topic", "rule", "match", "benchmark_prompt_id"]
_SMALL_WORDS = frozenset(words("a an the of and in on at for to la le les el los las de del des du da di der die das"))
# Two or more capitalised words, possibly joined by small ones: "Tower of Jericho".
_NAME = re.compile(r"\b[^\W\d_a-z]\w*(?:[ -](?:(?:of|the|and|de|la|du|del|da|di) ){0,2}[^\W\d_a-z]\w*)+")


def decontaminate(prompts: pd.DataFrame, benchmark: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split training prompts into those to keep and those that overlap with the benchmark.

    A prompt is dropped by the first rule that finds a match: `topic`: both ask about the same entity; `text`:
    both consist of the same words; `mention`: the text of one names the entity of the other. A prompt without
    a topic stands for the names in its text. Time is linear in the text of both tables.

    Args:
        prompts: `Prompts` table to train on.
        benchmark: `Prompts` table of the benchmark.

    Returns:
        The kept rows of `prompts`, and a table of the dropped ones with the columns `DROPPED_COLUMNS`;
        `match` is what they share.
    """
    finder = _Overlap(benchmark, _entity_lengths(prompts))
    matches = [finder.find(topic, _text(messages)) for topic, messages in _pairs(prompts)]
    overlaps = pd.Series([match is not None for match in matches], index=prompts.index, dtype=bool)
    dropped = pd.DataFrame(
        [
            (prompt_id, topic, *match)
            for prompt_id, topic, match in zip(prompts["prompt_id"], prompts["topic"], matches, strict=True)
            if match is not None
        ],
        columns=DROPPED_COLUMNS,
    )
    logger.info("decontamination: dropped %d of %d training prompts", len(dropped), len(prompts))
    return prompts.loc[~overlaps].reset_index(drop=True), dropped


class _Overlap:
    """The benchmark by entity, by text, and by every run of words as long as a training entity."""

    def __init__(self, benchmark: pd.DataFrame, lengths: set[int]) -> None:
        self.entities: dict[Bag, str] = {}
        self.texts: dict[Bag, str] = {}
        self.runs: dict[Bag, str] = {}
        for prompt_id, (topic, messages) in zip(benchmark["prompt_id"], _pairs(benchmark), strict=True):
            text = _text(messages)
            content = _content_words(text)
            for entity in _entities(topic, text):
                self.entities.setdefault(entity, prompt_id)
            if content:
                self.texts.setdefault(tuple(sorted(content)), prompt_id)
            for run in _runs(content, lengths):
                self.runs.setdefault(run, prompt_id)
        self.lengths = {len(entity) for entity in self.entities}

    def find(self, topic: str, text: str) -> tuple[str, str, str] | None:
        """`(rule, match, benchmark_prompt_id)` of the first overlap."""
        own = _entities(topic, text)
        content = _content_words(text)
        looks: tuple[tuple[str, Iterable[Bag], dict[Bag, str]], ...] = (
            ("topic", own, self.entities),
            ("text", [tuple(sorted(content))], self.texts),
            ("mention", _runs(content, self.lengths), self.entities),
            ("mention", own, self.runs),
        )
        for rule, keys, index in looks:
            for key in keys:
                if key in index:
                    return rule, " ".join(key), index[key]
        return None


def _entities(topic: str, text: str) -> list[Bag]:
    names = [topic] if topic.strip() else _NAME.findall(text)
    return [bag for bag in (tuple(sorted(_content_words(name))) for name in names) if bag]


def _entity_lengths(prompts: pd.DataFrame) -> set[int]:
    return {len(bag) for topic, messages in _pairs(prompts) for bag in _entities(topic, _text(messages))}


def _runs(content: list[str], lengths: set[int]) -> Iterator[Bag]:
    for length in sorted(lengths & set(range(1, _LONGEST_NAME + 1))):
        for start in range(len(content) - length + 1):
            yield tuple(sorted(content[start : start + length]))


def _content_words(text: str) -> list[str]:
    found = words(without_accents(text))
    return [word for word in found if word not in _SMALL_WORDS] or found


def _pairs(prompts: pd.DataFrame) -> list[tuple[str, list[dict[str, str]]]]:
    return list(zip(prompts["topic"], prompts["messages"], strict=True))


def _text(messages: Iterable[dict[str, str]]) -> str:
    return " ".join(str(message["content"]) for message in messages if message["role"] == "user")
