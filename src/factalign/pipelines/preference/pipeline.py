"""Preference: scores become labels, labels become training rows."""

from kedro.pipeline import Node, Pipeline

from .nodes import build, summarise


def create_pipeline() -> Pipeline:
    """Template with the free inputs `prompts`, `responses`, `sentences` and both score tables."""
    return Pipeline(
        [
            Node(
                build,
                inputs=[
                    "prompts",
                    "responses",
                    "sentences",
                    "response_scores",
                    "sentence_scores",
                    "params:preference",
                    "params:seed",
                ],
                outputs="preferences",
                name="build_preferences",
            ),
            Node(
                summarise,
                inputs="preferences",
                outputs="preference_summary",
                name="summarise_preferences",
            ),
        ],
        tags="preference",
    )
