"""Choices that a user makes by name: each is one entry `name -> "module:object"`, imported only when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """Named factories of one kind.

    Args:
        kind: What is being named, for messages ("verifier", "engine").
        entries: Name to `"package.module:factory"`.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self.entries = dict(entries)

    def load(self, name: str, **options: Any) -> T:
        """Build the entry `name` with `options`; `"package.module:factory"` of one's own works as a name too.

        Raises:
            ValueError: The name is unknown, or the options do not fit; the message lists what would be valid.
        """
        target = name if ":" in name else self.entries.get(name)
        if target is None:
            raise ValueError(
                f"unknown {self.kind} {name!r}; valid names: {', '.join(sorted(self.entries))}, "
                f"or 'package.module:factory' of your own"
            )
        module, _, attribute = target.partition(":")
        factory = getattr(import_module(module), attribute)
        try:
            return factory(**options)
        except TypeError as error:
            raise ValueError(f"{self.kind} {name!r} does not accept {sorted(options)}: {error}") from error
