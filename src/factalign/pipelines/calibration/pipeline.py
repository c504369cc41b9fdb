"""Calibration: readers' labels teach a verifier its probabilities."""

from kedro.pipeline import Node, Pipeline

from factalign.pipelines import knowledge

from .nodes import fit, plot, read_features

LABELS = {"claim_labels", "sentence_labels"}


def create_pipeline() -> Pipeline:
    """From labels, the corpus and `params:calibration` to `calibration.model`, `.report` and `.figure`."""
    inner = Pipeline(
        [
            Node(
                read_features,
                inputs=[
                    "claim_labels",
                    "sentence_labels",
                    "passages",
                    "index",
                    "params:retriever",
                    "params:calibration",
                ],
                outputs="features",
                name="read_features",
            ),
            Node(
                fit,
                inputs=["features", "sentence_labels", "passages", "params:retriever", "params:calibration"],
                outputs=["model", "report"],
                name="fit",
            ),
            Node(plot, inputs="report", outputs="figure", name="plot"),
        ],
        namespace="calibration",
        inputs={"passages", "index", *LABELS},
        parameters={"params:retriever", "params:calibration"},
        tags="calibration",
    )
    return knowledge.create_pipeline().to_outputs("passages", "index") + inner
