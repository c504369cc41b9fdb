"""Claims by a chat model: sentences are broken up and made self-contained in one call."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from pydantic import BaseModel, ConfigDict

from factalign.base.text import plain_stems, with_topic
from factalign.chat import ChatClient, ChatConfig
from factalign.chat.replies import Answer, Reply, ReplyError
from factalign.extraction.chat_prompt import EXTRACTOR_OPENING
from factalign.generation.engines import Message

logger = logging.getLogger(__name__)
LONGEST_TEXT = 8000  # characters of the response that are shown beside its sentences
LEAST_FAMILIAR = 0.5


class _Item(NamedTuple):
    sentence: str
    response: str
    topic: str
    response_id: str


class FoundClaim(BaseModel):
    """A claim, and whether any source could confirm or refute it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    text: str
    checkable: bool


class Decomposition(Answer):
    """The claims of a numbered sentence."""

    claims: list[FoundClaim]


class ExtractTask:
    """Breaking up the sentences of one response. See `chat.tasks.Task`."""

    stage = "extract"
    opening: Sequence[Message] = EXTRACTOR_OPENING
    reply: type[Reply[Decomposition]] = Reply[Decomposition]
    shuffled = False

    def __init__(self, per_call: int) -> None:
        self.per_call = per_call

    def key(self, item: _Item) -> Any:
        """See `Task.key`."""
        return [item.sentence, item.response, item.topic]

    def group(self, item: _Item) -> Hashable:
        """See `Task.group`."""
        return item.response_id

    def data(self, items: Sequence[_Item]) -> dict[str, Any]:
        """See `Task.data`; the whole text is left out where the sentences are all of it."""
        first = items[0]
        whole = " ".join(item.sentence for item in items) == first.response
        return {
            "topic": first.topic,
            **({} if whole else {"text": first.response[:LONGEST_TEXT]}),
            "sentences": [{"number": number, "text": item.sentence} for number, item in enumerate(items, 1)],
        }

    def accept(self, items: Sequence[_Item], answers: Sequence[Decomposition]) -> list[Any]:
        """See `Task.accept`: the checkable claims of each sentence.

        A claim of which fewer than `LEAST_FAMILIAR` of the words are the response's or the topic's was made up.
        """
        known = plain_stems(f"{items[0].response} {items[0].topic}")
        for answer in answers:
            for claim in answer.claims:
                words = plain_stems(claim.text)
                if len(words & known) < LEAST_FAMILIAR * max(len(words), 1):
                    raise ReplyError(f"sentence {answer.number} does not say {claim.text[:200]!r}")
        return [
            list(dict.fromkeys(claim.text.strip() for claim in answer.claims if claim.checkable)) for answer in answers
        ]


class ChatExtractor:
    """Claims of sentences, read in the context of their response, by a chat model.

    Only checkable claims are kept, so a sentence of opinion has none. A sentence to which the model gives no valid
    answer is a claim itself, as with the extractor `sentence`: nothing is lost, and `costs` counts it as failed.

    Args:
        chat: Options of the model, see `chat.ChatConfig`.
        sentences_per_call: Sentences of one response broken up together.
    """

    def __init__(self, chat: Mapping[str, Any] | ChatConfig, sentences_per_call: int = 8) -> None:
        if sentences_per_call < 1:
            raise ValueError(f"llm: sentences_per_call must be at least 1, got {sentences_per_call}")
        self._client = ChatClient(ChatConfig.model_validate(chat), ExtractTask(sentences_per_call))

    def extract(self, sentences: Sequence[str], topics: Sequence[str]) -> list[list[str]]:
        """See `ClaimExtractor.extract`; sentences about one topic are taken for one text."""
        return self.extract_in_context(sentences, topics, topics)

    def extract_in_context(
        self, sentences: Sequence[str], topics: Sequence[str], response_ids: Sequence[str]
    ) -> list[list[str]]:
        """See `ContextualExtractor.extract_in_context`."""
        texts: dict[str, list[str]] = {}
        for sentence, response_id in zip(sentences, response_ids, strict=True):
            texts.setdefault(response_id, []).append(sentence)
        responses = {response_id: " ".join(parts) for response_id, parts in texts.items()}
        answers = self._client.answer(
            [
                _Item(sentence, responses[response_id], topic, response_id)
                for sentence, topic, response_id in zip(sentences, topics, response_ids, strict=True)
            ]
        )
        lost = sum(answer is None for answer in answers)
        if lost:
            logger.warning("%d of %d sentences could not be broken up and are claims themselves", lost, len(sentences))
        return [
            [with_topic(sentence, topic)] if answer is None else answer
            for sentence, topic, answer in zip(sentences, topics, answers, strict=True)
        ]

    def costs(self, num_responses: int, num_claims: int) -> pd.DataFrame:
        """The `schemas.Costs` of all that was extracted so far: one row."""
        return self._client.ledger.table(num_responses, num_claims)
