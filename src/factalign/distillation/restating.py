"""Sentences of different passages that say the same in other words, and those that only look alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from factalign.base.text import stems
from factalign.distillation.perturbing import names

SAME, ALIKE = 0.75, 0.6  # cosines of sentence vectors: from SAME on one may restate the other, below ALIKE neither
COPY = 0.6  # share of common words (Jaccard) from which a sentence is a copy, which teaches nothing
NEIGHBOURS = 6


@dataclass(frozen=True)
class Placed:
    """A sentence of `topic`, and the sentences around it."""

    topic: str
    title: str
    text: str
    window: str


def restatements(sentences: Sequence[Placed], base_model: str) -> Iterator[tuple[Placed, Placed, bool]]:
    """(a sentence, another of its nearest, whether the window of the other one restates it).

    It does if the two are near to each other in the encoder's space and the window has all names and numbers of
    the sentence; it does not if one of these is missing. Pairs of which neither can be told are left out. Time is
    quadratic in the number of sentences.
    """
    from factalign.retrieval.encoder import Encoder

    if not sentences:
        return
    vectors = Encoder(base_model, dtype="bfloat16").encode([placed.text for placed in sentences])
    bags = [frozenset(stems(placed.text)) for placed in sentences]
    for position, placed in enumerate(sentences):
        likeness = vectors @ vectors[position]
        needed = _names_and_numbers(placed.text)
        for other in np.argsort(-likeness)[1 : NEIGHBOURS + 1]:
            if likeness[other] < ALIKE:
                break
            common = len(bags[position] & bags[other]) / len(bags[position] | bags[other])
            if common > COPY or placed.text in sentences[other].window:
                continue
            missing = needed - set(stems(sentences[other].window))
            if missing or likeness[other] >= SAME:
                yield placed, sentences[other], not missing
                break


def _names_and_numbers(text: str) -> set[str]:
    hard = {word for match in names(text) for word in stems(match.group())}
    return hard | {word for word in stems(text) if word[0].isdigit()}
