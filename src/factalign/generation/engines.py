"""What an engine is, and the engines there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

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


class Engine(Protocol):
    """Generates texts with one policy; built as `factory(handle=..., **engine_options)`."""

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        samples: int = 1,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        batch_size: int = 64,
    ) -> list[list[Generation]]:
        """Answer each conversation `samples` times: one list of that length per conversation, in order."""
        ...


@runtime_checkable
class StreamingEngine(Protocol):
    """An engine whose requests stand alone: see `stream`, which prefers this over `Engine.generate`."""

    def stream(
        self, conversations: Sequence[Sequence[Message]], seeds: Sequence[int], *, batch_size: int, **options: Any
    ) -> Iterator[tuple[int, Generation | EngineError]]:
        """See the function `stream`."""
        ...


def stream(
    engine: Engine,
    conversations: Sequence[Sequence[Message]],
    seeds: Sequence[int],
    *,
    batch_size: int = 64,
    **options: Any,
) -> Iterator[tuple[int, Generation | EngineError]]:
    """Answer each conversation once, and yield (its position, the answer) as answers come, in any order.

    What cannot be answered fails alone, as an `EngineError` in place of its answer.

    Args:
        engine: Any engine.
        conversations: What to answer.
        seeds: One each; an engine that samples in batches takes that of the batch's first.
        batch_size: Conversations under way together.
        options: Further arguments of `Engine.generate`, such as `max_new_tokens`.
    """
    if isinstance(engine, StreamingEngine):
        yield from engine.stream(conversations, seeds, batch_size=batch_size, **options)
        return
    for start in range(0, len(conversations), batch_size):
        batch = conversations[start : start + batch_size]
        answers: list[Generation | EngineError]
        try:
            answers = [one for (one,) in engine.generate(batch, seed=seeds[start], batch_size=batch_size, **options)]
        except (EngineError, ValueError) as error:  # such as one that is too long for the model
            if len(batch) > 1:
                alone = stream(engine, batch, seeds[start : start + batch_size], batch_size=1, **options)
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
