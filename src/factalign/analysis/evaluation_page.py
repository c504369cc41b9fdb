"""The report on a set of responses: one HTML page that loads nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from factalign.analysis.pages import render
from factalign.base.estimates import Estimate

# Marks tell the verdicts apart without colour.
SENTENCE_VERDICTS = {
    "supported": ("✓", "supported"),
    "mixed": ("±", "partly supported"),
    "not_supported": ("✗", "not supported"),
    "unchecked": ("·", "nothing to check"),
    "failed": ("?", "no verdict"),
}
CLAIM_VERDICTS = {
    "supported": ("supported", "✓ supported"),
    "not_supported": ("not_supported", "✗ not supported"),
    "irrelevant": ("unchecked", "· nothing to check"),
    "failed": ("failed", "? no verdict"),
}
TILES = {
    "precision": "Precision",
    "f1_at_k": "F1@{k}",
    "factscore": "FActScore",
    "coverage": "Coverage",
    "supported_claims": "Supported",
    "response_ratio": "Responding",
}
SHOWN_EVIDENCE = 3


def render_evaluation(tables: Mapping[str, pd.DataFrame], summary: Mapping[str, Any]) -> str:
    """The page: a summary, then every response with its sentences marked by the verdicts on their claims.

    A sentence opens to its claims, a claim to its best `SHOWN_EVIDENCE` passages and the one that decided. Each passage
    stands on the page once. Without scripts all of it can be read, only not filtered.

    Args:
        tables: `prompts`, `responses`, `passages`, `sentences`, `claims`, `evidence`, `verdicts` and `scores`, as in
            `schemas`; text in them may hold anything.
        summary: Its `metrics` (name to estimate, as JSON) and what they are about.
    """
    passages = _Passages(tables["passages"])
    responses = _responses(tables, _claims_by_sentence(tables, passages))
    return render(
        "evaluation.html",
        summary=summary,
        tiles={
            title.format(k=summary["k"]): Estimate.from_json(summary["metrics"][name]) for name, title in TILES.items()
        },
        sentence_verdicts=SENTENCE_VERDICTS,
        claim_verdicts=CLAIM_VERDICTS,
        counts=Counter(piece["verdict"] for response in responses for piece in response["pieces"]),
        responses=responses,
        passages=passages.shown,
    )


def sentence_verdict(labels: Iterable[str]) -> str:
    """The key of `SENTENCE_VERDICTS` for the labels of a sentence's claims.

    A claim without a verdict decides only where no other claim of the sentence was judged.
    """
    found = set(labels)
    judged = found & {"supported", "not_supported"}
    if judged:
        return "mixed" if len(judged) == 2 else judged.pop()
    return "failed" if "failed" in found else "unchecked"


class _Passages:
    """Numbers the passages that the page shows, from 1, in the order in which they are first asked for."""

    def __init__(self, passages: pd.DataFrame) -> None:
        columns = (passages[name].tolist() for name in ("passage_id", "title", "field", "text"))
        self.known = {
            passage_id: {"title": " · ".join(filter(None, (title, field))) or passage_id, "text": text}
            for passage_id, title, field, text in zip(*columns, strict=True)
        }
        self.numbers: dict[str, int] = {}

    def refer(self, passage_id: str) -> dict[str, Any]:
        """Its number and title."""
        number = self.numbers.setdefault(passage_id, len(self.numbers) + 1)
        return {"number": number, "title": self.known[passage_id]["title"]}

    @property
    def shown(self) -> list[dict[str, str]]:
        """Title and text of those that were asked for, by number."""
        return [self.known[passage_id] for passage_id in self.numbers]


def _claims_by_sentence(tables: Mapping[str, pd.DataFrame], passages: _Passages) -> dict[str, list[dict[str, Any]]]:
    verdicts = tables["verdicts"].set_index("claim_id").to_dict("index")
    texts = dict(zip(tables["claims"]["claim_id"], tables["claims"]["text"], strict=True))
    unknown = set(tables["evidence"].loc[tables["evidence"]["passage_id"].isna(), "claim_id"])
    ranked = tables["evidence"].dropna(subset="passage_id").sort_values("rank", kind="stable")
    evidence: dict[str, list[tuple[str, float]]] = {}
    for claim_id, passage_id, score in zip(ranked["claim_id"], ranked["passage_id"], ranked["score"], strict=True):
        evidence.setdefault(claim_id, []).append((passage_id, score))
    claims: dict[str, list[dict[str, Any]]] = {}
    for row in tables["claims"].to_dict("records"):
        first = None if pd.isna(row["duplicate_of"]) else row["duplicate_of"]
        # A verifier need not be asked about a claim again.
        verdict = (
            verdicts.get(row["claim_id"])
            or verdicts.get(first)
            or {"label": "failed", "confidence": 0.0, "passage_id": None}
        )
        decided, found = verdict["passage_id"], evidence.get(row["claim_id"], [])
        best = [item for rank, item in enumerate(found) if rank < SHOWN_EVIDENCE or item[0] == decided]
        claim = {
            "label": verdict["label"],
            "confidence": verdict["confidence"],
            "text": row["text"],
            "repeats": texts.get(first),
            "evidence": [
                {**passages.refer(passage_id), "score": score, "decided": passage_id == decided}
                for passage_id, score in best
            ],
            "searched": row["claim_id"] not in unknown,
            "hidden": len(found) - len(best),
        }
        claims.setdefault(row["sentence_id"], []).append(claim)
    return claims


def _responses(tables: Mapping[str, pd.DataFrame], claims: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    sentences: dict[str, list[dict[Any, Any]]] = {}
    for sentence in tables["sentences"].sort_values("start").to_dict("records"):
        sentences.setdefault(sentence["response_id"], []).append(sentence)
    prompts = tables["prompts"].set_index("prompt_id").to_dict("index")
    scores = tables["scores"].set_index("response_id").to_dict("index")
    return [
        {
            "prompt": "\n".join(m["content"] for m in prompts[row["prompt_id"]]["messages"] if m["role"] == "user"),
            "topic": prompts[row["prompt_id"]]["topic"],
            "score": scores[row["response_id"]],
            "pieces": (pieces := _pieces(row["text"], sentences.get(row["response_id"], []), claims)),
            "verdicts": sorted({piece["verdict"] for piece in pieces} - {None}),
        }
        for row in tables["responses"].to_dict("records")
    ]


def _pieces(
    text: str, sentences: list[dict[Any, Any]], claims: Mapping[str, list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """The response as it was written: each sentence with the text before it, then what stands after the last."""
    pieces: list[dict[str, Any]] = []
    position = 0
    for sentence in sentences:
        own = claims.get(sentence["sentence_id"], [])
        pieces.append(
            {
                "before": text[position : sentence["start"]],
                "text": sentence["text"],
                "verdict": sentence_verdict(claim["label"] for claim in own),
                "claims": own,
            }
        )
        position = sentence["end"]
    return [*pieces, {"before": text[position:], "verdict": None}] if text else pieces
