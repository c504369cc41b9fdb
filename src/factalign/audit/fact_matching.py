"""Claim extractors against facts that people wrote down: which of them it finds, and what else it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from factalign.base.estimates import Estimate, Unit, divide, estimates_of_draws, resampled_weights
from factalign.base.records import json_objects
from factalign.base.text import stem, words
from factalign.extraction import ClaimExtractor, ContextualExtractor

# What restoring the subject adds or takes away is no fact.
_EMPTY = frozenset(("he", "she", "it", "they", "his", "her", "its", "their", "him", "them", "a", "an", "the"))
METRICS = ("recall", "precision", "f1", "similarity", "claims_per_sentence", "facts_per_sentence")
_UNITS: dict[str, Unit] = {"claims_per_sentence": "count", "facts_per_sentence": "count"}


def read_facts(path: str) -> pd.DataFrame:
    """Sentences with their atomic facts, from the annotations of FActScore (Min et al. 2023, arXiv 2305.14251).

    Returns:
        One row a sentence that people found facts in: `group` (the biography), `topic`, `text`, `facts` (people's),
        `model_facts` (those of the model whose output people corrected).

    Raises:
        ValueError: The file is missing or malformed; the message names path, line and field.
    """
    rows = []
    for record in json_objects(path, "facts"):
        topic, annotations = record.text("topic"), record.get("annotations", [])
        for number, sentence in enumerate(annotations or []):
            try:
                facts, drafts = (
                    [fact["text"] for fact in sentence[key] or []]
                    for key in ("human-atomic-facts", "model-atomic-facts")
                )
                row = {
                    "group": record.where,
                    "topic": topic,
                    "text": sentence["text"],
                    "facts": facts,
                    "model_facts": drafts,
                }
            except (KeyError, TypeError) as error:
                raise record.error("annotations", f"entry {number}: {error!r} is missing or wrong") from error
            if facts:
                rows.append(row)
    if not rows:
        raise ValueError(f"{path}: no facts")
    return pd.DataFrame(rows)


def extract_by_sentence(facts: pd.DataFrame, extractor: ClaimExtractor) -> list[list[str]]:
    """The claims of each row of `read_facts`, each sentence read in its biography where the extractor can."""
    texts, topics = facts["text"].tolist(), facts["topic"].tolist()
    if isinstance(extractor, ContextualExtractor):
        return extractor.extract_in_context(texts, topics, facts["group"].tolist())
    return extractor.extract(texts, topics)


def extraction_agreement(
    facts: pd.DataFrame,
    claims: Sequence[Sequence[str]],
    *,
    threshold: float = 0.7,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """How well extracted claims match people's facts, with 95% intervals of a bootstrap over biographies.

    Claims and facts of a sentence are paired one to one so that the sum of similarities is largest. The similarity of a
    pair is the F1 of their word stems; pronouns, articles and the topic's name do not count. A pair from `threshold` on
    is a match. recall = matches / facts, precision = matches / claims, f1 their harmonic mean; similarity = sum over
    pairs / the larger of both numbers, which needs no threshold.

    Args:
        facts: What `read_facts` gave.
        claims: The claims of each of its rows.
        threshold: The least similarity of a match.
        resamples: Draws of the bootstrap.
        seed: Of the draws.

    Returns:
        Each of `METRICS`, None where there is nothing to count; `n` is the number of biographies.
    """
    counts = np.array(
        [
            _match(own, row["facts"], row["topic"], threshold)
            for own, row in zip(claims, facts.to_dict("records"), strict=True)
        ]
    )
    names, group = np.unique(facts["group"].to_numpy(dtype=str), return_inverse=True)
    by_group = np.zeros((len(names), counts.shape[1]))
    np.add.at(by_group, group, counts)
    weights = [np.ones((1, len(names))), *resampled_weights(len(names), resamples, seed)]
    draws = np.concatenate([_metrics(block @ by_group) for block in weights])
    return estimates_of_draws(draws, METRICS, n=len(names), units=_UNITS)


def _match(claims: Sequence[str], facts: Sequence[str], topic: str, threshold: float) -> tuple[float, ...]:
    """(matches, claims, facts, sum of similarities, larger of both numbers, 1) of a sentence."""
    left, right = ([_bag(text, topic) for text in texts] for texts in (claims, facts))
    similarity = np.array([[_similarity(a, b) for b in right] for a in left]).reshape(len(left), len(right))
    paired = similarity[linear_sum_assignment(similarity, maximize=True)]
    return (
        float((paired >= threshold).sum()),
        len(left),
        len(right),
        float(paired.sum()),
        max(len(left), len(right)),
        1,
    )


def _metrics(sums: np.ndarray) -> np.ndarray:
    matches, claims, facts, similarity, larger, sentences = sums.T
    shares = [(matches, facts), (matches, claims), (2 * matches, claims + facts), (similarity, larger)]
    return np.stack([divide(*pair) for pair in (*shares, (claims, sentences), (facts, sentences))], axis=1)


def _bag(text: str, topic: str) -> Counter[str]:
    left_out = _EMPTY | set(words(topic))
    return Counter(stem(word) for word in words(text) if word not in left_out)


def _similarity(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    shared = sum(min(count, b.get(word, 0)) for word, count in a.items())
    total = sum(a.values()) + sum(b.values())
    return 2 * shared / total if total else 0.0
