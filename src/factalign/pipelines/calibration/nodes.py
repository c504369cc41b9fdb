"""Nodes of the calibration pipeline."""

from __future__ import annotations

from typing import Any

from factalign.base.heavy import pd, plotly
from factalign.calibration import CalibrationConfig
from factalign.parameters import RetrieverConfig


def read_features(
    claim_labels: pd.DataFrame,
    sentence_labels: pd.DataFrame,
    passages: pd.DataFrame,
    index: str,
    retriever: RetrieverConfig,
    calibration: CalibrationConfig,
) -> pd.DataFrame:
    """The features of all labelled claims."""
    from factalign import calibration as library
    from factalign.retrieval import open_retriever

    finder, k = open_retriever(retriever, index), retriever.passages_per_claim
    return library.read_features(claim_labels, sentence_labels, passages, finder, k, calibration)


def fit(
    features: pd.DataFrame,
    sentence_labels: pd.DataFrame,
    passages: pd.DataFrame,
    retriever: RetrieverConfig,
    calibration: CalibrationConfig,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model, fitted to the train split, and how far it agrees with readers."""
    from factalign import calibration as library

    k = retriever.passages_per_claim
    model, claims, sentences = library.calibrate(features, sentence_labels, passages, retriever, k, calibration)
    return model, library.calibration_report(model, features, sentence_labels, (claims, sentences), calibration)


def plot(report: dict[str, Any]) -> plotly.graph_objects.Figure:
    """Reliability on the dev split."""
    from factalign.analysis import calibration_figure

    return calibration_figure(report)
