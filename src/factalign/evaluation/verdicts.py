"""Tables of evidence and verdicts for tables of claims."""

from __future__ import annotations

import logging

import pandas as pd

from factalign.schemas import LABELS, Verdicts, empty
from factalign.verifiers import Pair, Passage, Verdict, Verifier, passages_by_id

TRIED = 5  # claims, one by one, before a verifier that failed on all of them counts as broken
FAILED = Verdict("failed", 0.0)
logger = logging.getLogger(__name__)


class VerificationError(RuntimeError):
    """A verifier fails on one claim after the other; its cause is the last error."""


def verify_claims(
    claims: pd.DataFrame, evidence: pd.DataFrame, passages: pd.DataFrame, verifier: Verifier
) -> pd.DataFrame:
    """The `schemas.Verdicts` of claims, one a claim.

    A claim on which the verifier raises, or answers something else than a verdict, is `failed`, alone. So is
    one whose evidence could not be looked up; the verifier is not asked about it.

    Raises:
        VerificationError: So it does on each of the first `TRIED` claims, or on all of fewer, but two at least.
        ValueError: Evidence names a passage that is not among `passages`.
    """
    if claims.empty:
        return empty(Verdicts)
    ordered = evidence.dropna(subset="passage_id").sort_values(["claim_id", "rank"], kind="stable")
    unknown = set(evidence.loc[evidence["passage_id"].isna(), "claim_id"])
    known = passages_by_id(passages[passages["passage_id"].isin(ordered["passage_id"])])
    found: dict[str, list[Passage]] = {}
    for claim_id, passage_id in zip(ordered["claim_id"], ordered["passage_id"], strict=True):
        if passage_id not in known:
            raise ValueError(f"evidence of claim {claim_id!r}: passage_id {passage_id!r} is not in the passages table")
        found.setdefault(claim_id, []).append(known[passage_id])
    pairs: dict[str, Pair] = {
        claim_id: (text, found.get(claim_id, []))
        for claim_id, text in zip(claims["claim_id"], claims["text"], strict=True)
        if claim_id not in unknown
    }
    verdicts = dict(zip(pairs, _verify(verifier, list(pairs.values())), strict=True))
    rows = []
    for claim_id in claims["claim_id"]:
        verdict = verdicts.get(claim_id, FAILED)
        decided = None if verdict.evidence_index is None else pairs[claim_id][1][verdict.evidence_index]
        passage_id = decided.passage_id if isinstance(decided, Passage) else None
        rows.append((claim_id, verdict.label, verdict.confidence, passage_id, verifier.verifier_id))
    return pd.DataFrame(rows, columns=["claim_id", "label", "confidence", "passage_id", "verifier_id"])


def _verify(verifier: Verifier, pairs: list[Pair]) -> list[Verdict]:
    """All verdicts in one call; after an error, pair by pair, so that one bad claim fails alone."""
    try:
        return _ask(verifier, pairs)
    except Exception as error:
        logger.warning(
            "%s failed on %d claims together, verifying them one by one: %s", verifier.verifier_id, len(pairs), error
        )
    verdicts: list[Verdict] = []
    judged = 0
    for number, pair in enumerate(pairs, 1):
        try:
            verdicts += _ask(verifier, [pair])
            judged += 1
        except Exception as error:
            logger.warning("%s failed on claim %.200r: %s", verifier.verifier_id, pair[0], error)
            if not judged and number > 1 and number == min(TRIED, len(pairs)):
                raise VerificationError(
                    f"{verifier.verifier_id} can judge none of the first {number} claims, "
                    f"lastly {type(error).__name__}: {error}"
                ) from error
            verdicts.append(FAILED)
    return verdicts


def _ask(verifier: Verifier, pairs: list[Pair]) -> list[Verdict]:
    return [_checked(verdict, pair) for verdict, pair in zip(verifier.verify(pairs), pairs, strict=True)]


def _checked(verdict: Verdict, pair: Pair) -> Verdict:
    index = verdict.evidence_index
    if verdict.label not in LABELS or not 0 <= verdict.confidence <= 1:
        raise ValueError(f"not a verdict: {verdict}")
    if index is not None and not 0 <= index < len(pair[1]):
        raise ValueError(f"evidence_index {index} of {len(pair[1])} pieces of evidence")
    return verdict
