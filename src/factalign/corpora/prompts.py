"""Long-form prompts over the topics of a corpus, split by topic so that no tested topic is ever trained
on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from factalign.base.heavy import pd
from factalign.base.ids import content_id
from factalign.base.records import Record, RecordError, json_objects, read_messages
from factalign.corpora.general import GENERAL_PROMPTS
from factalign.corpora.protocol import PromptTemplates

SOURCE = "factalign-templates"


class PromptConfig(BaseModel):
    """Prompts of one's own (`path`), or how many topics each split gets and how many prompts a topic gets in it.

    Attributes:
        path: A file for `read_prompts`; the other keys then have no effect.
        split_seed: Decides which topic goes into which split and how it is asked about. It is not the seed of the
            run: runs with several seeds share their benchmark, and no topic of the dev split becomes a tested one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = None
    split_seed: int = 42

    train_topics: int = Field(default=122, ge=0)
    dev_topics: int = Field(default=20, ge=0)
    test_topics: int = Field(default=40, ge=0)
    train_prompts_per_topic: int = Field(default=3, ge=0)
    dev_prompts_per_topic: int = Field(default=2, ge=0)
    test_prompts_per_topic: int = Field(default=2, ge=0)


def read_prompts(path: str) -> pd.DataFrame:
    """A `schemas.Prompts` table of a JSON-lines file.

    Each line has `prompt` (text) or `messages`, `split` (train, dev or test), and optionally `topic`, `aspect` and
    `prompt_id`.

    Raises:
        ValueError: The file is missing, empty or malformed; the message names path, line and field.
    """
    rows: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for record in json_objects(path, "prompts"):
        row = _read_prompt(record, Path(path).name)
        if row["prompt_id"] in seen:
            raise RecordError(
                f"{record.where}: prompt_id {row['prompt_id']!r} was on line {seen[row['prompt_id']]} already"
            )
        seen[row["prompt_id"]] = record.line
        rows.append(row)
    if not rows:
        raise RecordError(f"{path}: no prompts")
    return pd.DataFrame(rows)


def _read_prompt(record: Record, source: str) -> dict[str, Any]:
    from factalign.schemas import SPLITS

    record.only(("prompt_id", "prompt", "messages", "topic", "aspect", "split"))
    if ("prompt" in record) == ("messages" in record):
        raise RecordError(f"{record.where}: needs one of the fields 'prompt' and 'messages'")
    if record.get("split") not in SPLITS:
        raise record.error("split", f"must be one of {', '.join(SPLITS)}, got {record.get('split')!r}")
    if "messages" in record:
        messages = read_messages(record["messages"], partial(record.error, "messages"))
    else:
        messages = [{"role": "user", "content": record.text("prompt")}]
    return {
        "prompt_id": record.text("prompt_id", "") or content_id("prompt", messages),
        "messages": messages,
        "topic": record.text("topic", ""),
        "aspect": record.text("aspect", ""),
        "source": source,
        "split": record["split"],
    }


def build_prompts(
    topics: Sequence[str], config: PromptConfig, templates: PromptTemplates = GENERAL_PROMPTS
) -> pd.DataFrame:
    """A `schemas.Prompts` table.

    A topic's place in the split depends on a hash of (split_seed, topic) alone: a topic added to the corpus moves
    no other across by more than one place. Aspects rotate from topic to topic, so every split holds all of
    them alike.

    Raises:
        ValueError: Fewer topics than the splits need, or a topic twice.
    """
    seed = config.split_seed
    wanted = config.train_topics + config.dev_topics + config.test_topics
    if len(set(topics)) < len(topics):
        raise ValueError(f"topics must differ, got {len(topics) - len(set(topics))} twice")
    if wanted > len(topics):
        raise ValueError(
            f"prompts: train_topics + dev_topics + test_topics = {wanted}, but the corpus has {len(topics)} topics"
        )
    shuffled = sorted(topics, key=lambda topic: _hash(seed, topic))
    rows = []
    start = 0
    for split in ("test", "dev", "train"):
        chosen = shuffled[start : start + getattr(config, f"{split}_topics")]
        start += len(chosen)
        for position, topic in enumerate(chosen):
            count = getattr(config, f"{split}_prompts_per_topic")
            rows += _topic_prompts(topic, split, count, position, seed, templates)
    columns = ["prompt_id", "messages", "topic", "aspect", "source", "split"]
    return pd.DataFrame(rows, columns=columns)


def _topic_prompts(
    topic: str, split: str, count: int, position: int, seed: int, templates: PromptTemplates
) -> list[dict[str, Any]]:
    aspects = list(templates.aspects)
    limit = sum(map(len, templates.aspects.values()))
    if count > limit:
        raise ValueError(f"{split}_prompts_per_topic must be at most {limit}, the number of templates, got {count}")
    rows = []
    for number in range(count):
        aspect = aspects[(position * count + number) % len(aspects)]
        ways = templates.aspects[aspect]
        turn = (_hash(seed, topic, aspect) + number // len(aspects)) % len(ways)
        content = ways[turn].format(topic=templates.in_sentence(topic))
        messages = [{"role": "user", "content": content}]
        rows.append(
            {
                "prompt_id": content_id("prompt", messages),
                "messages": messages,
                "topic": topic,
                "aspect": aspect,
                "source": SOURCE,
                "split": split,
            }
        )
    return rows


def _hash(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:8], "big")
