"""Drawing statements from passages: their sentences, labelled values and typed facts."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pandas as pd

from factalign.base.text import ends_sentence, split_sentences
from factalign.corpora import facts_from_json
from factalign.distillation.perturbing import names
from factalign.distillation.restating import Placed
from factalign.distillation.statements import Statement

_STATED = (
    "The {cue} of {topic} is {name}",
    "{topic} {cue} {name}",
    "{topic}'s {cue} is {name}",
    "{topic} is {cue} {name}",
    "{topic} has {name} as its {cue}",
    "{name} is the {cue} of {topic}",
)


class StatementDrawer:
    """Draws statements from passages.

    Args:
        passages: A `schemas.Passages` table.
        window_words: Length of the evidence around a statement, at most.
    """

    def __init__(self, passages: pd.DataFrame, window_words: int) -> None:
        self.rows = [{str(key): value for key, value in row.items()} for row in passages.to_dict("records")]
        self.window_words = window_words
        self._relations: dict[str, list[str]] = defaultdict(list)
        self._own: dict[tuple[str, str], set[str]] = defaultdict(set)
        for row in self.rows:
            if len(row["facts"]) > 2:
                for relation, found in _names_by_relation(row["facts"]):
                    self._relations[relation] += found
                    self._own[row["title"], relation].update(found)

    def sentences(self) -> Iterator[str]:
        """All that could be perturbed."""
        for row in self.rows:
            yield from _sentences(_body(row)[1])

    def windows(self) -> pd.DataFrame:
        """All passages in windows of whole sentences: `passage_id`, `title` (the topic), `aliases`, `text`."""
        rows = []
        for row in self.rows:
            texts = [row["text"]]
            if len(row["text"].split()) > self.window_words:
                texts = list(_grouped(_sentences(row["text"]), self.window_words))
            rows += [(f"{row['passage_id']}:{number}", topic_of(row), "[]", text) for number, text in enumerate(texts)]
        return pd.DataFrame(rows, columns=["passage_id", "title", "aliases", "text"])

    def placed(self, row: dict[str, Any]) -> Iterator[Placed]:
        """The sentences of a passage that can be claimed."""
        sentences = _sentences(_body(row)[1]) if not row["field"] else []
        for number, sentence in enumerate(sentences):
            if _can_be_claimed(sentence):
                window = " ".join(sentences[max(0, number - 1) : number + 2])
                yield Placed(topic_of(row), row["title"], sentence, window)

    def draw(self, row: dict[str, Any], rng: random.Random) -> tuple[Statement, list[str]] | None:
        """A statement of the passage, and names that are wrong in its place; None if there is nothing to state."""
        if len(row["facts"]) > 2 and rng.random() < 0.8:
            stated = self._fact(row, rng)
            if stated:
                return stated
        statement = self._value(row) if row["field"] else self._sentence(row, rng)
        return (statement, []) if statement else None

    def _fact(self, row: dict[str, Any], rng: random.Random) -> tuple[Statement, list[str]] | None:
        found = [
            (fact, name)
            for fact in facts_from_json(row["facts"])
            if not fact.generic
            for item in fact.items
            if item.holds
            for name in item.names
            if name in row["text"] and len(name) > 2
        ]
        if not found:
            return None
        fact, name = rng.choice(found)
        cue = rng.choice(fact.cues or ("is",))
        template = rng.choice(_STATED) if fact.cues else "{topic} {cue} {name}"
        template = template.format(topic=row["title"], cue=cue, name="{name}")
        own = self._own[row["title"], fact.relation]
        pool = self._relations[fact.relation]
        others = [other for other in rng.sample(pool, min(20, len(pool))) if other not in own]
        statement = Statement(
            topic_of(row), row["title"], (row["text"],), template=template, name=name, label=fact.relation
        )
        return statement, others

    def _value(self, row: dict[str, Any]) -> Statement | None:
        before, body = _body(row)
        path = [part.strip() for part in row["field"].split(" – ")[-1:]]
        *nested, value = [part.strip() for part in body.split(": ")] if body.count(": ") < 4 else [body]
        label = " ".join([*path, *nested])
        head = ": ".join([before.rstrip(": "), *nested]) + ":"
        if not value or len(value.split()) > self.window_words:
            return None
        return Statement(topic_of(row), row["title"], (value,), before=head, label=label)

    def _sentence(self, row: dict[str, Any], rng: random.Random) -> Statement | None:
        sentences = _sentences(_body(row)[1])
        good = [number for number, sentence in enumerate(sentences) if _can_be_claimed(sentence)]
        if not good:
            return None
        first = last = rng.choice(good)
        if rng.random() < 0.25 and first + 1 in good:
            last = first + 1
        low, high = first, last + 1
        room = rng.randint(self.window_words // 4, self.window_words)
        while low > 0 or high < len(sentences):
            up = high < len(sentences) and (low == 0 or rng.random() < 0.5)
            grown = (low, high + 1) if up else (low - 1, high)
            if sum(len(sentence.split()) for sentence in sentences[grown[0] : grown[1]]) > room:
                break
            low, high = grown
        return Statement(
            topic_of(row),
            row["title"] or _main_name(sentences),
            tuple(sentences[first : last + 1]),
            " ".join(sentences[low:first]),
            " ".join(sentences[last + 1 : high]),
        )


def topic_of(row: dict[str, Any]) -> str:
    """The title of a passage, or its id where it has none."""
    return row["title"] or row["passage_id"]


def _body(row: dict[str, Any]) -> tuple[str, str]:
    """The heading that a labelled passage repeats in its text, and the rest of the text."""
    head = f"{row['title']}. {row['field']}: "
    return (head, row["text"][len(head) :]) if row["field"] and row["text"].startswith(head) else ("", row["text"])


def _sentences(text: str) -> list[str]:
    return [" ".join(text[start:end].split()) for start, end in split_sentences(text)]


def _grouped(sentences: list[str], words: int) -> Iterator[str]:
    group: list[str] = []
    for sentence in sentences:
        if group and sum(len(text.split()) for text in (*group, sentence)) > words:
            yield " ".join(group)
            group = []
        group.append(sentence)
    if group:
        yield " ".join(group)


def _can_be_claimed(sentence: str) -> bool:
    """Whether it looks like a statement: a finished sentence, most of it in lower case."""
    found = sentence.split()
    small = sum(word[0].islower() for word in found)
    return 6 <= len(found) <= 45 and small >= 0.4 * len(found) and ends_sentence(sentence) and "?" not in sentence


def _main_name(sentences: list[str]) -> str:
    """The name that stands most often in a text without a title, "" if none does twice."""
    counts = Counter(match.group() for sentence in sentences for match in names(sentence))
    name, count = max(counts.items(), key=lambda item: item[1], default=("", 0))
    return name if count > 1 else ""


def _names_by_relation(facts: str) -> Iterator[tuple[str, list[str]]]:
    for fact in json.loads(facts):
        yield fact["relation"], [name for item in fact.get("items", ()) for name in item["names"]]
