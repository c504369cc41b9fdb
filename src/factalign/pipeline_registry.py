"""The pipelines by name. `kedro run` without a name runs `iterate`."""

from kedro.pipeline import Pipeline

from factalign.pipelines import (
    annotate,
    audit,
    benchmarking,
    calibration,
    distillation,
    evaluate_file,
    iterate,
    knowledge,
    policy,
)
from factalign.settings import ITERATIONS

STANDALONE = "standalone"


def register_pipelines() -> dict[str, Pipeline]:
    """Each stage runs on its own in the namespace `standalone`, on artifacts of the stage before or of one's own."""
    round_ = iterate.create_round(STANDALONE, previous="base")
    stages = {
        stage: round_.only_nodes_with_tags(stage) for stage in ("sampling", "evaluation", "preference", "training")
    }
    whole = iterate.create_pipeline(ITERATIONS)
    return {
        "policy": policy.create_pipeline(),
        "knowledge": knowledge.create_pipeline(),
        **stages,
        "benchmarking": benchmarking.create_pipeline("base")
        + benchmarking.create_pipeline(STANDALONE)
        + benchmarking.create_report(f"report_{STANDALONE}", ["base", STANDALONE]),
        "evaluate_file": evaluate_file.create_pipeline(),
        "audit": audit.create_pipeline(),
        "annotate": annotate.create_pipeline(iterate.policy_names(ITERATIONS)),
        "calibration": calibration.create_pipeline(),
        "distillation": distillation.create_pipeline(),
        "iterate": whole,
        "__default__": whole,
    }
