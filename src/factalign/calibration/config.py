"""Parameters of the calibration."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class CalibrationConfig(BaseModel):
    """How probabilities are fitted to labels.

    Attributes:
        other_topics: How many topics of the train split a claim is tried on, for its specificity.
        folds: Of the cross-validation over topics that chooses the strength of the L2 penalty.
        strengths: The penalties to choose from, for a mean loss in nats over standardised features.
        resamples: Of the bootstrap over topics behind the intervals.
        seed: Of the topics, the folds and the bootstrap.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    other_topics: int = Field(default=30, ge=2)
    folds: int = Field(default=8, ge=2)
    strengths: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1), min_length=1
    )
    resamples: int = Field(default=2000, ge=100)
    seed: int = 0
