"""The passages of a corpus, checked, and the topics that they are about."""

from __future__ import annotations

import pandas as pd

from factalign.base.registry import ChoiceLike
from factalign.corpora.nothing import NoCorpus
from factalign.corpora.protocol import CORPORA, Corpus
from factalign.schemas import Passages


def read_passages(corpus: ChoiceLike | Corpus) -> pd.DataFrame:
    """The `schemas.Passages` of a corpus, validated.

    Args:
        corpus: The choice of one of `CORPORA`, or a corpus that is built already.

    Raises:
        ValueError: Unknown name or options, something that is no `Corpus`, a malformed source, no passage, or a
            duplicate `passage_id`.
    """
    built = CORPORA.resolve(corpus)
    if not isinstance(built, Corpus):
        raise ValueError(
            f"corpus {corpus!r}: a corpus has passages(), prompts and aids, not so a {type(built).__name__}"
        )
    passages = built.passages()
    if passages.empty and not isinstance(built, NoCorpus):
        raise ValueError(f"corpus {corpus!r}: no passages")
    duplicate = passages["passage_id"][passages["passage_id"].duplicated()]
    if len(duplicate):
        raise ValueError(f"corpus {corpus!r}: passage_id {duplicate.iloc[0]!r} occurs more than once")
    return Passages.validate(passages)


def topics(passages: pd.DataFrame) -> list[str]:
    """Titles that prompts can ask about, sorted: those with a `topic` fact where a corpus has such, else
    all.
    """
    marked = passages[passages["facts"].str.contains('"relation": "topic"', regex=False)]
    return sorted(set((marked if len(marked) else passages)["title"]))
