"""Policy: the model that everything starts from, ready to be loaded."""

from kedro.pipeline import Node, Pipeline

from .nodes import describe_policy, import_policy


def create_pipeline() -> Pipeline:
    """From `params:policy` to the handle `base.policy`."""
    return Pipeline(
        [
            Node(
                import_policy,
                inputs=["params:policy", "params:staging_dir"],
                outputs="checkpoint",
                name="import_policy",
            ),
            Node(
                describe_policy,
                inputs=["checkpoint", "params:policy"],
                outputs="policy",
                name="describe_policy",
            ),
        ],
        namespace="base",
        parameters={name: name for name in ("params:policy", "params:staging_dir")},
        tags="policy",
    )
