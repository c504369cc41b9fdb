"""Sentences, claims, evidence, verdicts and scores of responses."""

from __future__ import annotations

from factalign.lazy import lazy_exports

_EXPORTS = {
    "evaluate": "evaluator",
    "Evaluation": "evaluator",
    "warn_of_topics": "evaluator",
    "read_responses": "given",
    "factscore": "metrics",
    "f1_at_k": "metrics",
    "LABELLED": "labelled",
    "load_labelled": "labelled",
    "audit_problem": "auditing",
    "audit_table": "auditing",
    "judge_labelled": "auditing",
    "extract_by_sentence": "fact_matching",
    "extraction_agreement": "fact_matching",
    "read_facts": "fact_matching",
    "costs_of": "chat.budget",
    "split_responses": "sentences",
    "split_sentences": "sentences",
    "EXTRACTORS": "claims",
    "extract_claims": "claims",
    "find_duplicates": "claims",
    "load_extractor": "claims",
    "retrieve_evidence": "verification",
    "verify_claims": "verification",
    "VERIFIERS": "verifiers",
    "Evidence": "verifiers",
    "Verdict": "verifiers",
    "Verifier": "verifiers",
    "load_verifier": "verifiers",
    "agreement_difference": "agreement",
    "verifier_agreement": "agreement",
    "score_responses": "scoring",
    "score_sentences": "scoring",
}
__all__ = list(_EXPORTS)

__getattr__ = lazy_exports(__name__, _EXPORTS)
