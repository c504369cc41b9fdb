"""Choices that a user makes by name: each is one entry `name -> "module:object"`, imported only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import Parameter, signature
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

T = TypeVar("T")


class Choice(BaseModel):
    """One of the things that are chosen by name, and the options it is built with; a bare name is a Choice, too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


C = TypeVar("C", str, Choice)
ChoiceLike = str | Mapping[str, Any] | Choice


class Registry(Generic[T]):
    """Named factories of one kind.

    Args:
        kind: What is being named, for messages ("verifier", "engine").
        entries: Name to `"package.module:factory"`.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self.entries = dict(entries)

    def check(self, choice: C) -> C:
        """`choice` itself, if its name can be looked up; imports nothing, so `"package.module:factory"` always passes.

        Raises:
            ValueError: The name is unknown; the message lists the valid ones.
        """
        self._target(choice if isinstance(choice, str) else choice.name)
        return choice

    def build(self, choice: ChoiceLike, **offered: Any) -> T:
        """Build what is chosen; `"package.module:factory"` of one's own works as a name too.

        Args:
            choice: A name, `{name, options}` or a `Choice`.
            offered: What the project can tell any factory of this kind (a policy's handle, say), handed to those that
                have a parameter of that name.

        Raises:
            ValueError: The name is unknown, it cannot be imported, or the options do not fit; the message says what
                would be valid. What the factory itself raises is passed on as it is.
        """
        chosen = Choice.model_validate(choice)
        factory = self._factory(chosen.name)
        try:
            accepted = signature(factory)
        except ValueError:
            # Some callables that are written in C have no signature to compare with.
            return factory(**chosen.options)
        takes_all = any(each.kind is Parameter.VAR_KEYWORD for each in accepted.parameters.values())
        wanted = {name: value for name, value in offered.items() if takes_all or name in accepted.parameters}
        try:
            accepted.bind(**{**wanted, **chosen.options})
        except TypeError as error:
            options = [name for name in accepted.parameters if name not in offered]
            raise ValueError(
                f"{self.kind} {chosen.name!r} does not accept {sorted(chosen.options)}: {error}; "
                f"its options: {', '.join(options) or 'none'}"
            ) from error
        return factory(**{**wanted, **chosen.options})

    def resolve(self, given: ChoiceLike | T, **offered: Any) -> T:
        """`given` as it is where it was built already, else `build` of it."""
        return self.build(given, **offered) if isinstance(given, str | Mapping | Choice) else given

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
