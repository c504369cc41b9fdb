"""What an engine is, and the engines there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from factalign.registry import Registry

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
    """

    text: str
    finish_reason: FinishReason
    num_tokens: int


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


ENGINES: Registry[Engine] = Registry(
    "engine",
    {
        "transformers": "factalign.generation.transformers_engine:TransformersEngine",
        "vllm": "factalign.generation.vllm_engine:VLLMEngine",
        "openai": "factalign.generation.openai_engine:OpenAIEngine",
    },
)


def well_formed(text: str) -> str:
    """`text` with lone surrogates replaced by U+FFFD: neither tokenizers nor Parquet take them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def as_messages(conversation: Sequence[Message]) -> list[dict[str, str]]:
    """Plain role-and-content dicts with well-formed text."""
    return [{"role": message["role"], "content": well_formed(message["content"])} for message in conversation]
