"""Nodes of the evaluation pipeline."""

from __future__ import annotations

import logging

from factalign.base.heavy import pd
from factalign.base.registry import Choice
from factalign.parameters import EvaluationConfig, RetrieverConfig

logger = logging.getLogger(__name__)


def split(responses: pd.DataFrame) -> pd.DataFrame:
    """Responses become sentences with character offsets."""
    from factalign.extraction import split_responses

    return split_responses(responses)


def extract(
    sentences: pd.DataFrame,
    responses: pd.DataFrame,
    prompts: pd.DataFrame,
    evaluation: EvaluationConfig,
    corpus: Choice,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sentences become self-contained claims; and what that cost."""
    from factalign.chat import costs_of
    from factalign.corpora import CORPORA
    from factalign.extraction import EXTRACTORS, extract_claims

    extractor = EXTRACTORS.build(evaluation.extractor, aids=CORPORA.build(corpus).aids)
    claims = extract_claims(sentences, responses, prompts, extractor)
    return claims, costs_of(extractor, len(responses), len(claims))


def retrieve(
    claims: pd.DataFrame, responses: pd.DataFrame, prompts: pd.DataFrame, index: str, config: RetrieverConfig
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The passages nearest to each claim, among those of its topic; and those that the corpus does not hold."""
    from factalign.evaluation import retrieve_evidence
    from factalign.retrieval import open_retriever

    retriever = open_retriever(config, index)
    return retrieve_evidence(claims, responses, prompts, retriever, k=config.passages_per_claim)


def verify(
    claims: pd.DataFrame,
    evidence: pd.DataFrame,
    passages: pd.DataFrame,
    found_passages: pd.DataFrame,
    evaluation: EvaluationConfig,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A verdict for every claim; and what that cost."""
    from factalign.chat import costs_of
    from factalign.evaluation import verify_claims
    from factalign.verifiers import VERIFIERS

    verifier = VERIFIERS.build(evaluation.verifier)
    verdicts = verify_claims(claims, evidence, pd.concat([passages, found_passages]), verifier)
    counts = verdicts["label"].value_counts()
    logger.info("verdicts: %s", ", ".join(f"{count} {label}" for label, count in counts.items()) or "none")
    return verdicts, costs_of(verifier, claims["response_id"].nunique(), len(claims))


def score(
    responses: pd.DataFrame,
    sentences: pd.DataFrame,
    claims: pd.DataFrame,
    verdicts: pd.DataFrame,
    evaluation: EvaluationConfig,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Counts, precision, recall@K and F1@K of every response, and the supported share of every sentence."""
    from factalign.evaluation import score_responses, score_sentences

    return (
        score_responses(responses, sentences, claims, verdicts, k=evaluation.k),
        score_sentences(sentences, claims, verdicts),
    )
