"""From features and labels to a model of claims and one of sentences."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from factalign.base.agreement import cohen_kappa
from factalign.base.ids import content_hash
from factalign.base.registry import Choice
from factalign.calibration.config import CalibrationConfig
from factalign.calibration.features import CONTEXT, draw_topics
from factalign.calibration.fitting import choose_strength, fit, topic_folds
from factalign.calibration.sentences import sentence_features
from factalign.schemas import READER_LABELS
from factalign.verifiers.calibrated.features import FEATURES
from factalign.verifiers.calibrated.regression import Regression
from factalign.verifiers.lexical.verifier import LexicalVerifier

logger = logging.getLogger(__name__)

VERSION = 1
MORE, NOT_MORE = "more true", "not more true"
# Which features a model of claims reads: what a verifier can know, and with what only the rest of the answers tells.
MODELS = {"claims": FEATURES, "claims_in_context": (*FEATURES, *CONTEXT)}


def calibrate(
    features: pd.DataFrame,
    sentences: pd.DataFrame,
    passages: pd.DataFrame,
    retriever: Choice,
    k: int,
    config: CalibrationConfig,
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Fit on the train split alone.

    The strengths are chosen by cross-validation over topics. The sentence model is fitted to out-of-fold probabilities
    of claims, and its threshold is the one with the best Cohen's κ on out-of-fold probabilities of sentences.

    Args:
        features: `schemas.CalibrationFeatures`.
        sentences: `schemas.SentenceLabels`.
        passages, retriever, k: What the features were read with.
        config: Folds, strengths, seed.

    Returns:
        The model, which fits into JSON, and out-of-fold probabilities of the train split's claims and sentences, as
        `predict` gives them.
    """
    train = features[features["split"] == "train"]
    folds = topic_folds(train["topic"].tolist(), config.folds, config.seed)
    models: dict[str, Regression] = {}
    unseen: dict[str, pd.DataFrame] = {}
    for name, columns in MODELS.items():
        table, labels = train[list(columns)], train["label"].tolist()
        strength, unseen[name] = choose_strength(table, labels, READER_LABELS, folds, config.strengths)
        models[name] = fit(table, labels, READER_LABELS, strength)
        logger.info("%s: strength %g", name, strength)
    labelled = asserting(sentences[sentences["split"] == "train"])
    rows = sentence_features(labelled, train, unseen["claims_in_context"])
    tells = np.where(labelled["num_telling"] > labelled["num_false"], MORE, NOT_MORE).tolist()
    folds = topic_folds(labelled["topic"].tolist(), config.folds, config.seed)
    strength, found = choose_strength(rows, tells, (MORE, NOT_MORE), folds, config.strengths)
    models["sentences"] = fit(rows, tells, (MORE, NOT_MORE), strength)
    threshold = best_threshold(found[MORE].to_numpy(), np.array(tells) == MORE)
    logger.info("sentences: strength %g, threshold %.3f", strength, threshold)
    model = {
        "version": VERSION,
        "lexical": LexicalVerifier().verifier_id,
        "labels": content_hash(features[["claim_id", "label"]].to_numpy().tolist())[:16],
        "retriever": {"name": retriever.name, "options": retriever.options},
        "passages_per_claim": k,
        "other_topics": draw_topics(features, passages, config),
        **{name: each.to_json() for name, each in models.items()},
        "sentence_threshold": threshold,
    }
    return model, _claim_table(train, unseen), _sentence_table(labelled, found[MORE], threshold)


def predict(
    model: dict[str, Any], features: pd.DataFrame, sentences: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Probabilities of claims and sentences (of which those without an assertion are left out).

    Returns:
        Of claims: the rows of `features`, with a column `model: label` for each model and label. Of sentences: `topic`,
        `sentence_id`, `policy`, `again` (an earlier sentence on the topic has the same words), `more` (what readers
        say), `probability` and `found` (probability at the threshold).
    """
    read = {name: Regression.from_json(model[name]) for name in (*MODELS, "sentences")}
    found = {name: read[name].probabilities(features) for name in MODELS}
    labelled = asserting(sentences)
    rows = sentence_features(labelled, features, found["claims_in_context"])
    more = read["sentences"].probabilities(rows)[MORE]
    return _claim_table(features, found), _sentence_table(labelled, more, model["sentence_threshold"])


def asserting(sentences: pd.DataFrame) -> pd.DataFrame:
    """The sentences in which readers found an assertion that is true and telling, or false."""
    return sentences[sentences["num_telling"] + sentences["num_false"] > 0].reset_index(drop=True)


def best_threshold(probability: np.ndarray, truth: np.ndarray) -> float:
    """The hundredth with the best Cohen's κ; the middle one of several."""
    steps = np.arange(1, 100) / 100
    cells = [
        [np.sum(found & truth), np.sum(found & ~truth), np.sum(~found & truth), np.sum(~found & ~truth)]
        for found in (probability >= step for step in steps)
    ]
    kappa = np.nan_to_num(cohen_kappa(np.array(cells, dtype="float64").reshape(-1, 2, 2)), nan=-1.0)
    best = steps[kappa >= kappa.max() - 1e-12]
    return float(best[len(best) // 2])


def _claim_table(features: pd.DataFrame, found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    columns = [table.add_prefix(f"{name}: ") for name, table in found.items()]
    return pd.concat([features, *columns], axis=1)


def _sentence_table(labelled: pd.DataFrame, probability: pd.Series, threshold: float) -> pd.DataFrame:
    table = labelled[["topic", "sentence_id"]].copy()
    table["again"] = labelled.duplicated(["topic", "text"])
    table["policy"] = labelled.get("policy", "")
    table["more"] = labelled["num_telling"] > labelled["num_false"]
    table["probability"] = probability.to_numpy()
    return table.assign(found=table["probability"] >= threshold)
