"""What a chat model can be asked about."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol, TypeVar

from factalign.chat.replies import Answer, Reply
from factalign.generation.engines import Message

I_contra = TypeVar("I_contra", contravariant=True)
A = TypeVar("A", bound=Answer)


class Task(Protocol[I_contra, A]):
    """What is asked about items, and how the answers are read.

    Attributes:
        stage: Name for the log and the cost table.
        opening: The messages before the one that quotes the items.
        reply: The kind of reply.
        per_call: Items in a call, at most.
        shuffled: Whether the items of a call are put in random order, against position bias.
    """

    stage: str
    opening: Sequence[Message]
    reply: type[Reply[A]]
    per_call: int
    shuffled: bool

    def key(self, item: I_contra) -> Any:
        """All that the answer depends on, as JSON can hold it."""

    def group(self, item: I_contra) -> Hashable:
        """Neighbours with equal groups may share a call."""

    def data(self, items: Sequence[I_contra]) -> dict[str, Any]:
        """What to quote; items are numbered from 1."""

    def accept(self, items: Sequence[I_contra], answers: Sequence[A]) -> list[Any]:
        """The value of each item, as JSON can hold it; ReplyError where an answer is impossible."""
