"""Counts and scores of responses and sentences, from the verdicts on their claims.

One rule serves labels and metrics alike: a claim that repeats an earlier one of its response (`duplicate_of`)
is not counted again; `irrelevant` claims stay out of precision; `failed` ones, and claims that have no
verdict at all, are never counted as false but lower `coverage`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from factalign.base.text import distinct_2, normalise, words
from factalign.evaluation.formulas import f1_at_k, precision, recall_at_k
from factalign.schemas import LABELS, ResponseScores, SentenceScores


def score_responses(
    responses: pd.DataFrame, sentences: pd.DataFrame, claims: pd.DataFrame, verdicts: pd.DataFrame, k: int
) -> pd.DataFrame:
    """Score every response; one without sentences or claims gets a row as well.

    precision, recall@K and F1@K are those of `formulas`, precision missing if nothing was judged.
    coverage = claims with a verdict other than `failed` / claims, and 1 for a response without claims: no
    verdict was missed there. distinct_2 = distinct word bigrams / word bigrams, missing below two words.

    Args:
        responses: `Responses` table.
        sentences: `Sentences` of these responses.
        claims: `Claims` of these sentences.
        verdicts: `Verdicts` on these claims.
        k: The number of supported claims from which on recall@K is 1.

    Returns:
        A `ResponseScores` table, in the order of `responses`.

    Raises:
        ValueError: `k` is below 1, or a table refers to rows that the others do not have.
    """
    _check_references("sentences", sentences, "response_id", responses)
    _check_references("claims", claims, "response_id", responses)
    ids = responses["response_id"]
    counts = _count_labels(claims, verdicts, "response_id", ids)
    num_claims = counts.sum(axis=1)
    supported, not_supported = counts["supported"].to_numpy(), counts["not_supported"].to_numpy()
    missed = counts["failed"] / num_claims.where(num_claims > 0)
    tokens = [words(text) for text in responses["text"]]
    scores = pd.DataFrame(
        {
            "response_id": ids.to_numpy(),
            "prompt_id": responses["prompt_id"].to_numpy(),
            "num_sentences": _count(sentences["response_id"], ids),
            "num_claims": num_claims.to_numpy(),
            "num_duplicates": _count(claims.loc[claims["duplicate_of"].notna(), "response_id"], ids),
            **{f"num_{label}": counts[label].to_numpy() for label in LABELS},
            "precision": precision(supported, not_supported),
            "recall_at_k": recall_at_k(supported, k),
            "f1_at_k": f1_at_k(supported, not_supported, k),
            "coverage": (1.0 - missed.fillna(0.0)).to_numpy(),
            "num_tokens": responses["num_tokens"].to_numpy(),
            "num_words": np.array([len(row) for row in tokens], dtype="int64"),
            "distinct_2": np.array([distinct_2(row) for row in tokens], dtype="float64"),
        }
    )
    return ResponseScores.validate(scores)


def score_sentences(sentences: pd.DataFrame, claims: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Score every sentence by its own claims, leaving out those that repeat an earlier claim of the response.

    A sentence is a repetition if its words, in their order, occurred as a sentence before in the same
    response, or if all of its claims, at least one, repeat earlier claims.

    Returns:
        A `SentenceScores` table, in the order of `sentences`.

    Raises:
        ValueError: A table refers to rows that the others do not have.
    """
    _check_references("claims", claims, "sentence_id", sentences)
    ids = sentences["sentence_id"]
    counts = _count_labels(claims, verdicts, "sentence_id", ids)
    judged = counts["supported"] + counts["not_supported"]
    num_duplicates = _count(claims.loc[claims["duplicate_of"].notna(), "sentence_id"], ids)
    says_nothing_new = (num_duplicates > 0) & (counts.sum(axis=1).to_numpy() == 0)
    scores = pd.DataFrame(
        {
            "sentence_id": ids.to_numpy(),
            "response_id": sentences["response_id"].to_numpy(),
            "num_supported": counts["supported"].to_numpy(),
            "num_not_supported": counts["not_supported"].to_numpy(),
            "num_failed": counts["failed"].to_numpy(),
            "supported_share": (counts["supported"] / judged.where(judged > 0)).to_numpy(),
            "is_repetition": _said_before(sentences) | says_nothing_new,
        }
    )
    return SentenceScores.validate(scores)


def _count_labels(claims: pd.DataFrame, verdicts: pd.DataFrame, owner: str, ids: pd.Series) -> pd.DataFrame:
    """Distinct claims by label: one row an id of `ids`, one column a label of `LABELS`."""
    _check_references("verdicts", verdicts, "claim_id", claims)
    distinct = claims.loc[claims["duplicate_of"].isna(), ["claim_id", owner]]
    labelled = distinct.merge(verdicts[["claim_id", "label"]], on="claim_id", how="left", validate="one_to_one")
    labelled["label"] = labelled["label"].astype("object").fillna("failed")
    counts = labelled.groupby([owner, "label"]).size().unstack(fill_value=0)
    return counts.reindex(index=ids, columns=list(LABELS), fill_value=0).astype("int64")


def _count(owners: pd.Series, ids: pd.Series) -> np.ndarray:
    return owners.value_counts().reindex(ids, fill_value=0).to_numpy(dtype="int64")


def _said_before(sentences: pd.DataFrame) -> np.ndarray:
    ordered = pd.DataFrame(
        {
            "response_id": sentences["response_id"].to_numpy(),
            "index": sentences["index"].to_numpy(),
            "text": [normalise(text) for text in sentences["text"]],
        }
    ).sort_values(["response_id", "index"], kind="stable")
    repeated = ordered.duplicated(["response_id", "text"]) & (ordered["text"] != "")
    return repeated.sort_index().to_numpy(dtype=bool)


def _check_references(name: str, table: pd.DataFrame, key: str, target: pd.DataFrame) -> None:
    unknown = table.loc[~table[key].isin(target[key]), key]
    if len(unknown):
        raise ValueError(
            f"{name}: {len(unknown)} of {len(table)} rows have a {key} that no row of the other tables has, "
            f"first {unknown.iloc[0]!r}; score the tables of one run together"
        )
