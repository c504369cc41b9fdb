"""Iterate: the whole method, N times over, each round from the policy of the one before."""

from kedro.pipeline import Pipeline

from factalign.pipelines import benchmarking, evaluation, knowledge, policy, preference, sampling, training

SHARED_PARAMETERS = (
    "params:sampling",
    "params:corpus",
    "params:evaluation",
    "params:retriever",
    "params:preference",
    "params:training",
    "params:seed",
    "params:staging_dir",
)


def policy_names(iterations: int) -> list[str]:
    """The policies that a run ends with, the base first."""
    return ["base", *(f"iter_{t}" for t in range(1, iterations + 1))]


def create_round(name: str, previous: str) -> Pipeline:
    """One round in the namespace `name`: sample from `{previous}.policy`, verify, label, train `{name}.policy`."""
    template = Pipeline(
        [
            sampling.create_pipeline(),
            evaluation.create_pipeline(),
            preference.create_pipeline(),
            training.create_pipeline(),
        ]
    )
    return Pipeline(
        template,
        namespace=name,
        inputs={
            "prompts": "train_prompts",
            "policy": f"{previous}.policy",
            "passages": "passages",
            "index": "index",
        },
        outputs={"next_policy": f"{name}.policy"},
        parameters={parameter: parameter for parameter in SHARED_PARAMETERS},
    )


def create_pipeline(iterations: int) -> Pipeline:
    """Prepare, run `iterations` rounds, benchmark the base and the policy of every round, report."""
    models = policy_names(iterations)
    rounds = [
        Pipeline([create_round(name, previous), benchmarking.create_pipeline(name)], tags=name)
        for previous, name in zip(models, models[1:], strict=False)
    ]
    return Pipeline(
        [
            policy.create_pipeline(),
            knowledge.create_pipeline(),
            Pipeline(benchmarking.create_pipeline("base"), tags="base"),
            *rounds,
            benchmarking.create_report(f"report_{iterations}", models),
        ]
    )
