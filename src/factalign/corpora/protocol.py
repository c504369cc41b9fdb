"""Knowledge corpora by name: what is true, how to ask about it, and how answers speak of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from factalign.base.registry import Registry

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PromptTemplates:
    """How prompts ask about a topic.

    Args:
        aspects: For each aspect of a topic the templates that ask about it, with `{topic}` for its name.
        in_sentence: The name as it stands inside a sentence, with its article if it has one; as it is by default.
    """

    aspects: Mapping[str, tuple[str, ...]]
    in_sentence: Callable[[str], str] = str


@dataclass(frozen=True)
class ReadingAids:
    """What helps to take sentences about a topic apart.

    Args:
        nouns: Words that stand for the topic after "the" or "this", at the beginning of a clause ("the company").
        restarts: Those of them that also begin a clause after "and", "but" or "while"; none that begins names, as in
            "and the Republic of Korea".
        attributes: What a topic has, so that "with a population of" begins a claim of its own.
    """

    nouns: tuple[str, ...] = ()
    restarts: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()


@runtime_checkable
class Corpus(Protocol):
    """A body of knowledge. Building one is cheap; `passages` reads it.

    One of your own is chosen as "package.module:factory", where the factory takes the options and returns such an
    object. `prompts` and `aids` can be the general ones:

        class Recipes:
            prompts, aids = GENERAL_PROMPTS, GENERAL_AIDS

            def __init__(self, path: str) -> None: ...

            def passages(self) -> pd.DataFrame: ...
    """

    @property
    def prompts(self) -> PromptTemplates:
        """How to ask about its topics."""

    @property
    def aids(self) -> ReadingAids:
        """How answers speak of its topics."""

    def passages(self) -> pd.DataFrame:
        """A `schemas.Passages` table.

        Raises:
            ValueError: The source is missing or malformed; the message says where.
        """


CORPORA: Registry[Corpus] = Registry(
    "corpus",
    {
        "factbook": "factalign.corpora.factbook.corpus:FactbookCorpus",
        "folder": "factalign.corpora.folder:FolderCorpus",
        "none": "factalign.corpora.nothing:NoCorpus",
        "table": "factalign.corpora.table:TableCorpus",
    },
)
