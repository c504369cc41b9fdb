"""The whole evaluator in one call: from responses to sentences, claims, evidence, verdicts, scores and a report."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from factalign.analysis.metrics import UNITS, response_metrics
from factalign.base.estimates import CONFIDENCE, bootstrap_mean, estimates_of, estimates_to_json, prompt_means
from factalign.base.registry import ChoiceLike
from factalign.corpora import CORPORA, GENERAL_AIDS, Corpus, ReadingAids, TableCorpus, read_passages
from factalign.evaluation.evidence import retrieve_evidence
from factalign.evaluation.formulas import GAMMA, factscore
from factalign.evaluation.given import Given, read_responses
from factalign.evaluation.scores import score_responses, score_sentences
from factalign.evaluation.verdicts import verify_claims
from factalign.extraction import EXTRACTORS, ClaimExtractor, extract_claims, split_responses, topics_of
from factalign.retrieval import RETRIEVERS, Retriever
from factalign.schemas import Passages
from factalign.verifiers import VERIFIERS, Verifier

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What is known about a set of responses; the tables are those of `schemas`, joined by their ids.

    Attributes:
        passages: The corpus, and what the retriever brought along; of it the evidence is taken.
        scores: `ResponseScores`, a row a response.
        k: The K of F1@K.
    """

    prompts: pd.DataFrame
    responses: pd.DataFrame
    passages: pd.DataFrame
    sentences: pd.DataFrame
    claims: pd.DataFrame
    evidence: pd.DataFrame
    verdicts: pd.DataFrame
    scores: pd.DataFrame
    sentence_scores: pd.DataFrame
    k: int

    def summary(self, *, gamma: int | None = GAMMA, seed: int = 0, resamples: int = 2000) -> dict[str, Any]:
        """Means over prompts with 95% bootstrap intervals over prompts, and what they are about; fits into JSON.

        The metrics are those of `response_metrics`, and two of FActScore's: `factscore` with the penalty of `gamma`,
        which leaves out responses that abstain (no claim, or none with anything to check), and `response_ratio`, the
        share of those that do not.
        """
        metrics = _with_factscore(response_metrics(self.scores), self.scores, gamma)
        estimates = bootstrap_mean(prompt_means(metrics), seed=seed, resamples=resamples)
        return {
            "metrics": estimates_to_json(estimates_of(estimates, UNITS)),
            "prompts": int(self.scores["prompt_id"].nunique()),
            "responses": len(self.scores),
            "claims": len(self.claims),
            "k": self.k,
            "gamma": gamma,
            "verifier_id": ", ".join(sorted(set(self.verdicts["verifier_id"]))),
            "confidence": CONFIDENCE,
            "seed": seed,
            "resamples": resamples,
        }

    def html(self, summary: dict[str, Any] | None = None) -> str:
        """The report: one HTML page that loads nothing. `summary` is what `summary()` gave, made anew if left out."""
        from factalign.analysis import render_evaluation

        return render_evaluation(vars(self), summary or self.summary())

    def to_html(self, path: str | Path) -> None:
        """Write the report to `path`."""
        Path(path).write_text(self.html(), encoding="utf-8")


def evaluate(
    responses: Given,
    *,
    corpus: ChoiceLike | Corpus | Path | pd.DataFrame = "factbook",
    retriever: ChoiceLike | Retriever = "bm25",
    extractor: ChoiceLike | ClaimExtractor = "clause",
    verifier: ChoiceLike | Verifier = "lexical",
    k: int = 4,
    passages_per_claim: int = 20,
) -> Evaluation:
    """Check every claim of `responses` against `corpus`.

    Each part is a name, `{"name": …, "options": …}`, a `Choice`, or what the registry's `build` made of one.

    Args:
        responses: Rows, a table or a file, as in `read_responses`: prompt, response, optionally topic.
        corpus: One of `CORPORA`; or a file of records with title and text, a folder of documents, or a
            `schemas.Passages` table.
        retriever: One of `RETRIEVERS`; the corpus is indexed here, in a temporary folder.
        extractor: One of `EXTRACTORS`.
        verifier: One of `VERIFIERS`.
        k: The K of F1@K: supported claims that count as a complete answer.
        passages_per_claim: How many passages a claim is judged against.

    Raises:
        ValueError: A name is unknown, a file malformed; the message says what would be valid.
    """
    judge, finder = VERIFIERS.resolve(verifier), RETRIEVERS.resolve(retriever)
    prompts, answers = read_responses(responses)
    passages, aids = _read_corpus(corpus)
    sentences = split_responses(answers)
    claims = extract_claims(sentences, answers, prompts, EXTRACTORS.resolve(extractor, aids=aids))
    with tempfile.TemporaryDirectory(prefix="factalign-index-") as folder:
        finder.build(passages, folder)
        evidence, found = retrieve_evidence(claims, answers, prompts, finder, passages_per_claim)
    warn_of_topics(claims, evidence, answers, prompts)
    passages = pd.concat([passages, found], ignore_index=True)
    verdicts = verify_claims(claims, evidence, passages, judge)
    return Evaluation(
        prompts=prompts,
        responses=answers,
        passages=passages,
        sentences=sentences,
        claims=claims,
        evidence=evidence,
        verdicts=verdicts,
        scores=score_responses(answers, sentences, claims, verdicts, k=k),
        sentence_scores=score_sentences(sentences, claims, verdicts),
        k=k,
    )


def warn_of_topics(
    claims: pd.DataFrame, evidence: pd.DataFrame, responses: pd.DataFrame, prompts: pd.DataFrame
) -> None:
    """Log the topics none of whose claims has evidence: most likely the corpus knows them by another name."""
    topics = pd.Series(topics_of(claims["response_id"], responses, prompts), index=claims.index, dtype=object)
    with_evidence = set(topics[claims["claim_id"].isin(evidence["claim_id"])])
    without = sorted(set(topics) - with_evidence - {""})
    if without:
        logger.warning(
            "no evidence at all for %d topics (%s): is that what the corpus calls them? "
            "A row without a topic is checked against the whole corpus.",
            len(without),
            ", ".join(without[:5]),
        )


def _read_corpus(corpus: ChoiceLike | Corpus | Path | pd.DataFrame) -> tuple[pd.DataFrame, ReadingAids]:
    if isinstance(corpus, pd.DataFrame):
        return Passages.validate(corpus), GENERAL_AIDS
    if isinstance(corpus, Path) or (isinstance(corpus, str) and corpus not in CORPORA.entries and _is_path(corpus)):
        corpus = TableCorpus(str(corpus))
    built = CORPORA.resolve(corpus)
    return read_passages(built), built.aids


def _is_path(name: str) -> bool:
    return Path(name).exists() or (bool(Path(name).suffix) and ":" not in name)


def _with_factscore(metrics: pd.DataFrame, scores: pd.DataFrame, gamma: int | None) -> pd.DataFrame:
    responds = 1 - metrics["abstention_share"]
    values = factscore(scores["num_supported"], scores["num_not_supported"], scores["num_irrelevant"], gamma)
    return metrics.assign(factscore=pd.Series(values, index=scores.index).where(responds > 0), response_ratio=responds)
