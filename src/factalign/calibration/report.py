"""How far calibrated probabilities agree with readers on topics that the fit did not see, next to the lexical rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from factalign.base.estimates import estimates_of_draws, estimates_to_json, resampled_weights
from factalign.calibration import measures
from factalign.calibration.config import CalibrationConfig
from factalign.calibration.learning import MODELS, predict
from factalign.evaluation import score_sentences

LEXICAL = "lexical"
CLAIM_METRICS = (
    "auroc",
    "auroc_within_kinds",
    "precision_false",
    "recall_false",
    "precision_telling",
    "recall_telling",
    "precision_true",
    "recall_true",
    "ece_false",
    "ece_telling",
    "ece_true",
)
SENTENCE_METRICS = ("kappa", "precision", "recall", "auroc", "ece")


def calibration_report(
    model: dict[str, Any],
    features: pd.DataFrame,
    sentences: pd.DataFrame,
    unseen: tuple[pd.DataFrame, pd.DataFrame],
    config: CalibrationConfig,
) -> dict[str, Any]:
    """Measures with 95% bootstrap intervals over topics, of the dev split and, out of fold, of the train split.

    A claim's score is P(telling) + P(trivial); AUROC is of true (telling or trivial) against false claims, within kinds
    between claims that differ in topic and numbers alone. `false`, `telling` and `true` are found where their
    probability is above 1/2. The lexical rule finds `false` where it says not supported, the others where it says
    supported. Sentences are those in which readers found an assertion, and positive where more are telling than false;
    the lexical rule's answer is the share of supported claims at 1/2, no where there is none; `decided` are the
    sentences for which there is one, `distinct` those that no earlier sentence on the topic equals, `of …` those of one
    policy.

    Args:
        model: What `calibrate` fitted.
        features: `schemas.CalibrationFeatures`.
        sentences: `schemas.SentenceLabels`.
        unseen: The train split's probabilities out of fold.
        config: Resamples and seed.

    Returns:
        Split -> `claims` and `sentences` (verifier -> measure -> estimate), `reliability`, and counts; fits into JSON.
    """
    dev = features[features["split"] == "dev"].reset_index(drop=True)
    labelled = sentences[sentences["split"] == "dev"]
    tables = {"dev": predict(model, dev, labelled), "train_out_of_fold": unseen}
    return {
        **{name: _split(claims, rows, sentences, config) for name, (claims, rows) in tables.items()},
        "resamples": config.resamples,
        "seed": config.seed,
    }


def _split(
    claims: pd.DataFrame, rows: pd.DataFrame, sentences: pd.DataFrame, config: CalibrationConfig
) -> dict[str, Any]:
    names = sorted(set(claims["topic"]) | set(rows["topic"]))
    number = {name: position for position, name in enumerate(names)}
    weights = np.concatenate([np.ones((1, len(names))), *resampled_weights(len(names), config.resamples, config.seed)])
    shares = lexical_shares(claims, sentences)
    rows = rows.assign(share=rows["sentence_id"].map(shares))
    populations = {
        "all": rows,
        "decided": rows[rows["share"].notna()],
        "distinct": rows[~rows["again"]],
        **{f"of {policy!s}": own for policy, own in rows.groupby("policy") if policy},
    }
    topic = claims["topic"].map(number).to_numpy()
    true, false = _is(claims, "true"), _is(claims, "false")
    _, kind = np.unique(claims["kind"].to_numpy(dtype=str), return_inverse=True)
    _, pairs = measures.ordered_pairs(len(names), topic, np.zeros(len(claims)), true, false, kind)
    return {
        "topics": len(names),
        "labels": claims["label"].value_counts().to_dict(),
        "pairs_within_kinds": int(pairs.sum()),
        "claims": {
            who: _json(_claim_measures(claims, who, weights, topic, kind), CLAIM_METRICS, len(names))
            for who in (*MODELS, LEXICAL)
        },
        "reliability": {
            who: {
                label: measures.reliability_table(*_probability(claims, who, label))
                for label in ("false", "telling", "true")
            }
            for who in MODELS
        },
        "sentences": {
            population: {
                "count": len(table),
                "more_true": int(table["more"].sum()),
                **{
                    who: _json(_sentence_measures(table, who, weights, number), SENTENCE_METRICS, len(names))
                    for who in ("calibrated", LEXICAL)
                },
            }
            for population, table in populations.items()
        },
    }


def lexical_shares(claims: pd.DataFrame, sentences: pd.DataFrame) -> pd.Series:
    """The lexical rule's supported share of each sentence, by `sentence_id`; missing where nothing was judged."""
    verdicts = pd.DataFrame({"claim_id": claims["claim_id"], "label": claims["lexical_label"]})
    verdicts = verdicts.assign(confidence=claims["lexical_confidence"], passage_id=None, verifier_id=LEXICAL)
    own = sentences[sentences["response_id"].isin(claims["response_id"])]
    scores = score_sentences(own[list(SENTENCE_COLUMNS)], claims, verdicts)
    return scores.set_index("sentence_id")["supported_share"]


SENTENCE_COLUMNS = ("sentence_id", "response_id", "index", "start", "end", "text")


def _claim_measures(
    claims: pd.DataFrame, who: str, weights: np.ndarray, topic: np.ndarray, kind: np.ndarray
) -> np.ndarray:
    true, false = _is(claims, "true"), _is(claims, "false")
    score = _lexical_score(claims) if who == LEXICAL else _probability(claims, who, "true")[0]
    columns = [
        measures.auroc(weights, topic, score, true, false),
        measures.auroc(weights, topic, score, true, false, kind),
    ]
    errors = []
    for label in ("false", "telling", "true"):
        if who == LEXICAL:
            found = (claims["lexical_label"] == ("not_supported" if label == "false" else "supported")).to_numpy()
            truth = _is(claims, label)
            errors.append(np.full(len(weights), np.nan))
        else:
            probability, truth = _probability(claims, who, label)
            found = probability > 0.5
            errors.append(measures.calibration_error(weights, topic, probability, truth))
        columns += list(measures.decisions(weights, topic, found, truth)[:, :2].T)
    return np.column_stack([*columns, *errors])


def _sentence_measures(table: pd.DataFrame, who: str, weights: np.ndarray, number: dict[str, int]) -> np.ndarray:
    topic, truth = table["topic"].map(number).to_numpy(dtype=int), table["more"].to_numpy()
    if who == LEXICAL:
        found, score = (table["share"] >= 0.5).to_numpy(), table["share"].fillna(0.5).to_numpy()
        error = np.full(len(weights), np.nan)
    else:
        found, score = table["found"].to_numpy(), table["probability"].to_numpy()
        error = measures.calibration_error(weights, topic, score, truth)
    precision, recall, kappa = measures.decisions(weights, topic, found, truth).T
    return np.column_stack([kappa, precision, recall, measures.auroc(weights, topic, score, truth, ~truth), error])


def _probability(claims: pd.DataFrame, who: str, label: str) -> tuple[np.ndarray, np.ndarray]:
    return claims[[f"{who}: {name}" for name in _names(label)]].sum(axis=1).to_numpy(), _is(claims, label)


def _is(claims: pd.DataFrame, label: str) -> np.ndarray:
    return claims["label"].isin(_names(label)).to_numpy()


def _names(label: str) -> tuple[str, ...]:
    return ("telling", "trivial") if label == "true" else (label,)


def _lexical_score(claims: pd.DataFrame) -> np.ndarray:
    """P(supported) as `audit.verifier_agreement` reads it from label and confidence."""
    confidence, label = claims["lexical_confidence"].to_numpy(), claims["lexical_label"].to_numpy()
    return np.select(
        [label == "supported", label == "not_supported"], [confidence, 1 - confidence], (1 - confidence) / 2
    )


def _json(draws: np.ndarray, names: tuple[str, ...], topics: int) -> dict[str, Any]:
    return estimates_to_json(estimates_of_draws(draws, names, n=topics))
