"""Verifiers against labelled claims: their verdicts, how far these agree, and whether that is good enough."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from factalign.audit.agreement import agreement_difference, confusion, reliability, verifier_agreement
from factalign.base.estimates import estimates_to_json
from factalign.base.ids import content_id
from factalign.evaluation import retrieve_evidence, verify_claims
from factalign.retrieval import Retriever
from factalign.schemas import Judgements
from factalign.verifiers import Verifier

logger = logging.getLogger(__name__)

DECISIVE = "youden_j"
"""Whoever always says the same has a J of 0, however high one of its recalls is."""


def judge_labelled(
    labelled: pd.DataFrame,
    verifiers: Sequence[Verifier],
    passages: pd.DataFrame,
    retriever: Retriever,
    k: int,
) -> pd.DataFrame:
    """The `schemas.Judgements` of every verifier on every labelled claim, in the way in which responses are judged.

    Args:
        labelled: `schemas.LabelledClaims`; those without a label are passed over.
        verifiers: Who judges, each with a `verifier_id` of its own.
        passages: The corpus, for claims that bring no evidence along.
        retriever: Finds their evidence in it.
        k: How many passages.

    Raises:
        ValueError: Two verifiers have the same id.
    """
    ids = [verifier.verifier_id for verifier in verifiers]
    if len(set(ids)) < len(ids):
        raise ValueError(f"audit.verifiers: the same verifier twice; their ids are {', '.join(ids)}")
    claims = labelled[labelled["label"].notna()]
    about_corpus = claims["topic"] != ""
    own, texts = _own_evidence(claims[~about_corpus])
    retrieved, found = _retrieve(claims[about_corpus], retriever, k)
    evidence = pd.concat([own, retrieved], ignore_index=True)
    known = pd.concat([passages, found, texts], ignore_index=True)
    judged = []
    for verifier in verifiers:
        logger.info("%s judges %d labelled claims", verifier.verifier_id, len(claims))
        judged.append(verify_claims(claims, evidence, known, verifier))
    columns = list(Judgements.to_schema().columns)
    return Judgements.validate(pd.concat(judged, ignore_index=True)[columns])


def audit_table(
    labelled: pd.DataFrame,
    judgements: pd.DataFrame,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """How far each verifier agrees with each labelled set, and how verifiers differ; fits into JSON.

    Returns:
        `{"sets": {set: {"claims", "groups", "labels": {given label: claims}, "left_out": {given label: claims}}},
        "results": [{"set", "verifier_id", "metrics": {metric: estimate}, "confusion", "reliability"}],
        "differences": [{"set", "first", "second", "metrics"}], "resamples", "seed"}`, with the metrics of
        `verifier_agreement`, each as `Estimate.to_json` writes it. A missing number is None.
    """
    options = {"resamples": resamples, "seed": seed}
    sets, results, differences = {}, [], []
    for name, rows in labelled.groupby("labelled_set", sort=False):
        claims = rows[rows["label"].notna()]
        sets[str(name)] = {
            "claims": len(claims),
            "groups": int(claims["group"].nunique()),
            "labels": claims["given_label"].value_counts().to_dict(),
            "left_out": rows.loc[rows["label"].isna(), "given_label"].value_counts().to_dict(),
        }
        own = judgements[judgements["claim_id"].isin(claims["claim_id"])]
        verdicts = dict(iter(own.groupby("verifier_id", sort=False)))
        for verifier_id, found in verdicts.items():
            results.append(
                {
                    "set": str(name),
                    "verifier_id": verifier_id,
                    "metrics": estimates_to_json(verifier_agreement(claims, found, **options)),
                    "confusion": confusion(claims, found),
                    "reliability": reliability(claims, found),
                }
            )
        for (first, left), (second, right) in combinations(verdicts.items(), 2):
            estimates = estimates_to_json(agreement_difference(claims, right, left, **options))
            differences.append({"set": str(name), "first": second, "second": first, "metrics": estimates})
    return {"sets": sets, "results": results, "differences": differences, **options}


def audit_problem(table: Mapping[str, Any] | None, verifier_id: str, minimum: float) -> str | None:
    """Why the labels of this verifier should not be trusted, None where its audit is good enough.

    It is good enough if in every labelled set with both kinds of claims the lower bound of its Youden's J is at least
    `minimum`.

    Args:
        table: What `audit_table` gave, None if there was no audit.
        verifier_id: The verifier that is used.
        minimum: The least J.
    """
    found = [result for result in (table or {}).get("results", []) if result["verifier_id"] == verifier_id]
    estimates = [(result["metrics"][DECISIVE], result["set"]) for result in found]
    known = [(estimate, name) for estimate, name in estimates if estimate["value"] is not None]
    if not known:
        return f"the verifier {verifier_id} was never audited against labelled claims, supported ones and others"
    estimate, name = min(known, key=lambda item: item[0]["low"])
    if estimate["low"] >= minimum:
        return None
    return (
        f"the verifier {verifier_id} hardly tells supported claims in {name!r} from others: Youden's J is "
        f"{estimate['value']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}], at least {minimum:.2f} is asked for"
    )


def _own_evidence(claims: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`Evidence` and `Passages` of the texts that claims bring along."""
    pairs = [
        (claim_id, rank, content_id("given", text), text)
        for claim_id, texts in zip(claims["claim_id"], claims["evidence"], strict=True)
        for rank, text in enumerate(texts)
    ]
    evidence = pd.DataFrame(
        [(claim_id, rank, passage_id, 0.0) for claim_id, rank, passage_id, _ in pairs],
        columns=["claim_id", "rank", "passage_id", "score"],
    )
    texts = {passage_id: text for *_, passage_id, text in pairs}
    passages = pd.DataFrame({"passage_id": list(texts), "text": list(texts.values())})
    return evidence, passages.assign(title="", field="", aliases="[]", facts="[]")


def _retrieve(claims: pd.DataFrame, retriever: Retriever, k: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """As for responses: each claim is that of a response to a prompt of its own, which has the claim's topic."""
    ids = claims["claim_id"]
    as_claims = claims[["claim_id", "text"]].assign(response_id=ids)
    responses = pd.DataFrame({"response_id": ids, "prompt_id": ids})
    prompts = pd.DataFrame({"prompt_id": ids, "topic": claims["topic"]})
    return retrieve_evidence(as_claims, responses, prompts, retriever, k)
