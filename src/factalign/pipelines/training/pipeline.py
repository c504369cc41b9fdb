"""Training: fKTO in a child process started by accelerate."""

from kedro.pipeline import Node, Pipeline

from .nodes import describe_trained_policy, plot, train


def create_pipeline() -> Pipeline:
    """Template with the free inputs `policy` and `preferences` and the output `next_policy`."""
    return Pipeline(
        [
            Node(
                train,
                inputs=["policy", "preferences", "params:training", "params:seed", "params:staging_dir"],
                outputs=["checkpoint", "training_log"],
                name="train",
            ),
            Node(
                describe_trained_policy,
                inputs=["policy", "checkpoint"],
                outputs="next_policy",
                name="describe_policy",
            ),
            Node(plot, inputs="training_log", outputs="training_figure", name="plot_training"),
        ],
        tags="training",
    )
