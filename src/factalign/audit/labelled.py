"""Claims that people have labelled, from files of several kinds, to audit verifiers with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from factalign.base.ids import content_id
from factalign.base.records import Record, json_objects
from factalign.base.registry import Registry
from factalign.schemas import LABELS, LabelledClaims

GIVEN = {label: label for label in LABELS if label != "failed"}
# What a source calls a label -> ours; None leaves the claim out of the audit.
FACTCHECK = {
    "completely-support": "supported",
    "partially-support": None,
    "refute": "not_supported",
    "irrelevant": "not_supported",
}
# A claim that holds of nearly every topic is true, and a verifier that finds nothing to check in it is right as well.
READINGS = {
    "telling": "supported",
    "trivial": None,
    "false": "not_supported",
    "nothing": "irrelevant",
    "disputed": None,
}
WICE = {"supported": "supported", "partially_supported": "not_supported", "not_supported": "not_supported"}

LABELLED: Registry[list[dict[str, Any]]] = Registry(
    "kind of labelled claims",
    {
        "claims": "factalign.audit.labelled:read_claims",
        "factbook": "factalign.audit.labelled:read_factbook",
        "factcheck": "factalign.audit.labelled:read_factcheck",
        "readings": "factalign.audit.labelled:read_readings",
        "wice": "factalign.audit.labelled:read_wice",
    },
)


def load_labelled(name: str, kind: str, path: str) -> pd.DataFrame:
    """The `schemas.LabelledClaims` of a JSON-lines file.

    Args:
        name: What the audit calls this set.
        kind: One of `LABELLED`, or "package.module:factory" of a function from a path to rows with `text`, `evidence`,
            `topic`, `label`, `given_label` and `group`.
        path: The file.

    Raises:
        ValueError: The file is missing, empty or malformed; the message names path, line and field.
    """
    rows = LABELLED.build({"name": kind, "options": {"path": path}})
    if not any(row["label"] for row in rows):
        raise ValueError(f"{path}: no labelled claims")
    for number, row in enumerate(rows):
        row |= {"claim_id": content_id("labelled", name, number, row["text"]), "labelled_set": name}
    return LabelledClaims.validate(pd.DataFrame(rows)[list(LabelledClaims.to_schema().columns)])


def read_claims(path: str) -> list[dict[str, Any]]:
    """Anybody's claims: `claim`, `label` (supported, not_supported or irrelevant) and either `evidence` (text or a list
    of texts) or `topic` (evidence is then retrieved under it); optionally `group`, by default the topic or the claim.
    """
    groups = ("group", "topic", "claim")
    return [_row(record, label="label", labels=GIVEN, group=groups) for record in json_objects(path, "labelled claims")]


def read_factbook(path: str) -> list[dict[str, Any]]:
    """Claims about a `country`, to be judged against what is retrieved about it."""
    rows = []
    for record in json_objects(path, "labelled claims"):
        record["topic"] = record.get("country")
        rows.append(_row(record, label="label", labels=GIVEN, group=("topic",)))
    return rows


def read_readings(path: str) -> list[dict[str, Any]]:
    """Claims about a `topic` with several `readings` (docs/labels.md); those on which readers differ are `disputed`."""
    rows = []
    for record in json_objects(path, "labelled claims"):
        readings = record.get("readings")
        if not isinstance(readings, list) or not readings or not all(isinstance(one, str) for one in readings):
            raise record.error("readings", f"must be a list of labels, got {readings!r:.200}")
        for one in readings:
            if one not in READINGS:
                raise record.error("readings", f"must be of {', '.join(READINGS)}, got {one!r:.80}")
        record["label"] = readings[0] if len(set(readings)) == 1 else "disputed"
        rows.append(_row(record, label="label", labels=READINGS, group=("topic",)))
    return rows


def read_factcheck(path: str) -> list[dict[str, Any]]:
    """Stances of evidence to claims in Factcheck-Bench (Wang et al. 2023, arXiv 2311.09000).

    Evidence that supports a claim in part is left out: neither answer would be wrong.
    """
    return [
        _row(record, label="stance", labels=FACTCHECK, group=("claim",))
        for record in json_objects(path, "labelled claims")
    ]


def read_wice(path: str) -> list[dict[str, Any]]:
    """Wikipedia claims and the cited page in WiCE (Kamoi et al. 2023, arXiv 2303.01432): support in part is none.

    The sentences of the page are one text, and the claims of an article one group.
    """
    rows = []
    for record in json_objects(path, "labelled claims"):
        sentences, about = record.get("evidence"), record.get("meta")
        if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
            raise record.error("evidence", f"must be a list of sentences, got {sentences!r:.200}")
        record["evidence"] = "\n".join(sentences)
        record["group"] = about.get("claim_title", "") if isinstance(about, Mapping) else ""
        rows.append(_row(record, label="label", labels=WICE, group=("group", "claim")))
    return rows


def _row(record: Record, *, label: str, labels: Mapping[str, str | None], group: tuple[str, ...]) -> dict[str, Any]:
    """A row of `LabelledClaims`; `group` names the fields that may hold the group, the first that is there does."""
    if record.get(label) not in labels:
        raise record.error(label, f"must be one of {', '.join(labels)}, got {record.get(label)!r}")
    text = record.text("claim")
    given = record.get("evidence")
    evidence = [given] if isinstance(given, str) else given
    if evidence is None:
        topic = record.text("topic", note="(or 'evidence') ")
        evidence = []
    elif isinstance(evidence, list) and all(isinstance(item, str) for item in evidence):
        topic = ""
        evidence = [item for item in evidence if item.strip()]
    else:
        raise record.error("evidence", f"must be text or a list of texts, got {given!r:.200}")
    return {
        "text": text,
        "evidence": evidence,
        "topic": topic,
        "label": labels[record[label]],
        "given_label": record[label],
        "group": next(str(record[field]) for field in group if record.get(field)),
    }
