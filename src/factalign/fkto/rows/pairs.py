"""Paired preferences as TRL has them, `{"prompt", "chosen", "rejected"}`: each row becomes two unpaired ones.

Texts are plain strings or conversations. A conversation's prompt may be implicit: the messages with which `chosen` and
`rejected` both begin. Other fields, such as `weight` and `response_id`, go to both halves. These have the same prompt,
so z0's mismatched pairs never put the one after the other's (`plan.mismatch`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from factalign.base.records import Record, read_messages

LABELS = {"chosen": True, "rejected": False}
OF_ONE_COMPLETION = (
    "completion", "label", "finish_reason", "completion_sentences", "sentence_label", "sentence_spans",
    "sentence_weight",
)  # fmt: skip


def unpaired(record: Record) -> Iterator[Record]:
    """The desirable and the undesirable half of a paired row, whose places say which; any other row as it is.

    Raises:
        RecordError: A half is missing, both are the same, they do not belong to one prompt, or the row has fields of
            another format as well.
    """
    if not any(record.has(half) for half in LABELS):
        yield record
        return
    for half in LABELS:
        if not record.has(half):
            raise record.error(half, "is missing; a row has both 'chosen' and 'rejected', or neither")
    for field in OF_ONE_COMPLETION:
        if record.has(field):
            raise record.error(field, "speaks of one completion, but the row has two ('chosen', 'rejected')")
    if isinstance(record["chosen"], str) != isinstance(record["rejected"], str):
        raise record.error("rejected", "must be text if 'chosen' is, and messages if 'chosen' is")
    prompt, halves = _texts(record) if isinstance(record["chosen"], str) else _conversations(record)
    shared = {key: value for key, value in record.items() if key not in (*LABELS, *OF_ONE_COMPLETION)}
    for half, label in LABELS.items():
        fields = {**shared, "prompt": prompt, "completion": halves[half], "label": label}
        yield Record(fields, f"{record.where}, {half}", record.line)


def _texts(record: Record) -> tuple[Any, dict[str, Any]]:
    halves = {half: record[half] for half in LABELS}
    _check_difference(record, halves)
    if not record.has("prompt"):
        raise record.error("prompt", "is missing; only conversations may begin with theirs in 'chosen' and 'rejected'")
    return record["prompt"], halves


def _conversations(record: Record) -> tuple[Any, dict[str, Any]]:
    """The prompt, and what each half says after it; without a prompt, all messages that both begin with are it."""
    halves = {half: read_messages(record[half], partial(record.error, half)) for half in LABELS}
    _check_difference(record, halves)
    prompt, place = record.get("prompt"), ""
    if not record.has("prompt"):
        same = [a == b for a, b in zip(*halves.values(), strict=False)]
        shared = [*same, False].index(False)
        prompt, place = halves["chosen"][:shared], f"after the {shared} messages that both begin with "
        halves = {half: messages[shared:] for half, messages in halves.items()}
        if not prompt:
            raise record.error("prompt", "is missing, and 'chosen' and 'rejected' begin with different messages")
    for half, messages in halves.items():
        if [message["role"] for message in messages] != ["assistant"]:
            raise record.error(half, f"must be one assistant message {place}".rstrip() + f", got {messages!r:.200}")
    return prompt, halves


def _check_difference(record: Record, halves: dict[str, Any]) -> None:
    if halves["chosen"] == halves["rejected"]:
        raise record.error("rejected", f"must differ from 'chosen', but both are {halves['chosen']!r:.200}")
