"""Evaluate a file: anybody's responses become verdicts, scores and a report, without any run before."""

from kedro.pipeline import Node, Pipeline

from factalign.pipelines import evaluation, knowledge

from .nodes import read, report

TABLES = ("prompts", "responses", "sentences", "claims", "evidence", "verdicts", "sentence_scores")


def create_pipeline() -> Pipeline:
    """From `params:evaluate_file` and the corpus to `evaluate_file.…`: summary, report and the tables between."""
    inner = Pipeline(
        [
            Node(read, inputs="params:evaluate_file", outputs=["prompts", "responses"], name="read_responses"),
            evaluation.create_pipeline(),
            Node(
                report,
                inputs={
                    "evaluation": "params:evaluation",
                    "evaluate_file": "params:evaluate_file",
                    "seed": "params:seed",
                    "passages": "passages",
                    "found_passages": "found_passages",
                    "scores": "response_scores",
                    **{table: table for table in TABLES},
                },
                outputs=["summary", "report"],
                name="report",
            ),
        ],
        namespace="evaluate_file",
        inputs={"passages", "index"},
        parameters={f"params:{name}" for name in ("corpus", "evaluate_file", "evaluation", "retriever", "seed")},
        tags="evaluate_file",
    )
    return knowledge.create_pipeline().to_outputs("passages", "index") + inner
