"""What the probabilities of its claims say of a sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from factalign.verifiers.calibrated.features import text_counts

SENTENCE_FEATURES = (
    "expected_telling",
    "expected_false",
    "more_telling",
    "most_telling",
    "most_false",
    "claims",
    "repeats",
    "names",
    "numbers",
    "length",
)


def sentence_features(sentences: pd.DataFrame, claims: pd.DataFrame, probabilities: pd.DataFrame) -> pd.DataFrame:
    """One row a sentence, columns `SENTENCE_FEATURES`; all 0 but the text's counts where it has no claim.

    Args:
        sentences: `sentence_id`, `text`.
        claims: `sentence_id`, `repeats`.
        probabilities: Of these claims, columns `telling` and `false`.
    """
    table = claims[["sentence_id", "repeats"]].join(probabilities[["telling", "false"]])
    rows = {sentence_id: _of_claims(group) for sentence_id, group in table.groupby("sentence_id", sort=False)}
    none = (0.0,) * 7
    values = [
        (*rows.get(sentence_id, none), *text_counts(text))
        for sentence_id, text in zip(sentences["sentence_id"], sentences["text"], strict=True)
    ]
    return pd.DataFrame(values, columns=list(SENTENCE_FEATURES), index=sentences.index, dtype="float64")


def _of_claims(claims: pd.DataFrame) -> tuple[float, ...]:
    telling, false = claims["telling"].to_numpy(), claims["false"].to_numpy()
    return (
        telling.sum(),
        false.sum(),
        more_telling(telling, false),
        telling.max(),
        false.max(),
        float(np.log1p(len(claims))),
        claims["repeats"].mean(),
    )


def more_telling(telling: Sequence[float] | np.ndarray, false: Sequence[float] | np.ndarray) -> float:
    """The probability that more claims are telling than false, if claims are independent: the distribution of the
    difference, one claim after the other.
    """
    size = len(telling)
    chance = np.zeros(2 * size + 1)
    chance[size] = 1.0
    for up, down in zip(telling, false, strict=True):
        chance = (1 - up - down) * chance + up * np.roll(chance, 1) + down * np.roll(chance, -1)
    return float(chance[size + 1 :].sum())
