"""The features of labelled claims."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from factalign.base.http import FetchError
from factalign.base.text import plain_stems
from factalign.calibration.config import CalibrationConfig
from factalign.extraction import find_duplicates
from factalign.retrieval import Retriever
from factalign.schemas import CalibrationFeatures
from factalign.verifiers import passages_by_id
from factalign.verifiers.calibrated.features import ClaimReader
from factalign.verifiers.calibrated.specificity import OtherTopics, TopicNames

logger = logging.getLogger(__name__)

# What needs the rest of an answer, and other answers: whether an earlier claim says the same, and the share of the
# other answers to the prompt that say it again.
CONTEXT = ("repeats", "said_again")
AGAIN = 0.6  # Jaccard index of the stems of two claims that say the same


def read_features(
    claims: pd.DataFrame,
    sentences: pd.DataFrame,
    passages: pd.DataFrame,
    retriever: Retriever,
    k: int,
    config: CalibrationConfig,
) -> pd.DataFrame:
    """The `schemas.CalibrationFeatures` of labelled claims.

    Args:
        claims: `schemas.ClaimLabels`.
        sentences: `schemas.SentenceLabels`, those of the claims.
        passages: The corpus.
        retriever: Finds evidence in it.
        k: How many passages a claim is read against.
        config: How many other topics.

    Raises:
        ValueError: The labels do not fit together, or nothing is known of their train topics.
    """
    rows = join_labels(claims, sentences)
    names = TopicNames(passages)
    topics = draw_topics(rows, passages, config)
    reader = ClaimReader(OtherTopics(topics, passages, names, retriever, k))
    known = passages_by_id(passages)
    read: list[dict[str, Any]] = []
    found = retriever.search(rows["text"].tolist(), rows["topic"].tolist(), k)
    shown = tqdm(rows.itertuples(), total=len(rows), desc="claims read", unit="claim", mininterval=5)
    for row, hits in zip(shown, found, strict=True):
        if isinstance(hits, FetchError):
            raise ValueError(f"the evidence of claim {row.text!r:.200} could not be looked up: {hits}")
        evidence = [known[hit.passage_id] for hit in hits if hit.passage_id in known]
        features, verdict = reader.read(row.text, evidence, row.topic)
        lexical = {"lexical_label": verdict.label, "lexical_confidence": verdict.confidence}
        read.append({"kind": names.kind(row.text, row.topic), **lexical, **asdict(features)})
    table = pd.concat([rows.drop(columns=["text", "prompt"]), pd.DataFrame(read)], axis=1)
    table["duplicate_of"] = duplicates = _duplicates(rows)
    table["repeats"] = duplicates.notna().astype(float)
    table["said_again"] = _said_again(rows)
    return CalibrationFeatures.validate(table)


def join_labels(claims: pd.DataFrame, sentences: pd.DataFrame) -> pd.DataFrame:
    """The claims with the topic, split and prompt of their sentences, in the order of the answers.

    Raises:
        ValueError: A claim's sentence is not there, a topic is in both splits, or a split has no claim.
    """
    unknown = claims.loc[~claims["sentence_id"].isin(sentences["sentence_id"]), "sentence_id"]
    if len(unknown):
        raise ValueError(f"claim_labels: sentence_id {unknown.iloc[0]!r} is not in sentence_labels")
    splits = sentences.groupby("topic")["split"].nunique()
    if (splits > 1).any():
        raise ValueError(f"sentence_labels: topic {splits.idxmax()!r} is in both splits")
    about = sentences[["sentence_id", "index", "split", "topic", "prompt"]]
    rows = claims[["claim_id", "sentence_id", "response_id", "text", "label"]].merge(about, on="sentence_id")
    if missing := {"train", "dev"} - set(rows["split"]):
        raise ValueError(f"claim_labels: no claim of split {min(missing)!r}; both train and dev are needed")
    return rows.sort_values(["response_id", "index"], kind="stable").drop(columns="index").reset_index(drop=True)


def draw_topics(rows: pd.DataFrame, passages: pd.DataFrame, config: CalibrationConfig) -> list[str]:
    """Train topics that the corpus knows, drawn at random, sorted.

    Raises:
        ValueError: There are fewer than two.
    """
    pool = sorted(set(rows.loc[rows["split"] == "train", "topic"]) & set(passages["title"]))
    if len(pool) < 2:
        raise ValueError(
            f"the passages are about {len(pool)} of the train topics of the labels; specificity needs at least two"
        )
    order = np.random.default_rng(config.seed).permutation(len(pool))
    return sorted(pool[position] for position in order[: config.other_topics])


def _duplicates(rows: pd.DataFrame) -> pd.Series:
    """For each claim the id of the first of its answer that says the same."""
    first = pd.Series(None, index=rows.index, dtype=object)
    for _, answer in rows.groupby("response_id", sort=False):
        ids = answer["claim_id"].tolist()
        found = find_duplicates(answer["text"].tolist())
        first.loc[answer.index] = [None if position is None else ids[position] for position in found]
    return first


def _said_again(rows: pd.DataFrame) -> pd.Series:
    """The share of the other answers to the prompt that have a claim with nearly the same words; 0 without others."""
    shares = pd.Series(0.0, index=rows.index)
    for _, answers in rows.groupby(["topic", "prompt"], sort=False):
        bags = {index: plain_stems(text) for index, text in answers["text"].items()}
        by_answer = [answer.index.tolist() for _, answer in answers.groupby("response_id", sort=False)]
        for own in by_answer:
            others = [other for other in by_answer if other is not own]
            for index in own if others else ():
                again = sum(any(_same(bags[index], bags[claim]) for claim in other) for other in others)
                shares[index] = again / len(others)
    return shares


def _same(first: frozenset[str], second: frozenset[str]) -> bool:
    return len(first & second) >= AGAIN * max(len(first | second), 1)
