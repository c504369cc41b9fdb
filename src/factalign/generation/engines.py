"""What an engine is, and the engines there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from factalign.base.registry import Registry
from factalign.base.text import well_formed

Message = Mapping[str, str]
FinishReason = Literal["stop", "length"]


class EngineError(RuntimeError):
    """An engine could not be started, or gave no usable answer."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One sampled text.

    Attributes:
        text: Without special tokens; may be empty.
        finish_reason: "stop" where the model ended it, "length" where the token limit did.
        num_tokens: Generated tokens, not counting an end-of-sequence token.
        prompt_tokens: Tokens of the conversation it answers; 0 where the engine does not know.
    """

    text: str
    finish_reason: FinishReason
    num_tokens: int
    prompt_tokens: int = 0


class Decoding(BaseModel):
    """How answers are drawn from a policy; an unknown key is an error that names it.

    Attributes:
        max_new_tokens: Longest answer, in tokens.
        temperature: 0 takes the most probable token each time.
        top_k: Sample among the k most probable tokens; 0 among all.
        top_p: Sample among the fewest tokens that hold this probability together.
        batch_size: Answers under way together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_new_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.7, ge=0)
    top_k: int = Field(default=50, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    batch_size: int = Field(default=128, ge=1)


class Sampling(Decoding):
    """How an engine answers conversations.

    Attributes:
        samples: Answers to each conversation.
        seed: Of the random numbers.
        response_format: The form that every answer has to have, in the words of OpenAI's protocol; only the engine
            `openai` can ask for one.
    """

    samples: int = Field(default=1, ge=1)
    seed: int = 0
    response_format: Mapping[str, Any] | None = None


class Engine(Protocol):
    """Generates texts with one policy; built as `factory(handle=…, **options)`."""

    def generate(self, conversations: Sequence[Sequence[Message]], sampling: Sampling) -> list[list[Generation]]:
        """Answer each conversation `sampling.samples` times: one list of that length per conversation, in order."""
        ...


@runtime_checkable
class StreamingEngine(Protocol):
    """An engine whose requests stand alone: see `stream`, which prefers this over `Engine.generate`."""

    def stream(
        self, conversations: Sequence[Sequence[Message]], seeds: Sequence[int], sampling: Sampling
    ) -> Iterator[tuple[int, Generation | EngineError]]:
        """See the function `stream`."""
        ...


def stream(
    engine: Engine, conversations: Sequence[Sequence[Message]], seeds: Sequence[int], sampling: Sampling
) -> Iterator[tuple[int, Generation | EngineError]]:
    """Answer each conversation once, and yield (its position, the answer) as answers come, in any order.

    What cannot be answered fails alone, as an `EngineError` in place of its answer.

    Args:
        engine: Any engine.
        conversations: What to answer.
        seeds: One each; an engine that samples in batches takes that of the batch's first.
        sampling: How; of each conversation one answer with a seed of its own, whatever `samples` and `seed` say.
    """
    if isinstance(engine, StreamingEngine):
        yield from engine.stream(conversations, seeds, sampling)
        return
    size, one_by_one = sampling.batch_size, sampling.model_copy(update={"batch_size": 1})
    for start in range(0, len(conversations), size):
        batch = conversations[start : start + size]
        how = sampling.model_copy(update={"samples": 1, "seed": seeds[start]})
        answers: list[Generation | EngineError]
        try:
            answers = [one for (one,) in engine.generate(batch, how)]
        except (EngineError, ValueError) as error:  # such as one that is too long for the model
            if len(batch) > 1:
                alone = stream(engine, batch, seeds[start : start + size], one_by_one)
                yield from ((start + index, answer) for index, answer in alone)
                continue
            answers = [EngineError(f"{type(error).__name__}: {error}")]
        yield from enumerate(answers, start)


ENGINES: Registry[Engine] = Registry(
    "engine",
    {
        "transformers": "factalign.generation.transformers_engine:TransformersEngine",
        "vllm": "factalign.generation.vllm_engine:VLLMEngine",
        "openai": "factalign.generation.openai_engine:OpenAIEngine",
    },
)


def as_messages(conversation: Sequence[Message]) -> list[dict[str, str]]:
    """Plain role-and-content dicts with well-formed text."""
    return [{"role": message["role"], "content": well_formed(message["content"])} for message in conversation]
