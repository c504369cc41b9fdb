"""Reading preference rows: the authors' published format, our superset of it, and TRL's unpaired preferences.

A row is `{"prompt", "completion", "label"}`, both texts plain strings or conversations, and optionally
`"completion_sentences"`, `"sentence_label"`, `"sentence_spans"` (character offsets into the completion),
`"finish_reason"` (`"length"`: the text was cut off, so its end is not the model's own) and `"response_id"`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factalign.base.text import well_formed

Prompt = str | tuple[tuple[str, str], ...]
"""Plain text, or a conversation as (role, content) pairs."""


class RowError(ValueError):
    """A row that cannot be trained on; the message says where it is and what would be valid."""


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
        RowError: With path, line and field of the first row that is wrong.
    """
    rows = []
    with Path(path).open(encoding="utf-8", errors="surrogatepass") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                raw = json.loads(line)
            except json.JSONDecodeError as error:
                raise RowError(f"{where}: not JSON ({error}); expected one object a line") from error
            rows.append(parse_row(raw, where))
    if not rows:
        raise RowError(f"{path}: holds no rows")
    return rows


def parse_rows(raws: Iterable[Row | Mapping[str, Any]]) -> list[Row]:
    """Check rows that are in memory already (a list of dicts, a `datasets.Dataset`)."""
    return [raw if isinstance(raw, Row) else parse_row(raw, f"row {i}") for i, raw in enumerate(raws)]


def parse_row(raw: Any, where: str) -> Row:
    """Check one row and resolve its sentences to character spans.

    Raises:
        RowError: A field is missing, of the wrong type, or inconsistent with the completion.
    """
    if not isinstance(raw, Mapping):
        raise RowError(f"{where}: expected an object with prompt, completion and label, got {type(raw).__name__}")
    for field in ("prompt", "completion", "label"):
        if field not in raw:
            raise RowError(f"{where}: field {field!r} is missing")
    completion = _completion(raw["completion"], where)
    labels = raw.get("sentence_label")
    spans: Sequence[tuple[int, int]] = ()
    if labels is not None:
        if not isinstance(labels, Iterable) or isinstance(labels, str):
            raise RowError(f"{where}, field 'sentence_label': expected a list of labels or null, got {labels!r:.80}")
        labels = [_label(label, f"{where}, field 'sentence_label'[{i}]") for i, label in enumerate(labels)]
        spans = _spans(raw, completion, len(labels), where)
    kept = [(span, label) for span, label in zip(spans, labels or (), strict=True) if label is not None]
    return Row(
        prompt=_prompt(raw["prompt"], where),
        completion=completion,
        label=_label(raw["label"], f"{where}, field 'label'"),
        spans=tuple(span for span, _ in kept),
        sentence_labels=tuple(label for _, label in kept),
        finished=raw.get("finish_reason") != "length",
        name=f"{where} ({raw['response_id']})" if raw.get("response_id") else where,
    )


def _label(value: Any, where: str) -> bool | None:
    if value is None:
        return None
    # 0/1 arrive as int, float or numpy scalars, depending on who wrote the file; 0.5 or "true" are mistakes.
    if isinstance(value, str) or value not in (0, 1):
        raise RowError(f"{where}: {value!r} is no label; valid are true, false, 1, 0 and null")
    return bool(value)


def _messages(value: Any, where: str) -> tuple[tuple[str, str], ...]:
    messages = []
    for i, message in enumerate(value):
        if not isinstance(message, Mapping) or not all(isinstance(message.get(k), str) for k in ("role", "content")):
            raise RowError(f"{where}[{i}]: expected {{'role': text, 'content': text}}, got {message!r:.200}")
        messages.append((message["role"], well_formed(message["content"])))
    return tuple(messages)


def _prompt(value: Any, where: str) -> Prompt:
    where = f"{where}, field 'prompt'"
    if isinstance(value, str):
        return well_formed(value)
    if not isinstance(value, Iterable) or not (messages := _messages(value, where)):
        raise RowError(f"{where}: expected text or a non-empty list of messages, got {value!r:.200}")
    return messages


def _completion(value: Any, where: str) -> str:
    where = f"{where}, field 'completion'"
    if isinstance(value, str):
        return well_formed(value)
    messages = _messages(value, where) if isinstance(value, Iterable) else ()
    if len(messages) != 1 or messages[0][0] != "assistant":
        raise RowError(f"{where}: expected text or a list of one assistant message, got {value!r:.200}")
    return messages[0][1]


def _spans(raw: Mapping[str, Any], completion: str, count: int, where: str) -> list[tuple[int, int]]:
    given, sentences = raw.get("sentence_spans"), raw.get("completion_sentences")
    if given is None and sentences is None:
        if count == 0:
            return []
        raise RowError(f"{where}: 'sentence_label' needs 'sentence_spans' or 'completion_sentences'")
    for field, entries in (("completion_sentences", sentences), ("sentence_spans", given)):
        if entries is not None and len(entries) != count:
            raise RowError(f"{where}, field {field!r}: {len(entries)} entries, but 'sentence_label' has {count}")
    if given is None:
        return _locate([well_formed(s) for s in sentences or ()], completion, where)
    spans: list[tuple[int, int]] = []
    floor = 0
    for i, span in enumerate(given):
        try:
            start, end = (int(offset) for offset in span)
        except (TypeError, ValueError) as error:
            raise RowError(f"{where}, field 'sentence_spans'[{i}]: expected [start, end], got {span!r:.80}") from error
        if not floor <= start < end <= len(completion):
            raise RowError(
                f"{where}, field 'sentence_spans'[{i}]: [{start}, {end}) is no span of a completion of "
                f"{len(completion)} characters that starts at or after {floor}"
            )
        if sentences is not None and well_formed(sentences[i]).strip() != completion[start:end].strip():
            raise RowError(
                f"{where}, field 'sentence_spans'[{i}]: holds {completion[start:end]!r:.80}, "
                f"'completion_sentences' has {sentences[i]!r:.80}"
            )
        spans.append((start, end))
        floor = end
    return spans


def _locate(sentences: Sequence[str], completion: str, where: str) -> list[tuple[int, int]]:
    """Find the sentences one after the other; splitters that changed white space are forgiven."""
    spans, cursor = [], 0
    for i, sentence in enumerate(sentences):
        start = completion.find(sentence, cursor)
        end = start + len(sentence)
        if start < 0 and sentence.split():
            match = re.compile(r"\s+".join(map(re.escape, sentence.split()))).search(completion, cursor)
            start, end = match.span() if match else (-1, -1)
        if start < 0 or start == end:
            raise RowError(
                f"{where}, field 'completion_sentences'[{i}]: {sentence!r:.80} is not in the completion "
                f"after character {cursor}"
            )
        spans.append((start, end))
        cursor = end
    return spans
