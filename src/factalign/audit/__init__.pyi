from .agreement import agreement_difference, verifier_agreement
from .auditing import audit_problem, audit_table, judge_labelled
from .fact_matching import extract_by_sentence, extraction_agreement, read_facts
from .labelled import LABELLED, load_labelled

__all__ = [
    "LABELLED",
    "agreement_difference",
    "audit_problem",
    "audit_table",
    "extract_by_sentence",
    "extraction_agreement",
    "judge_labelled",
    "load_labelled",
    "read_facts",
    "verifier_agreement",
]
