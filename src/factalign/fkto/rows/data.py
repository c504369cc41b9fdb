"""Reading preference rows: the authors' published format, our superset of it, and TRL's preferences.

A row is `{"prompt", "completion", "label"}`, both texts plain strings or conversations, and optionally
`"completion_sentences"`, `"sentence_label"`, `"sentence_spans"` (character offsets into the completion),
`"weight"` (of the label, default 1), `"sentence_weight"` (one a sentence), `"finish_reason"` (`"length"`: the text was
cut off, so its end is not the model's own) and `"response_id"`. `pairs` makes such rows of paired preferences.

A label is true, false, or a number between: 0.8 stands for two labels, desirable with 0.8 of the weight and undesirable
with the rest. A weight scales its own label only: a response's does not touch its sentences.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

from factalign.base.records import Record, RecordError, json_objects, read_messages, rows_of
from factalign.base.text import well_formed
from factalign.fkto.rows.pairs import unpaired

Prompt = str | tuple[tuple[str, str], ...]
"""Plain text, or a conversation as (role, content) pairs."""

Label = bool | float
"""Desirable or not, or the desirable share, between 0 and 1."""


@dataclass(frozen=True)
class Row:
    """One labelled completion.

    Attributes:
        prompt: Text or conversation before the completion.
        completion: What the model said.
        label: Whether, or to which share, it is desirable; None gives the row no response term.
        spans: `[start, end)` of its labelled sentences, in characters of `completion`, ascending.
        sentence_labels: One label a span.
        weight: What the label counts, at least 0.
        sentence_weights: The same of each span's label; empty: 1 each.
        finished: False if the text was cut off, so that its end must not be learnt.
        name: Where the row came from, for messages.
    """

    prompt: Prompt
    completion: str
    label: Label | None
    spans: tuple[tuple[int, int], ...] = ()
    sentence_labels: tuple[Label, ...] = ()
    weight: float = 1.0
    sentence_weights: tuple[float, ...] = ()
    finished: bool = True
    name: str = "row"

    def sentence_weight(self, index: int) -> float:
        """What the label of sentence `index` counts."""
        return self.sentence_weights[index] if self.sentence_weights else 1.0


def read_rows(path: str | Path) -> list[Row]:
    """Read a JSON-lines file.

    Raises:
        RecordError: With path, line and field of the first row that is wrong.
    """
    rows = [parse_row(row, row.where) for record in json_objects(path, "preference rows") for row in unpaired(record)]
    if not rows:
        raise RecordError(f"{path}: holds no rows")
    return rows


def parse_rows(raws: Iterable[Row] | Iterable[Mapping[str, Any]]) -> list[Row]:
    """Check rows that are in memory already (a list of dicts, a `datasets.Dataset`).

    Raises:
        RecordError: One is wrong; the message has its number, from 1, and its field.
    """
    given: list[Any] = list(raws)
    if all(isinstance(raw, Row) for raw in given):
        return given
    return [parse_row(row, row.where) for record in rows_of(given, "rows") for row in unpaired(record)]


def parse_row(raw: Any, where: str) -> Row:
    """Check one row and resolve its sentences to character spans.

    Args:
        raw: A mapping in one of the unpaired formats.
        where: Where it stands, for messages.

    Raises:
        RecordError: A field is missing, of the wrong type, or inconsistent with the completion.
    """
    if not isinstance(raw, Mapping):
        raise RecordError(f"{where}: must be an object with prompt, completion and label, got {type(raw).__name__}")
    record = Record(raw, where)
    for field in ("prompt", "completion", "label"):
        if field not in record:
            raise record.error(field, "is missing")
    completion = _completion(record)
    labels = _sentence_labels(record)
    spans = [] if labels is None else _spans(record, completion, len(labels))
    weights = _sentence_weights(record, len(spans))
    kept = [i for i, label in enumerate(labels or ()) if label is not None]
    return Row(
        prompt=_prompt(record),
        completion=completion,
        label=_label(record, "label", record["label"]),
        spans=tuple(spans[i] for i in kept),
        sentence_labels=tuple(label for label in labels or () if label is not None),
        weight=1.0 if record.get("weight") is None else _weight(record, "weight", record["weight"]),
        sentence_weights=tuple(weights[i] for i in kept) if weights else (),
        finished=record.get("finish_reason") != "length",
        name=f"{where} ({record['response_id']})" if record.get("response_id") else where,
    )


def _label(record: Record, field: str, value: Any, place: str = "") -> Label | None:
    if value is None:
        return None
    # 0/1 arrive as int, float or numpy scalars, depending on who wrote the file; "true" is a mistake.
    if isinstance(value, Real) and 0 < float(value) < 1:
        return float(value)
    if isinstance(value, str) or value not in (0, 1):
        raise record.error(field, f"{place}must be true, false, a number from 0 to 1 or null, got {value!r:.80}")
    return bool(value)


def _weight(record: Record, field: str, value: Any, place: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < math.inf:
        raise record.error(field, f"{place}must be a finite number of at least 0, got {value!r:.80}")
    return float(value)


def _sentence_weights(record: Record, count: int) -> list[float]:
    """One weight for each of `count` sentences, or none at all."""
    field = "sentence_weight"
    weights = record.get(field)
    if weights is None:
        return []
    if not isinstance(weights, Iterable) or isinstance(weights, str):
        raise record.error(field, f"must be a list of numbers or null, got {weights!r:.80}")
    result = [_weight(record, field, weight, f"[{i}] ") for i, weight in enumerate(weights)]
    if len(result) != count:
        raise record.error(field, f"has {len(result)} entries, but 'sentence_label' has {count}")
    return result


def _sentence_labels(record: Record) -> list[Label | None] | None:
    field = "sentence_label"
    labels = record.get(field)
    if labels is None:
        return None
    if not isinstance(labels, Iterable) or isinstance(labels, str):
        raise record.error(field, f"must be a list of labels or null, got {labels!r:.80}")
    return [_label(record, field, label, f"[{i}] ") for i, label in enumerate(labels)]


def _prompt(record: Record) -> Prompt:
    if isinstance(record["prompt"], str):
        return well_formed(record["prompt"])
    messages = read_messages(record["prompt"], partial(record.error, "prompt"))
    return tuple((message["role"], message["content"]) for message in messages)


def _completion(record: Record) -> str:
    value = record["completion"]
    if isinstance(value, str):
        return well_formed(value)
    messages = read_messages(value, partial(record.error, "completion"))
    if [message["role"] for message in messages] != ["assistant"]:
        raise record.error("completion", f"must be text or a list of one assistant message, got {value!r:.200}")
    return messages[0]["content"]


def _spans(record: Record, completion: str, count: int) -> list[tuple[int, int]]:
    """The spans of `count` sentences, as they are given or where their texts are found."""
    given, sentences = record.get("sentence_spans"), record.get("completion_sentences")
    if given is None and sentences is None:
        if count == 0:
            return []
        raise record.error("sentence_label", "needs 'sentence_spans' or 'completion_sentences'")
    for field, entries in (("completion_sentences", sentences), ("sentence_spans", given)):
        if entries is not None and len(entries) != count:
            raise record.error(field, f"has {len(entries)} entries, but 'sentence_label' has {count}")
    if given is None:
        return _locate(record, [well_formed(s) for s in sentences or ()], completion)
    wrong = partial(record.error, "sentence_spans")
    spans: list[tuple[int, int]] = []
    floor = 0
    for i, span in enumerate(given):
        try:
            start, end = (int(offset) for offset in span)
        except (TypeError, ValueError) as error:
            raise wrong(f"[{i}] must be [start, end], got {span!r:.80}") from error
        if not floor <= start < end <= len(completion):
            raise wrong(
                f"[{i}] must be a span of the {len(completion)} characters of the completion that starts at or after "
                f"{floor}, got [{start}, {end})"
            )
        if sentences is not None and well_formed(sentences[i]).strip() != completion[start:end].strip():
            raise wrong(
                f"[{i}] holds {completion[start:end]!r:.80}, but 'completion_sentences' has {sentences[i]!r:.80}"
            )
        spans.append((start, end))
        floor = end
    return spans


def _locate(record: Record, sentences: Sequence[str], completion: str) -> list[tuple[int, int]]:
    """Find the sentences one after the other; splitters that changed white space are forgiven."""
    spans, cursor = [], 0
    for i, sentence in enumerate(sentences):
        start = completion.find(sentence, cursor)
        end = start + len(sentence)
        if start < 0 and sentence.split():
            match = re.compile(r"\s+".join(map(re.escape, sentence.split()))).search(completion, cursor)
            start, end = match.span() if match else (-1, -1)
        if start < 0 or start == end:
            raise record.error(
                "completion_sentences", f"[{i}] {sentence!r:.80} is not in the completion after character {cursor}"
            )
        spans.append((start, end))
        cursor = end
    return spans
