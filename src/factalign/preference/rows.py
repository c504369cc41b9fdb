"""Preference rows: the format that FactAlign's authors published, and what tracing needs besides."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from factalign.base.text import words
from factalign.preference.config import PreferenceConfig
from factalign.preference.labels import Label, balance, label_responses, label_sentences

logger = logging.getLogger(__name__)

Row = dict[str, Any]


def build_preferences(
    prompts: pd.DataFrame,
    responses: pd.DataFrame,
    sentences: pd.DataFrame,
    response_scores: pd.DataFrame,
    sentence_scores: pd.DataFrame,
    config: PreferenceConfig,
    *,
    seed: int,
) -> list[Row]:
    """One row a response that has any label, in the order of `responses`; every sample of a prompt counts.

    A row has the published keys `prompt`, `completion` (conversations), `label`, `completion_sentences` and
    `sentence_label`, and also `sentence_spans` (`[start, end]` character offsets into the completion),
    `response_id`, `prompt_id` and `finish_reason`. `label` is None where only the sentences train; None in
    `sentence_label` marks a sentence without a label; the three sentence keys are None where there are no
    sentences.

    Args:
        prompts: `Prompts` table.
        responses: `Responses` table.
        sentences: `Sentences` table.
        response_scores: `ResponseScores` table.
        sentence_scores: `SentenceScores` table.
        config: The labelling rules.
        seed: Decides which rows and labels are left out by `config.balance` and `config.max_rows`.

    Raises:
        ValueError: A response has no prompt or no scores, or a sentence has no scores.
    """
    rows = _rows(prompts, responses, sentences, sentence_scores, config)
    for row, label in zip(rows, label_responses(responses, response_scores, config), strict=True):
        row["label"] = label
    usable = [row for row in rows if _is_labelled(row) and row["completion"][0]["content"].strip()]
    generator = np.random.default_rng(seed)
    kept = _choose(usable, config.max_rows, generator)
    if config.balance:
        kept = [row for row in _balanced(kept, generator) if _is_labelled(row)]
    logger.info(
        "preferences: %d rows of %d responses; left out: %d without text or label, %d by max_rows or balance",
        len(kept),
        len(rows),
        len(rows) - len(usable),
        len(usable) - len(kept),
    )
    return kept


def summarise_preferences(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts by class at both levels, and the lengths that can confound them.

    `length_ratio` is the mean number of words of desirable responses over that of undesirable ones; far from
    1, the trainer can learn length instead of factuality. None where a class is empty.
    """
    lengths: dict[Label, list[int]] = {True: [], False: [], None: []}
    for row in rows:
        lengths[row["label"]].append(len(words(row["completion"][0]["content"])))
    sentence_lengths: dict[Label, list[int]] = {True: [], False: [], None: []}
    for row in rows:
        for text, label in zip(row["completion_sentences"] or (), row["sentence_label"] or (), strict=True):
            sentence_lengths[label].append(len(words(text)))
    return {
        "rows": len(rows),
        "prompts": len({str(row["prompt"]) for row in rows}),
        "responses": _summarise(lengths),
        "sentences": _summarise(sentence_lengths),
        "finish_reasons": dict(sorted(Counter(str(row.get("finish_reason")) for row in rows).items())),
    }


def _rows(
    prompts: pd.DataFrame,
    responses: pd.DataFrame,
    sentences: pd.DataFrame,
    sentence_scores: pd.DataFrame,
    config: PreferenceConfig,
) -> list[Row]:
    """Every response as a row, its own label still missing."""
    unknown = responses.loc[~responses["prompt_id"].isin(prompts["prompt_id"])]
    if len(unknown):
        first = unknown.iloc[0]
        raise ValueError(f"response {first['response_id']!r}: no prompt has prompt_id {first['prompt_id']!r}")
    messages = dict(zip(prompts["prompt_id"], prompts["messages"], strict=True))
    by_response = _labelled_sentences(sentences, sentence_scores, config.sentence_threshold)
    rows = []
    for response in responses.to_dict("records"):
        parts = by_response.get(response["response_id"], [])
        conversation = messages[response["prompt_id"]]
        rows.append(
            {
                "prompt": [{"role": str(m["role"]), "content": str(m["content"])} for m in conversation],
                "completion": [{"role": "assistant", "content": response["text"]}],
                "label": None,
                "completion_sentences": [text for _, text, _ in parts] or None,
                "sentence_label": [label for _, _, label in parts] or None,
                "sentence_spans": [span for span, _, _ in parts] or None,
                "response_id": response["response_id"],
                "prompt_id": response["prompt_id"],
                "finish_reason": response["finish_reason"],
            }
        )
    return rows


def _labelled_sentences(
    sentences: pd.DataFrame, scores: pd.DataFrame, threshold: float
) -> dict[str, list[tuple[list[int], str, Label]]]:
    """`([start, end], text, label)` of the sentences of each response, in reading order."""
    labels = dict(zip(scores["sentence_id"], label_sentences(scores, threshold), strict=True))
    found: dict[str, list[tuple[list[int], str, Label]]] = {}
    for sentence in sentences.sort_values(["response_id", "index"]).to_dict("records"):
        sentence_id = sentence["sentence_id"]
        if sentence_id not in labels:
            raise ValueError(f"sentence {sentence_id!r} has no row in sentence_scores")
        part = ([sentence["start"], sentence["end"]], sentence["text"], labels[sentence_id])
        found.setdefault(sentence["response_id"], []).append(part)
    return found


def _is_labelled(row: Row) -> bool:
    return row["label"] is not None or any(label is not None for label in row["sentence_label"] or ())


def _choose(rows: list[Row], max_rows: int | None, generator: np.random.Generator) -> list[Row]:
    """At most `max_rows` rows at random, pairs of a desirable and an undesirable one before the others."""
    if max_rows is None or len(rows) <= max_rows:
        return rows
    order = generator.permutation(len(rows))
    desirable = [i for i in order if rows[i]["label"] is True]
    undesirable = [i for i in order if rows[i]["label"] is False]
    paired = [i for pair in zip(desirable, undesirable, strict=False) for i in pair]
    surplus = desirable[len(paired) // 2 :] + undesirable[len(paired) // 2 :]
    unlabelled = [i for i in order if rows[i]["label"] is None]
    return [rows[i] for i in sorted((paired + surplus + unlabelled)[:max_rows])]


def _balanced(rows: list[Row], generator: np.random.Generator) -> list[Row]:
    responses = balance([row["label"] for row in rows], generator, "response")
    flat = [label for row in rows for label in row["sentence_label"] or ()]
    sentences = iter(balance(flat, generator, "sentence"))
    return [
        row
        | {
            "label": label,
            "sentence_label": row["sentence_label"] and [next(sentences) for _ in row["sentence_label"]],
        }
        for row, label in zip(rows, responses, strict=True)
    ]


def _summarise(lengths: Mapping[Label, list[int]]) -> dict[str, Any]:
    desirable, undesirable = _mean(lengths[True]), _mean(lengths[False])
    return {
        "desirable": len(lengths[True]),
        "undesirable": len(lengths[False]),
        "unlabelled": len(lengths[None]),
        "mean_words_desirable": desirable,
        "mean_words_undesirable": undesirable,
        "length_ratio": round(desirable / undesirable, 3) if desirable and undesirable else None,
    }


def _mean(values: list[int]) -> float | None:
    return round(sum(values) / len(values), 2) if values else None
