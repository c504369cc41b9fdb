"""Parameters of preference building."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ThresholdRule(_Parameters):
    """Desirable above an absolute F1@K, as in the paper (0.70 to 0.80, by model); everything else is undesirable."""

    rule: Literal["threshold"] = "threshold"
    threshold: float = Field(default=0.75, ge=0, le=1)


class QuantileRule(_Parameters):
    """Desirable in the top part of the responses, undesirable in the bottom part, no label between."""

    rule: Literal["quantile"] = "quantile"
    low: float = Field(default=1 / 3, gt=0, lt=1)
    high: float = Field(default=2 / 3, gt=0, lt=1)

    @model_validator(mode="after")
    def _in_order(self) -> QuantileRule:
        if self.low > self.high:
            raise ValueError(f"low must not exceed high, got low={self.low}, high={self.high}")
        return self


class PreferenceConfig(_Parameters):
    """How scores become labels.

    Attributes:
        response_label: The rule that turns F1@K into desirable, undesirable or no label.
        sentence_threshold: A sentence is desirable if at least this share of its judged claims is supported.
        repetition_ngram: Length in words of the n-grams that tell a repetitive response.
        repetition_limit: A response in which one n-gram occurs more often than this is undesirable.
        min_coverage: A response with fewer of its claims settled than this share gets no label.
        balance: Take labels away at random from the more frequent class until both classes are equally
            frequent, for responses and for sentences each. Unequal classes (1:3 of sentences) made a small
            model less precise than the base; a trainer's class weights remain for what the user leaves
            unequal.
        max_rows: Keep at most this many rows: both classes of responses in equal parts before anything else.
    """

    response_label: Annotated[ThresholdRule | QuantileRule, Field(discriminator="rule")] = QuantileRule()
    sentence_threshold: float = Field(default=0.5, gt=0, le=1)
    repetition_ngram: int = Field(default=10, ge=1)
    repetition_limit: int = Field(default=5, ge=1)
    min_coverage: float = Field(default=0.5, ge=0, le=1)
    balance: bool = True
    max_rows: int | None = Field(default=None, ge=1)
