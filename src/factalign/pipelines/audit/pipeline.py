"""Audit: verifiers against labelled claims, claim extractors against people's facts."""

from kedro.pipeline import Node, Pipeline

from factalign.pipelines import knowledge

from .nodes import judge, match, measure, plot, read_labelled, report

PARAMETERS = ("params:audit", "params:evaluation", "params:retriever", "params:seed")


def create_pipeline() -> Pipeline:
    """From `params:audit` and the corpus to `audit.table`, `audit.extraction`, `audit.figure` and `audit.report`."""
    inner = Pipeline(
        [
            Node(read_labelled, inputs="params:audit", outputs="labelled", name="read_labelled"),
            Node(
                judge,
                inputs=["labelled", "passages", "index", "params:retriever", "params:evaluation", "params:audit"],
                outputs="judgements",
                name="judge",
            ),
            Node(
                measure,
                inputs=["labelled", "judgements", "params:audit", "params:seed"],
                outputs="table",
                name="measure",
            ),
            Node(match, inputs=["params:audit", "params:seed"], outputs="extraction", name="match_facts"),
            Node(plot, inputs="table", outputs="figure", name="plot"),
            Node(report, inputs=["table", "extraction", "figure"], outputs="report", name="report"),
        ],
        namespace="audit",
        inputs={"passages", "index"},
        parameters=set(PARAMETERS),
        tags="audit",
    )
    return knowledge.create_pipeline().to_outputs("passages", "index") + inner
