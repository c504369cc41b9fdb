"""How responses are sampled."""

from __future__ import annotations

from pydantic import Field

from factalign.base.registry import Choice
from factalign.generation.engines import Decoding, Sampling


class SamplingConfig(Decoding):
    """Parameters of `sample_responses`.

    Attributes:
        engine: Which of `ENGINES`, with its options, such as `dtype` or `base_url`.
        samples_per_prompt: Responses to each prompt.
        drop_unfinished_sentence: Cut a response that ran into `max_new_tokens` after its last sentence end.
    """

    engine: Choice = Choice(name="transformers")
    samples_per_prompt: int = Field(default=4, ge=1)
    drop_unfinished_sentence: bool = True

    def sampling(self, seed: int) -> Sampling:
        """What an engine has to know of this."""
        decoding = self.model_dump(include=set(Decoding.model_fields))
        return Sampling(samples=self.samples_per_prompt, seed=seed, **decoding)
