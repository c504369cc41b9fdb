"""Benchmarking: every policy answers the same held-out prompts; the answers are scored and compared."""

from kedro.pipeline import Node, Pipeline

from factalign.pipelines import evaluation, sampling

from .nodes import compare, plot, write_report


def create_pipeline(model: str) -> Pipeline:
    """The benchmark of one policy: namespace `{model}.benchmark`, input `{model}.policy`."""
    return Pipeline(
        [
            sampling.create_pipeline("params:benchmark_sampling"),
            evaluation.create_pipeline(),
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
    scores = {f"{model}_scores": f"{model}.benchmark.response_scores" for model in models}
    examples = {
        f"{side}_{table}": f"{model}.benchmark.{table}"
        for side, model in (("first", models[0]), ("last", models[-1]))
        for table in ("responses", "response_scores", "sentences", "sentence_scores", "claims", "verdicts")
    }
    return Pipeline(
        [
            Node(
                compare,
                inputs={
                    "benchmark_prompts": "benchmark_prompts",
                    "evaluation": "params:evaluation",
                    "benchmark": "params:benchmark",
                    "seed": "params:seed",
                    **dict(zip(models, scores, strict=True)),
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
                    "benchmark_prompts": "benchmark_prompts",
                    "seed": "params:seed",
                    **{name: name for name in examples},
                },
                outputs="html",
                name="write_report",
            ),
        ],
        namespace=report,
        inputs={"benchmark_prompts": "benchmark_prompts", **scores, **examples},
        parameters={name: name for name in ("params:evaluation", "params:benchmark", "params:seed")},
        tags=["benchmarking", "report"],
    )
