"""Nodes of the audit pipeline."""

from __future__ import annotations

from typing import Any

from factalign.base.heavy import pd, plotly
from factalign.parameters import AuditConfig, EvaluationConfig, RetrieverConfig


def read_labelled(audit: AuditConfig) -> pd.DataFrame:
    """All labelled claims."""
    from factalign.audit import load_labelled

    if not audit.claims:
        raise ValueError(
            "audit.claims names no labelled claims; add a file, such as {name: mine, path: my_claims.jsonl}, "
            "with claim, label and evidence (or topic) in every line"
        )
    sets = [load_labelled(each.name, each.kind, each.path) for each in audit.claims]
    return pd.concat(sets, ignore_index=True)


def judge(
    labelled: pd.DataFrame,
    passages: pd.DataFrame,
    index: str,
    retriever: RetrieverConfig,
    evaluation: EvaluationConfig,
    audit: AuditConfig,
) -> pd.DataFrame:
    """The verdicts of the verifier in use, and of those to compare it with, on all labelled claims."""
    from factalign.audit import judge_labelled
    from factalign.retrieval import open_retriever
    from factalign.verifiers import VERIFIERS

    choices = [evaluation.verifier, *(each for each in audit.verifiers if each != evaluation.verifier)]
    verifiers = [VERIFIERS.build(choice) for choice in choices]
    finder = open_retriever(retriever, index)
    return judge_labelled(labelled, verifiers, passages, finder, k=retriever.passages_per_claim)


def measure(labelled: pd.DataFrame, judgements: pd.DataFrame, audit: AuditConfig, seed: int) -> dict[str, Any]:
    """Agreement by verifier and set, and paired differences, with intervals."""
    from factalign.audit import audit_table

    return audit_table(labelled, judgements, resamples=audit.resamples, seed=seed)


def match(audit: AuditConfig, seed: int) -> list[dict[str, Any]]:
    """Each extractor's claims against people's atomic facts, and the drafts of these facts for comparison."""
    from factalign.audit import extract_by_sentence, extraction_agreement, read_facts
    from factalign.base.estimates import estimates_to_json
    from factalign.extraction import EXTRACTORS

    found = []
    for file in audit.facts:
        facts = read_facts(file.path)
        claims = {choice.name: extract_by_sentence(facts, EXTRACTORS.build(choice)) for choice in audit.extractors}
        claims["the model's drafts in the file"] = facts["model_facts"].tolist()
        for name, own in claims.items():
            metrics = extraction_agreement(
                facts, own, threshold=audit.match_threshold, resamples=audit.resamples, seed=seed
            )
            about = {"set": file.name, "extractor": name, "threshold": audit.match_threshold}
            found.append({**about, "metrics": estimates_to_json(metrics)})
    return found


def plot(table: dict[str, Any]) -> plotly.graph_objects.Figure:
    """Reliability and confusion."""
    from factalign.analysis import audit_figure

    return audit_figure(table)


def report(table: dict[str, Any], extraction: list[dict[str, Any]], figure: plotly.graph_objects.Figure) -> str:
    """One HTML page."""
    from factalign.analysis import render_audit

    return render_audit(table, extraction, figure)
