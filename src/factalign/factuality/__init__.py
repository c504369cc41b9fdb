"""Sentences, claims, evidence, verdicts and scores of responses."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {
    "split_responses": "sentences",
    "split_sentences": "sentences",
    "EXTRACTORS": "claims",
    "extract_claims": "claims",
    "find_duplicates": "claims",
    "retrieve_evidence": "verification",
    "verify_claims": "verification",
    "VERIFIERS": "verifiers",
    "Evidence": "verifiers",
    "Verdict": "verifiers",
    "Verifier": "verifiers",
    "load_verifier": "verifiers",
    "verifier_agreement": "agreement",
    "score_responses": "scoring",
    "score_sentences": "scoring",
}
__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
