"""How much a text repeats itself."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from factalign.base.text.sentences import split_sentences
from factalign.base.text.words import normalise


def distinct_2(tokens: Sequence[str]) -> float:
    """Distinct word bigrams / word bigrams (Li et al., 2016, arXiv 1510.03055); NaN below two words."""
    if len(tokens) < 2:
        return float("nan")
    return len(set(pairwise(tokens))) / (len(tokens) - 1)


def repeated_sentences(text: str) -> float:
    """The share of sentences whose words, in their order, were a sentence of `text` before; 0 without sentences."""
    sentences = [normalise(text[start:end]) for start, end in split_sentences(text)]
    return 1 - len(set(sentences)) / len(sentences) if sentences else 0.0
