"""Choices that a user makes by name: each is one entry `name -> "module:object"`, imported only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import signature
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

    def check(self, name: str) -> None:
        """Whether `name` can be looked up; imports nothing, so a `"package.module:factory"` always passes.

        Raises:
            ValueError: The name is unknown; the message lists the valid ones.
        """
        self._target(name)

    def load(self, name: str, **options: Any) -> T:
        """Build the entry `name` with `options`; `"package.module:factory"` of one's own works as a name too.

        Raises:
            ValueError: The name is unknown, it cannot be imported, or the options do not fit; the message says what
                would be valid. What the factory itself raises is passed on as it is.
        """
        factory = self._factory(name)
        try:
            accepted = signature(factory)
        except ValueError:
            # Some callables that are written in C have no signature to compare with.
            return factory(**options)
        try:
            accepted.bind(**options)
        except TypeError as error:
            raise ValueError(
                f"{self.kind} {name!r} does not accept {sorted(options)}: {error}; "
                f"its options: {', '.join(accepted.parameters) or 'none'}"
            ) from error
        return factory(**options)

    def _target(self, name: str) -> str:
        target = name if ":" in name else self.entries.get(name)
        if target is None:
            raise ValueError(
                f"unknown {self.kind} {name!r}; valid names: {', '.join(sorted(self.entries))}, "
                f"or 'package.module:factory' of your own"
            )
        return target

    def _factory(self, name: str) -> Callable[..., T]:
        target = self._target(name)
        module, _, attribute = target.partition(":")
        try:
            factory = getattr(import_module(module), attribute)
        except Exception as error:
            # Importing runs a module, which can raise anything; a missing optional dependency ends up here too.
            raise ValueError(
                f"{self.kind} {name!r}: cannot import {target!r}: {type(error).__name__}: {error}"
            ) from error
        if not callable(factory):
            raise ValueError(f"{self.kind} {name!r}: {target!r} is not callable, but {type(factory).__name__}")
        return factory
