"""Sampling: prompts and a policy become responses."""

from kedro.pipeline import Node, Pipeline

from .nodes import sample


def create_pipeline(sampling: str = "params:sampling") -> Pipeline:
    """Template with the free inputs `prompts` and `policy`; `sampling` names the parameters to sample with."""
    return Pipeline(
        [
            Node(
                sample,
                inputs=["prompts", "policy", sampling, "params:seed"],
                outputs="responses",
                name="sample_responses",
                tags="sampling",
            )
        ]
    )
