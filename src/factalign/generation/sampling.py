"""From a prompt table to a response table."""

from __future__ import annotations

import gc
import sys

import pandas as pd

from factalign.base.ids import content_id
from factalign.base.text import last_sentence_end, well_formed
from factalign.generation.config import SamplingConfig
from factalign.generation.engines import ENGINES
from factalign.policies import PolicyHandle, validate_handle
from factalign.schemas import Prompts, Responses, empty


def drop_unfinished_sentence(text: str) -> str:
    """`text` up to its last sentence end, or all of it where no sentence ends.

    A heuristic for the tail only: where it is unsure whether a full stop ends a sentence it cuts earlier.
    """
    return text[: last_sentence_end(text)]


def sample_responses(prompts: pd.DataFrame, handle: PolicyHandle, config: SamplingConfig, seed: int) -> pd.DataFrame:
    """Sample `config.samples_per_prompt` responses to every prompt.

    Args:
        prompts: A `schemas.Prompts` table; may be empty.
        handle: The policy.
        config: How to sample.
        seed: With the same prompts, policy, configuration and machine it gives the same table.

    Returns:
        A `schemas.Responses` table in the order of `prompts`. `num_tokens` counts what was generated, before
        an unfinished sentence was dropped. An empty response is a row like any other.

    Raises:
        pandera.errors.SchemaError: `prompts` lacks a column or breaks a rule.
        ValueError: The handle, the engine or its options are not valid.
    """
    prompts = Prompts.validate(prompts)
    handle = validate_handle(handle)
    if prompts.empty:
        return empty(Responses)
    engine = ENGINES.build(config.engine, handle=handle)
    generations = engine.generate(prompts["messages"].tolist(), config.sampling(seed))
    del engine
    _free_accelerator()
    rows = []
    for prompt_id, answers in zip(prompts["prompt_id"], generations, strict=True):
        for sample_index, generation in enumerate(answers):
            text = well_formed(generation.text)
            if config.drop_unfinished_sentence and generation.finish_reason == "length":
                text = drop_unfinished_sentence(text)
            rows.append(
                {
                    "response_id": content_id("resp", prompt_id, sample_index, handle["policy_id"], seed, text),
                    "prompt_id": prompt_id,
                    "sample_index": sample_index,
                    "text": text,
                    "finish_reason": generation.finish_reason,
                    "num_tokens": generation.num_tokens,
                    "policy_id": handle["policy_id"],
                    "seed": seed,
                }
            )
    return Responses.validate(pd.DataFrame(rows))


def _free_accelerator() -> None:
    """Give the engine's device memory back: a trainer in another process is next to need it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
