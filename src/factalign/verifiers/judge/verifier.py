"""The LLM judge: a chat model reads claims and evidence, several claims a call."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd
from pydantic import Field

from factalign.base.ids import content_id
from factalign.chat import ChatClient, ChatConfig
from factalign.chat.replies import Answer, Reply, ReplyError
from factalign.generation.engines import Message
from factalign.verifiers import Pair, Passage, Verdict
from factalign.verifiers.judge.prompt import JUDGE_OPENING

logger = logging.getLogger(__name__)
LONGEST_CLAIM = 2000  # characters; no atomic claim is as long, and to cut one could hide what is false in it
LONGEST_PASSAGE = 4000  # the rest is cut: less evidence supports no more
_CAUTION = ("not_supported", "irrelevant", "supported")  # the first of equal votes stands

Quoted = tuple[str, str]  # title and text of a passage, cut to what is quoted


class _Item(NamedTuple):
    claim: str
    passages: tuple[Quoted, ...]
    sample: int


class Judgement(Answer):
    """A verdict on a numbered claim; `evidence` is the number of a passage."""

    label: Literal["supported", "not_supported", "irrelevant"]
    evidence: int | None
    confidence: float = Field(ge=0, le=1)


class JudgeTask:
    """Judging claims by passages; a passage of several claims is quoted once a call. See `chat.tasks.Task`."""

    stage = "verify"
    opening: Sequence[Message] = JUDGE_OPENING
    reply: type[Reply[Judgement]] = Reply[Judgement]
    shuffled = True

    def __init__(self, per_call: int) -> None:
        self.per_call = per_call

    def key(self, item: _Item) -> Any:
        """See `Task.key`."""
        return list(item)

    def group(self, item: _Item) -> Hashable:
        """See `Task.group`: any claims may share a call."""
        return item.sample

    def data(self, items: Sequence[_Item]) -> dict[str, Any]:
        """See `Task.data`."""
        numbers = _numbers(items)
        return {
            "passages": [{"number": number, "title": title, "text": text} for (title, text), number in numbers.items()],
            "claims": [
                {"number": number, "text": item.claim, "evidence": [numbers[passage] for passage in item.passages]}
                for number, item in enumerate(items, 1)
            ],
        }

    def accept(self, items: Sequence[_Item], answers: Sequence[Judgement]) -> list[Any]:
        """See `Task.accept`: label, confidence and the position of the claim's passage that decided."""
        numbers = _numbers(items)
        values = []
        for item, answer in zip(items, answers, strict=True):
            own = [numbers[passage] for passage in item.passages]
            index = own.index(answer.evidence) if answer.evidence in own else None
            if answer.label == "supported" and index is None:
                raise ReplyError(f"claim {answer.number} is supported by the passage {answer.evidence}, not its own")
            values.append([answer.label, answer.confidence, index])
        return values


class ChatJudge:
    """A chat model as the judge.

    Claims that are near each other by topic share calls: on average at least `claims_per_call` to a call, but for the
    last one and for what has to be asked again. Equal pairs are judged once. A claim of more than `LONGEST_CLAIM`
    characters is `failed` without being asked about, and so is what the model gives no valid answer to.

    Args:
        chat: Options of the model, see `chat.ChatConfig`.
        claims_per_call: Claims judged together.
        samples: Opinions on each claim, each in another order; the most frequent label stands (of equals, the more
            cautious). With a `chat.temperature` of 0 they differ by order alone.
        max_evidence: A claim is judged by its best passages, this many of them.
    """

    def __init__(
        self, chat: Mapping[str, Any] | ChatConfig, claims_per_call: int = 8, samples: int = 1, max_evidence: int = 5
    ) -> None:
        options = {"claims_per_call": claims_per_call, "samples": samples, "max_evidence": max_evidence}
        for name, value in options.items():
            if value < 1:
                raise ValueError(f"llm: {name} must be at least 1, got {value}")
        self._chat = ChatConfig.model_validate(chat)
        self._samples, self._max_evidence = samples, max_evidence
        self._client = ChatClient(self._chat, JudgeTask(claims_per_call))
        model = re.sub(r"[^\w.-]+", "-", self._chat.model).strip("-")
        self._id = f"llm-{model}-{content_id('judge', self._client.identity, options).removeprefix('judge-')}"

    @property
    def verifier_id(self) -> str:
        """See `Verifier.verifier_id`."""
        return self._id

    def verify(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """See `Verifier.verify`.

        The confidence is the model's own word with one sample, the share of votes with several; it is not calibrated.
        """
        asked = {index: self._passages(pair) for index, pair in enumerate(pairs) if len(pair[0]) <= LONGEST_CLAIM}
        if len(asked) < len(pairs):
            logger.warning("%d claims are longer than %d characters", len(pairs) - len(asked), LONGEST_CLAIM)
        order = sorted(asked, key=lambda index: _topic(pairs[index]))
        items = [_Item(pairs[index][0], asked[index], sample) for sample in range(self._samples) for index in order]
        answers = self._client.answer(items)
        verdicts = [Verdict("failed", 0.0)] * len(pairs)
        for place, index in enumerate(order):
            verdicts[index] = self._vote([answer for answer in answers[place :: len(order)] if answer is not None])
        return verdicts

    def costs(self, num_responses: int, num_claims: int) -> pd.DataFrame:
        """The `schemas.Costs` of all that was verified so far: one row."""
        return self._client.ledger.table(num_responses, num_claims)

    def _passages(self, pair: Pair) -> tuple[Quoted, ...]:
        best = [item if isinstance(item, Passage) else Passage(item) for item in pair[1][: self._max_evidence]]
        return tuple((item.title, item.text[:LONGEST_PASSAGE]) for item in best)

    def _vote(self, answers: Sequence[tuple[str, float, int | None]]) -> Verdict:
        if not answers:
            return Verdict("failed", 0.0)
        if self._samples == 1:
            return Verdict(*answers[0])
        votes = Counter(label for label, *_ in answers)
        label = max(_CAUTION, key=lambda name: votes[name])
        index = next((index for other, _, index in answers if other == label and index is not None), None)
        return Verdict(label, votes[label] / self._samples, index)


def _topic(pair: Pair) -> str:
    """The title, or else the words, of the best evidence: claims that share it share a call."""
    best = pair[1][0] if pair[1] else ""
    return best if isinstance(best, str) else best.title or best.text


def _numbers(items: Sequence[_Item]) -> dict[Quoted, int]:
    """The passages of all items, numbered from 1."""
    distinct = dict.fromkeys(passage for item in items for passage in item.passages)
    return {passage: number for number, passage in enumerate(distinct, 1)}
