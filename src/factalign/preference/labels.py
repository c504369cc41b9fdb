"""Labels of responses and sentences: desirable (True), undesirable (False) or none (None)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from factalign.base.text import words
from factalign.preference.config import PreferenceConfig, QuantileRule, ThresholdRule

logger = logging.getLogger(__name__)

Label = bool | None


def label_responses(responses: pd.DataFrame, scores: pd.DataFrame, config: PreferenceConfig) -> pd.Series:
    """Label each response by its F1@K.

    A repetitive response is undesirable whatever its score. A response whose coverage is below
    `config.min_coverage` has no label: a failed evaluation is no evidence against it. The others are ranked
    among themselves. A response without any claim has F1@K = 0 and is ranked like every other.

    Returns:
        Object series of True, False or None, in the order and with the index of `responses`.

    Raises:
        ValueError: A response has no scores.
    """
    found = scores.set_index("response_id").reindex(responses["response_id"])
    if found["f1_at_k"].isna().any():
        missing = found.index[found["f1_at_k"].isna()][0]
        raise ValueError(f"response {missing!r} has no row in response_scores")
    repetitive = np.array(
        [is_repetitive(text, config.repetition_ngram, config.repetition_limit) for text in responses["text"]],
        dtype=bool,
    )
    covered = found["coverage"].to_numpy() >= config.min_coverage
    labels = np.full(len(responses), None, dtype=object)
    ranked = covered & ~repetitive
    labels[ranked] = _apply(config.response_label, found["f1_at_k"].to_numpy()[ranked])
    labels[repetitive] = False
    logger.info(
        "response labels: %d repetitive responses are undesirable, %d have no label for lack of coverage",
        repetitive.sum(),
        (~covered & ~repetitive).sum(),
    )
    return pd.Series(labels, index=responses.index, dtype=object)


def label_sentences(scores: pd.DataFrame, threshold: float) -> pd.Series:
    """Label each sentence by the supported share of its judged claims.

    A repetition is undesirable. Without any judged claim (irrelevant or failed ones only) there is no label.

    Returns:
        Object series of True, False or None, in the order and with the index of `scores`.
    """
    labels = np.full(len(scores), None, dtype=object)
    judged = scores["supported_share"].notna().to_numpy()
    labels[judged] = (scores["supported_share"].to_numpy()[judged] >= threshold).astype(object)
    labels[scores["is_repetition"].to_numpy(dtype=bool)] = False
    return pd.Series(labels, index=scores.index, dtype=object)


def is_repetitive(text: str, ngram: int, limit: int) -> bool:
    """Whether one n-gram of words occurs more than `limit` times (Huang & Chen 2024: 10-grams, 5 times)."""
    tokens = words(text)
    counts = Counter(zip(*(tokens[offset:] for offset in range(ngram)), strict=False))
    return any(count > limit for count in counts.values())


def balance(labels: Sequence[Label], generator: np.random.Generator, what: str) -> list[Label]:
    """Set labels of the larger class to None, chosen at random, until both classes are equally frequent.

    With a single class nothing is taken away, and a warning tells so.
    """
    balanced = np.array(labels, dtype=object)
    classes = [np.flatnonzero([label is value for label in labels]) for value in (True, False)]
    smaller, larger = sorted(classes, key=len)
    if len(larger) and not len(smaller):
        logger.warning("all %d %s labels are of one class; nothing to balance", len(larger), what)
    else:
        balanced[generator.permutation(larger)[len(smaller) :]] = None
    return list(balanced)


def _apply(rule: ThresholdRule | QuantileRule, scores: np.ndarray) -> Any:
    if isinstance(rule, ThresholdRule):
        return (scores > rule.threshold).astype(object)
    return _by_quantile(scores, rule.low, rule.high)


def _by_quantile(scores: np.ndarray, low: float, high: float) -> np.ndarray:
    """Label by the middle rank of each group of equal scores, so that equal scores get equal labels.

    The lowest score is always undesirable and the highest always desirable, unless all are equal: many
    responses with F1@K = 0 would otherwise have their middle rank in the unlabelled part.
    """
    labels = np.full(len(scores), None, dtype=object)
    if len(scores) == 0:
        return labels
    if scores.min() == scores.max():
        logger.warning("all %d responses have F1@K %.3f: no response labels", len(scores), scores[0])
        return labels
    share = (pd.Series(scores).rank(method="average").to_numpy() - 0.5) / len(scores)
    labels[(share < low) | (scores == scores.min())] = False
    labels[(share > high) | (scores == scores.max())] = True
    return labels
