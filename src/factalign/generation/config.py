"""How responses are sampled."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from factalign.base.registry import Choice
from factalign.generation.engines import Sampling


class SamplingConfig(BaseModel):
    """Parameters of `sample_responses`; an unknown key is an error that names it.

    Attributes:
        engine: Which of `ENGINES`, with its options, such as `dtype` or `base_url`.
        samples_per_prompt: Responses to each prompt.
        max_new_tokens: Longest response, in tokens.
        temperature: 0 takes the most probable token each time.
        top_k: Sample among the k most probable tokens; 0 among all.
        top_p: Sample among the fewest tokens that hold this probability together.
        batch_size: Responses under way together.
        drop_unfinished_sentence: Cut a response that ran into `max_new_tokens` after its last sentence end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Choice = Choice(name="transformers")
    samples_per_prompt: int = Field(default=4, ge=1)
    max_new_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.7, ge=0)
    top_k: int = Field(default=50, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    batch_size: int = Field(default=128, ge=1)
    drop_unfinished_sentence: bool = True

    def sampling(self, seed: int) -> Sampling:
        """What an engine has to know of this."""
        return Sampling(
            samples=self.samples_per_prompt,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            seed=seed,
            batch_size=self.batch_size,
        )
