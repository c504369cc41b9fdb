"""Nodes of the evaluate_file pipeline."""

from __future__ import annotations

import logging
from typing import Any

from factalign.base.heavy import pd
from factalign.parameters import EvaluateFileConfig, EvaluationConfig

logger = logging.getLogger(__name__)


def read(evaluate_file: EvaluateFileConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The given responses and their prompts."""
    from factalign.evaluation import read_responses

    prompts, responses = read_responses(evaluate_file.path)
    logger.info("%d responses to %d prompts in %s", len(responses), len(prompts), evaluate_file.path)
    return prompts, responses


def report(
    evaluation: EvaluationConfig,
    evaluate_file: EvaluateFileConfig,
    seed: int,
    passages: pd.DataFrame,
    found_passages: pd.DataFrame,
    **tables: pd.DataFrame,
) -> tuple[dict[str, Any], str]:
    """The means with intervals, and the page.

    Args:
        tables: The other tables of `evaluation.Evaluation`, by name.
    """
    from factalign.base.estimates import Estimate
    from factalign.evaluation import Evaluation, warn_of_topics

    warn_of_topics(tables["claims"], tables["evidence"], tables["responses"], tables["prompts"])
    result = Evaluation(passages=pd.concat([passages, found_passages]), k=evaluation.k, **tables)
    summary = result.summary(gamma=evaluate_file.gamma, seed=seed, resamples=evaluate_file.resamples)
    for name, estimate in summary["metrics"].items():
        logger.info("%-18s %s", name, Estimate.from_json(estimate).text())
    return summary, result.html(summary)
