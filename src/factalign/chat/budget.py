"""What a stage has spent, and what it may still spend."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import pandas as pd

from factalign.chat.config import Budget, Prices
from factalign.schemas import Costs, empty

logger = logging.getLogger(__name__)


@runtime_checkable
class Costly(Protocol):
    """An extractor or a verifier that may ask chat models."""

    def costs(self, num_responses: int, num_claims: int) -> pd.DataFrame:
        """The `schemas.Costs` of all that it asked so far: one row a chat model."""


class Tokens(NamedTuple):
    """Tokens of a call."""

    input: int
    output: int


@dataclass
class Ledger:
    """The account of one stage.

    Args:
        stage: Its name in the cost table.
        model: Name of the model.
        budget: Caps on `calls`, `tokens` and `money`.
        prices: Of a million tokens.
    """

    stage: str
    model: str
    budget: Budget
    prices: Prices
    calls: int = 0
    failed_calls: int = 0
    items: int = 0
    cached_items: int = 0
    failed_items: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0

    @property
    def money(self) -> float:
        """Spent so far."""
        return (self.input_tokens * self.prices.input + self.output_tokens * self.prices.output) / 1e6

    def affordable(self, needs: Sequence[Tokens]) -> tuple[int, str]:
        """How many of the next calls fit under the caps if each takes what it may need, and the cap that stops
        the one after ("" if all fit).
        """
        calls, tokens, money = self.calls, self.input_tokens + self.output_tokens, self.money
        for number, need in enumerate(needs):
            calls, tokens = calls + 1, tokens + sum(need)
            money += (need.input * self.prices.input + need.output * self.prices.output) / 1e6
            for cap, spent in (("calls", calls), ("tokens", tokens), ("money", money)):
                limit = getattr(self.budget, cap)
                if limit is not None and spent > limit:
                    return number, cap
        return len(needs), ""

    def table(self, num_responses: int, num_claims: int) -> pd.DataFrame:
        """The `schemas.Costs` of the stage: one row.

        Args:
            num_responses: Responses that it served.
            num_claims: Claims that it made or judged.
        """
        row = {
            "stage": self.stage,
            "model": self.model,
            "calls": self.calls,
            "failed_calls": self.failed_calls,
            "items": self.items,
            "cached_items": self.cached_items,
            "failed_items": self.failed_items,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "seconds": self.seconds,
            "money": self.money,
            "num_responses": num_responses,
            "num_claims": num_claims,
            "calls_per_response": _share(self.calls, num_responses),
            "calls_per_claim": _share(self.calls, num_claims),
            "money_per_response": _share(self.money, num_responses),
            "money_per_claim": _share(self.money, num_claims),
        }
        return Costs.validate(pd.DataFrame([row]))


def costs_of(part: object, num_responses: int, num_claims: int) -> pd.DataFrame:
    """The `schemas.Costs` of an extractor or a verifier: a row for every chat model that it asks, perhaps none."""
    costs = part.costs(num_responses, num_claims) if isinstance(part, Costly) else empty(Costs)
    for row in costs.to_dict("records"):
        logger.info(
            "%(stage)s: %(calls)d calls of %(model)s (%(cached_items)d items cached, %(failed_items)d failed), "
            "%(input_tokens)d tokens in, %(output_tokens)d out, %(money).4g spent",
            row,
        )
    return costs


def _share(amount: float, number: int) -> float | None:
    return amount / number if number else None
