"""Nodes of the sampling pipeline."""

from __future__ import annotations

from typing import Any

from factalign.base.heavy import pd
from factalign.base.ids import derive_seed
from factalign.generation import SamplingConfig


def sample(prompts: pd.DataFrame, policy: dict[str, Any], config: SamplingConfig, seed: int) -> pd.DataFrame:
    """Let the policy answer every prompt; each policy draws from a random stream of its own."""
    from factalign.generation import sample_responses
    from factalign.policies import validate_handle

    return sample_responses(prompts, validate_handle(policy), config, seed=derive_seed(seed, policy["policy_id"]))
