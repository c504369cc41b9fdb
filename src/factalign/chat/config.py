"""Which model is asked, how, and at what price."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from factalign.base.registry import Choice


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Prices(_Options):
    """Money for a million tokens, in any currency."""

    input: float = Field(default=0.0, ge=0)
    output: float = Field(default=0.0, ge=0)


class Budget(_Options):
    """What one stage (extraction, verification) of one run may spend; None is no limit.

    A call is only made if what it may need at most still fits, its input estimated from its length. Tries that the
    engine repeats after trouble on the line are one call, and cost what the answered one costs.
    """

    calls: int | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    money: float | None = Field(default=None, ge=0)


class ChatConfig(_Options):
    """Options of the chat model behind the `llm` verifier and the `llm` extractor.

    Attributes:
        model: Its name on the server; for the other engines a folder or a name on the Hugging Face hub.
        revision: Commit, branch or tag on the hub.
        engine: Which of `generation.ENGINES`, with its options, such as `base_url` or `requests_per_minute`.
        temperature: Of the first attempt; later ones take at least `client.RETRY_TEMPERATURE`.
        max_new_tokens: Longest reply, in tokens.
        batch_size: Conversations under way together.
        attempts: How often an item is asked about before it counts as failed; each time in half the company.
        structured_output: Send the reply's JSON schema as `response_format` (engine `openai`, on a server that
            takes it).
        seed: Of the order of items and of sampling.
        cache: SQLite file that keeps all answers; None asks anew in every run.
        budget: Caps.
        prices: For the cost table and `budget.money`.
    """

    model: str = Field(min_length=1)
    revision: str | None = None
    engine: Choice = Choice(name="openai")
    temperature: float = Field(default=0.0, ge=0)
    max_new_tokens: int = Field(default=1024, ge=1)
    batch_size: int = Field(default=16, ge=1)
    attempts: int = Field(default=3, ge=1)
    structured_output: bool = False
    seed: int = 0
    cache: Path | None = None
    budget: Budget = Budget()
    prices: Prices = Prices()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.structured_output and self.engine.name != "openai":
            raise ValueError(f"structured_output needs the engine 'openai', not {self.engine.name!r}")
        if self.budget.money is not None and self.prices == Prices():
            raise ValueError("budget.money needs prices.input and prices.output")
        return self
