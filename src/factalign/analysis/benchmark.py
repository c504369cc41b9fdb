"""What the benchmark of one model hands over to the report that compares models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from factalign.analysis.drift import claim_shares
from factalign.analysis.metrics import METRICS, response_metrics
from factalign.analysis.summary import check_prompts

EXAMPLES = 4


@dataclass(frozen=True)
class Answer:
    """One answer to show.

    Attributes:
        prompt: What the user asked.
        text: The answer.
        caption: Its score in words.
        marks: Its judged sentences as (start, end, whether at least half of the judged claims are supported).
    """

    prompt: str
    text: str
    caption: str
    marks: tuple[tuple[int, int, bool], ...]


@dataclass(frozen=True)
class BenchmarkResult:
    """One model's benchmark, as far as a comparison needs it.

    Attributes:
        metrics: What `response_metrics` gave.
        claim_shares: What `claim_shares` gave.
        answers: Prompt id to the model's first answer, for `EXAMPLES` prompts that are drawn at random, not chosen by
            their scores.
        costs: What was asked of chat models, `schemas.Costs` with a row a stage; none where none was asked.
    """

    metrics: pd.DataFrame
    claim_shares: pd.Series
    answers: Mapping[str, Answer]
    costs: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """What JSON can hold: the columns of the metrics as lists, a missing number as null."""
        return {
            "metrics": _with_nulls(self.metrics).to_dict("list"),
            "claim_shares": self.claim_shares.to_dict(),
            "answers": {prompt_id: asdict(answer) for prompt_id, answer in self.answers.items()},
            "costs": _with_nulls(self.costs).to_dict("records"),
        }

    @classmethod
    def from_json(cls, result: Mapping[str, Any]) -> BenchmarkResult:
        """The inverse of `to_json`."""
        answers = {
            prompt_id: Answer(**{**answer, "marks": tuple(map(tuple, answer["marks"]))})
            for prompt_id, answer in result["answers"].items()
        }
        return cls(
            metrics=pd.DataFrame(result["metrics"]).astype(dict.fromkeys(METRICS, "float64")),
            claim_shares=pd.Series(result["claim_shares"], dtype="float64"),
            answers=answers,
            costs=pd.DataFrame(result["costs"]),
        )


def benchmark_result(
    prompts: pd.DataFrame,
    responses: pd.DataFrame,
    sentences: pd.DataFrame,
    claims: pd.DataFrame,
    verdicts: pd.DataFrame,
    scores: pd.DataFrame,
    sentence_scores: pd.DataFrame,
    costs: pd.DataFrame,
    *,
    seed: int,
) -> BenchmarkResult:
    """Gather what a comparison needs from the tables of one model's benchmark.

    Args:
        prompts: The benchmark's `Prompts`.
        responses: The model's `Responses` to them.
        sentences: `Sentences` of these.
        claims: `Claims` of these.
        verdicts: `Verdicts` on these.
        scores: `ResponseScores` of the responses.
        sentence_scores: `SentenceScores` of the sentences.
        costs: `Costs` of its evaluation.
        seed: Seeds the draw of examples, which depends on the prompts alone: every model shows the same ones.

    Raises:
        ValueError: The model did not answer exactly these prompts.
    """
    check_prompts("the model", set(scores["prompt_id"]), set(prompts["prompt_id"]))
    first = responses.sort_values("sample_index", kind="stable").drop_duplicates("prompt_id").set_index("prompt_id")
    by_response = scores.set_index("response_id")
    marked = sentences.merge(sentence_scores[["sentence_id", "supported_share"]], on="sentence_id")
    answers = {}
    for row in _drawn(prompts, seed):
        response = first.loc[row["prompt_id"]]
        answers[row["prompt_id"]] = Answer(
            prompt=" ".join(str(m["content"]) for m in row["messages"] if m["role"] == "user"),
            text=response["text"],
            caption=_caption(by_response.loc[response["response_id"]]),
            marks=_marks(marked[marked["response_id"] == response["response_id"]]),
        )
    shares = claim_shares(claims, verdicts, responses, prompts)
    return BenchmarkResult(response_metrics(scores), shares, answers, costs)


def _with_nulls(table: pd.DataFrame) -> pd.DataFrame:
    values = table.astype(object)
    return values.where(values.notna(), None)


def _drawn(prompts: pd.DataFrame, seed: int) -> list[dict[Any, Any]]:
    candidates = prompts.sort_values("prompt_id")
    chosen = np.random.default_rng(seed).permutation(len(candidates))[:EXAMPLES]
    return candidates.iloc[chosen].to_dict("records")


def _caption(score: pd.Series) -> str:
    supported, judged = int(score["num_supported"]), int(score["num_supported"] + score["num_not_supported"])
    return f"{supported} of {judged} judged claims supported, F1 {score['f1_at_k']:.2f}, {score['num_words']} words"


def _marks(sentences: pd.DataFrame) -> tuple[tuple[int, int, bool], ...]:
    checked = sentences[sentences["supported_share"].notna()].sort_values("start")
    return tuple(
        (int(start), int(end), bool(share >= 0.5))
        for start, end, share in zip(checked["start"], checked["end"], checked["supported_share"], strict=True)
    )
