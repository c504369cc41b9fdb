"""Distillation: the corpus teaches a small verifier of its own."""

from kedro.pipeline import Node, Pipeline

from .nodes import make_claims, train_verifier


def create_pipeline() -> Pipeline:
    """From `passages` and `params:distillation` to `synthetic_claims` and `verifier_model`."""
    return Pipeline(
        [
            Node(
                make_claims,
                inputs=["passages", "params:distillation", "params:corpus"],
                outputs="synthetic_claims",
                name="make_synthetic_claims",
            ),
            Node(
                train_verifier,
                inputs=["synthetic_claims", "params:distillation", "params:staging_dir"],
                outputs="verifier_model",
                name="train_verifier",
            ),
        ],
        tags="distillation",
    )
