"""Responses that somebody already has, whatever wrote them, as tables of prompts and responses."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from factalign.base.ids import content_id
from factalign.base.records import Record, RecordError, read_messages, read_records, rows_of
from factalign.base.text import well_formed, words

logger = logging.getLogger(__name__)

Given = str | Path | pd.DataFrame | Iterable[Mapping[str, Any]]
FIELDS = ("prompt", "response", "completion", "topic")


def read_responses(given: Given) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The `schemas.Prompts` and `schemas.Responses` of answers from anywhere.

    Args:
        given: A `.jsonl`, `.csv` or `.parquet` file, a table, or rows. A row has `prompt`, `response` and, if the
            evidence shall be that of one title of the corpus, `topic`. Each of `prompt` and `response` is text or a
            list of messages (role, content); `response` may be called `completion`, as in TRL's data sets. Other
            fields are ignored, and the log names them.

    Returns:
        Rows with the same prompt and topic are samples of one prompt. What is not known of a response is filled in:
        `finish_reason` "stop", `num_tokens` its number of words, `policy_id` "given", `seed` 0.

    Raises:
        ValueError: The file is missing or malformed, or there is no row; the message names path, line and field.
    """
    prompts: dict[str, dict[str, Any]] = {}
    responses: list[dict[str, Any]] = []
    samples: Counter[str] = Counter()
    ignored: Counter[str] = Counter()
    for record in _records(given):
        ignored.update(record.keys() - set(FIELDS))
        prompt, response = _read_prompt(record), _read_response(record)
        prompt_id = prompt["prompt_id"]
        prompts[prompt_id] = prompt
        responses.append(
            {
                "response_id": content_id("response", prompt_id, samples[prompt_id], response),
                "prompt_id": prompt_id,
                "sample_index": samples[prompt_id],
                "text": response,
                "finish_reason": "stop",
                "num_tokens": len(words(response)),
                "policy_id": "given",
                "seed": 0,
            }
        )
        samples[prompt_id] += 1
    if not responses:
        raise ValueError(f"{_name(given)}: no responses; a row has 'prompt', 'response' and optionally 'topic'")
    if ignored:
        logger.info("%s: the fields %s are not used", _name(given), ", ".join(sorted(map(str, ignored))))
    return pd.DataFrame(list(prompts.values())), pd.DataFrame(responses)


def _read_prompt(record: Record) -> dict[str, Any]:
    if not record.has("prompt"):
        raise record.error("prompt", "is missing; a row has 'prompt', 'response' and optionally 'topic'")
    prompt = record["prompt"]
    if isinstance(prompt, str):
        messages = [{"role": "user", "content": well_formed(prompt)}]
    else:
        messages = read_messages(prompt, partial(record.error, "prompt"))
    topic = well_formed(record.text("topic", "").strip())
    return {
        "prompt_id": content_id("prompt", messages, topic),
        "messages": messages,
        "topic": topic,
        "aspect": "",
        "source": "given",
        "split": "test",
    }


def _read_response(record: Record) -> str:
    named = [field for field in ("response", "completion") if record.has(field)]
    if len(named) != 1:
        raise RecordError(
            f"{record.where}: needs one of the fields 'response' and 'completion', has {' and '.join(named) or 'none'}"
        )
    response = record[named[0]]
    if isinstance(response, str):
        return well_formed(response)
    messages = read_messages(response, partial(record.error, named[0]))
    if [message["role"] for message in messages] != ["assistant"]:
        raise record.error(named[0], "must be text or one message of the role 'assistant'")
    return messages[0]["content"]


def _records(given: Given) -> Iterator[Record]:
    if isinstance(given, str | Path):
        return read_records(given, "responses")
    return rows_of(given, _name(given))


def _name(given: Given) -> str:
    return str(given) if isinstance(given, str | Path) else "responses"
