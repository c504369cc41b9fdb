"""What a response is about."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


def topics_of(response_ids: Iterable[str], responses: pd.DataFrame, prompts: pd.DataFrame) -> list[str]:
    """The topic of each response's prompt, "" where the prompt has none.

    Raises:
        ValueError: A response is not in `responses`, or its prompt is not in `prompts`.
    """
    topic_of_prompt = dict(zip(prompts["prompt_id"], prompts["topic"], strict=True))
    prompt_of_response = dict(zip(responses["response_id"], responses["prompt_id"], strict=True))
    topics = []
    for response_id in response_ids:
        if response_id not in prompt_of_response:
            raise ValueError(f"response_id {response_id!r} is not in the responses")
        prompt_id = prompt_of_response[response_id]
        if prompt_id not in topic_of_prompt:
            raise ValueError(f"response {response_id!r}: no prompt has prompt_id {prompt_id!r}")
        topics.append(topic_of_prompt[prompt_id])
    return topics
