"""Nodes of the preference pipeline."""

from __future__ import annotations

from typing import Any

from factalign.base.heavy import pd
from factalign.preference import PreferenceConfig


def build(
    prompts: pd.DataFrame,
    responses: pd.DataFrame,
    sentences: pd.DataFrame,
    response_scores: pd.DataFrame,
    sentence_scores: pd.DataFrame,
    config: PreferenceConfig,
    seed: int,
) -> list[dict[str, Any]]:
    """Label responses and sentences and write them as training rows."""
    from factalign.preference import build_preferences

    return build_preferences(prompts, responses, sentences, response_scores, sentence_scores, config, seed=seed)


def summarise(preferences: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows, classes and lengths of a training set."""
    from factalign.preference import summarise_preferences

    return summarise_preferences(preferences)
