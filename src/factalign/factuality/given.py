"""Responses that somebody already has, whatever wrote them, as tables of prompts and responses."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from factalign.generation.engines import well_formed
from factalign.ids import content_id
from factalign.knowledge import json_objects
from factalign.words import words

logger = logging.getLogger(__name__)

Given = str | Path | pd.DataFrame | Iterable[Mapping[str, Any]]
FIELDS = ("prompt", "response", "completion", "topic")
_FORMATS = (".jsonl", ".csv", ".parquet")


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
    for where, record in _records(given):
        ignored.update(record.keys() - set(FIELDS))
        prompt, response = _read_prompt(record, where), _read_response(record, where)
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


def _read_prompt(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    if _missing(record.get("prompt")):
        raise ValueError(
            f"{where}: the field 'prompt' is missing; a row has 'prompt', 'response' and optionally 'topic'"
        )
    topic = "" if _missing(record.get("topic")) else record["topic"]
    if not isinstance(topic, str):
        raise ValueError(f"{where}: field 'topic' must be text, got {topic!r}")
    prompt = record["prompt"]
    messages = (
        [{"role": "user", "content": well_formed(prompt)}]
        if isinstance(prompt, str)
        else _messages(prompt, f"{where}: field 'prompt'")
    )
    topic = well_formed(topic.strip())
    return {
        "prompt_id": content_id("prompt", messages, topic),
        "messages": messages,
        "topic": topic,
        "aspect": "",
        "source": "given",
        "split": "test",
    }


def _read_response(record: Mapping[str, Any], where: str) -> str:
    named = [field for field in ("response", "completion") if not _missing(record.get(field))]
    if len(named) != 1:
        raise ValueError(
            f"{where}: needs one of the fields 'response' and 'completion', has {' and '.join(named) or 'none'}"
        )
    response = record[named[0]]
    if isinstance(response, str):
        return well_formed(response)
    messages = _messages(response, f"{where}: field {named[0]!r}")
    if [message["role"] for message in messages] != ["assistant"]:
        raise ValueError(f"{where}: field {named[0]!r} must be text or one message of the role 'assistant'")
    return messages[0]["content"]


def _messages(value: Any, where: str) -> list[dict[str, str]]:
    messages = list(value) if isinstance(value, Iterable) and not isinstance(value, Mapping) else []
    valid = [
        isinstance(message, Mapping) and all(isinstance(message.get(key), str) for key in ("role", "content"))
        for message in messages
    ]
    if not valid or not all(valid):
        raise ValueError(f"{where} must be text or a list of messages with role and content, got {value!r:.200}")
    return [{"role": message["role"], "content": well_formed(message["content"])} for message in messages]


def _records(given: Given) -> Iterator[tuple[str, Mapping[str, Any]]]:
    name = _name(given)
    if isinstance(given, str | Path):
        path = Path(given)
        if not path.is_file():
            raise ValueError(f"{path}: no such file of responses")
        if path.suffix == ".jsonl":
            yield from ((f"{path}, line {number}", record) for number, record in json_objects(path))
            return
        given = _read_table(path)
    rows: Sequence[Any] = given.to_dict("records") if isinstance(given, pd.DataFrame) else list(given)
    for number, record in enumerate(rows, start=1):
        where = f"{name}, row {number}"
        if not isinstance(record, Mapping):
            raise ValueError(f"{where}: must be a dict with 'prompt' and 'response', got {type(record).__name__}")
        yield where, record


def _read_table(path: Path) -> pd.DataFrame:
    if path.suffix not in _FORMATS:
        raise ValueError(f"{path}: unknown format {path.suffix!r}; valid: {', '.join(_FORMATS)}")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: not readable as {path.suffix[1:]}: {error}") from error


def _name(given: Given) -> str:
    return str(given) if isinstance(given, str | Path) else "responses"


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)
