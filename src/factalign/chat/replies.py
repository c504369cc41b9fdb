"""Replies of chat models: read leniently, checked strictly."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.DOTALL)
_MOST_STARTS = 100


class ReplyError(ValueError):
    """A reply that is not what was asked for."""


class Answer(BaseModel):
    """What is said about one numbered item; `number` counts from 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    number: int


A = TypeVar("A", bound=Answer)


class Reply(BaseModel, Generic[A]):
    """A whole reply; `call` repeats the mark of the request, which no text that the request quotes can know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    call: str
    answers: list[A]


def read_reply(text: str, kind: type[Reply[A]], call: str, items: int) -> list[A]:
    """The answers in `text`, by number: one for each of `items` items, no more and no fewer.

    The JSON may stand in prose, in a code fence or after a `</think>`; what it says must be exactly of the
    kind that was asked for, and there must be only one such object with the mark `call`.

    Raises:
        ReplyError: It is not.
    """
    valid: list[Reply[A]] = []
    problem = "there is no JSON object in it"
    for value in _objects(text.rpartition("</think>")[2]):
        try:
            reply = kind.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            continue
        if reply.call != call:
            problem = "it does not repeat the mark of the call"
        elif reply not in valid:
            valid.append(reply)
    if len(valid) != 1:
        raise ReplyError(f"{len(valid)} different answers" if valid else problem)
    answers = sorted(valid[0].answers, key=lambda answer: answer.number)
    if (numbers := [answer.number for answer in answers]) != list(range(1, items + 1)):
        raise ReplyError(f"it answers the numbers {numbers[:50]}, not 1 to {items}")
    return answers


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The outermost JSON objects in `text`: those of its code fences, where it has any."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    for part in _FENCE.findall(text) or [text]:
        start = part.find("{")
        for _ in range(_MOST_STARTS):
            if start < 0:
                break
            try:
                value, end = decoder.raw_decode(part, start)
            except (ValueError, RecursionError):
                end = start + 1
            else:
                yield value
            start = part.find("{", end)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
