"""Benchmarking: every policy answers the same held-out prompts; the answers are scored and compared."""

from kedro.pipeline import Node, Pipeline

from factalign.pipelines import evaluation, sampling

from .nodes import compare, hand_over, plot, write_report

TABLES = (
    "prompts",
    "responses",
    "sentences",
    "claims",
    "verdicts",
    "sentence_scores",
    "extraction_costs",
    "verification_costs",
)


def create_pipeline(model: str) -> Pipeline:
    """The benchmark of one policy: namespace `{model}.benchmark`, input `{model}.policy`."""
    return Pipeline(
        [
            sampling.create_pipeline("params:benchmark_sampling"),
            evaluation.create_pipeline(),
            Node(
                hand_over,
                inputs={"seed": "params:seed", "scores": "response_scores", **{table: table for table in TABLES}},
                outputs="result",
                name="hand_over",
            ),
        ],
        namespace=f"{model}.benchmark",
        inputs={
            "prompts": "benchmark_prompts",
            "policy": f"{model}.policy",
            "passages": "passages",
            "index": "index",
        },
        parameters={
            name: name
            for name in (
                "params:benchmark_sampling",
                "params:corpus",
                "params:evaluation",
                "params:retriever",
                "params:seed",
            )
        },
        tags="benchmarking",
    )


def create_report(report: str, models: list[str]) -> Pipeline:
    """Compare the benchmarks of `models`, the first of which is the base, in the namespace `report`."""
    results = {model: f"{model}.benchmark.result" for model in models}
    return Pipeline(
        [
            Node(
                compare,
                inputs={
                    "evaluation": "params:evaluation",
                    "benchmark": "params:benchmark",
                    "seed": "params:seed",
                    **results,
                },
                outputs="summary",
                name="compare",
            ),
            Node(plot, inputs="summary", outputs="figure", name="plot"),
            Node(
                write_report,
                inputs={
                    "summary": "summary",
                    "figure": "figure",
                    "base": results[models[0]],
                    "last": results[models[-1]],
                },
                outputs="html",
                name="write_report",
            ),
        ],
        namespace=report,
        inputs=set(results.values()),
        parameters={"params:evaluation", "params:benchmark", "params:seed"},
        tags=["benchmarking", "report"],
    )
