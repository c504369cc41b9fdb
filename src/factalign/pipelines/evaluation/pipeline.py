"""Evaluation: responses become sentences, claims, evidence, verdicts and scores."""

from kedro.pipeline import Node, Pipeline

from .nodes import extract, retrieve, score, split, verify


def create_pipeline() -> Pipeline:
    """Template with the free inputs `prompts`, `responses`, `passages` and `index`."""
    return Pipeline(
        [
            Node(split, inputs="responses", outputs="sentences", name="split_sentences"),
            Node(
                extract,
                inputs=["sentences", "responses", "prompts", "params:evaluation", "params:corpus"],
                outputs=["claims", "extraction_costs"],
                name="extract_claims",
            ),
            Node(
                retrieve,
                inputs=["claims", "responses", "prompts", "index", "params:retriever"],
                outputs=["evidence", "found_passages"],
                name="retrieve_evidence",
            ),
            Node(
                verify,
                inputs=["claims", "evidence", "passages", "found_passages", "params:evaluation"],
                outputs=["verdicts", "verification_costs"],
                name="verify_claims",
            ),
            Node(
                score,
                inputs=["responses", "sentences", "claims", "verdicts", "params:evaluation"],
                outputs=["response_scores", "sentence_scores"],
                name="score_responses",
            ),
        ],
        tags="evaluation",
    )
