"""Reading preference rows: the authors' published format, our superset of it, and TRL's unpaired preferences.

A row is `{"prompt", "completion", "label"}`, both texts plain strings or conversations, and optionally
`"completion_sentences"`, `"sentence_label"`, `"sentence_spans"` (character offsets into the completion),
`"finish_reason"` (`"length"`: the text was cut off, so its end is not the model's own) and `"response_id"`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from factalign.base.records import Record, RecordError, json_objects, read_messages, rows_of
from factalign.base.text import well_formed

Prompt = str | tuple[tuple[str, str], ...]
"""Plain text, or a conversation as (role, content) pairs."""


@dataclass(frozen=True)
class Row:
    """One labelled completion.

    Attributes:
        prompt: Text or conversation before the completion.
        completion: What the model said.
        label: Desirable or not; None gives the row no response term.
        spans: `[start, end)` of its labelled sentences, in characters of `completion`, ascending.
        sentence_labels: One label a span.
        finished: False if the text was cut off, so that its end must not be learnt.
        name: Where the row came from, for messages.
    """

    prompt: Prompt
    completion: str
    label: bool | None
    spans: tuple[tuple[int, int], ...] = ()
    sentence_labels: tuple[bool, ...] = ()
    finished: bool = True
    name: str = "row"


def read_rows(path: str | Path) -> list[Row]:
    """Read a JSON-lines file.

    Raises:
        RecordError: With path, line and field of the first row that is wrong.
    """
    rows = [parse_row(record, record.where) for record in json_objects(path, "preference rows")]
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
    return [parse_row(record, record.where) for record in rows_of(given, "rows")]


def parse_row(raw: Any, where: str) -> Row:
    """Check one row and resolve its sentences to character spans.

    Args:
        raw: A mapping in one of the formats.
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
    kept = [(span, label) for span, label in zip(spans, labels or (), strict=True) if label is not None]
    return Row(
        prompt=_prompt(record),
        completion=completion,
        label=_label(record, "label", record["label"]),
        spans=tuple(span for span, _ in kept),
        sentence_labels=tuple(label for _, label in kept),
        finished=record.get("finish_reason") != "length",
        name=f"{where} ({record['response_id']})" if record.get("response_id") else where,
    )


def _label(record: Record, field: str, value: Any, place: str = "") -> bool | None:
    if value is None:
        return None
    # 0/1 arrive as int, float or numpy scalars, depending on who wrote the file; 0.5 or "true" are mistakes.
    if isinstance(value, str) or value not in (0, 1):
        raise record.error(field, f"{place}must be true, false, 1, 0 or null, got {value!r:.80}")
    return bool(value)


def _sentence_labels(record: Record) -> list[bool | None] | None:
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
