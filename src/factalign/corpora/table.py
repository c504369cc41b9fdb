"""A file of records as passages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from factalign.base.ids import content_id
from factalign.base.records import Record, RecordError, read_records
from factalign.corpora.facts import facts_from_json
from factalign.corpora.folder import FolderCorpus
from factalign.corpora.general import GENERAL_AIDS, GENERAL_PROMPTS
from factalign.corpora.protocol import PromptTemplates, ReadingAids
from factalign.corpora.splitting import MAX_WORDS, named_pieces

REQUIRED = ("title", "text")
OPTIONAL = ("passage_id", "field", "aliases", "facts")


@dataclass(frozen=True)
class TableCorpus:
    """A file of records with `title`, `text` and optionally `passage_id`, `field`, `aliases`, `facts`.

    Args:
        path: `.jsonl`, `.csv` or `.parquet`; a folder is read as the corpus `folder`. `aliases` is a list of names,
            `facts` a list of typed facts (`factalign.corpora.facts`): in CSV as JSON, elsewhere also as lists.
        max_words: Longer texts are cut at the ends of paragraphs or sentences, each piece with the title before it:
            for tables of whole documents. None leaves them as they are.
    """

    prompts: ClassVar[PromptTemplates] = GENERAL_PROMPTS
    aids: ClassVar[ReadingAids] = GENERAL_AIDS

    path: str
    max_words: int | None = None

    def passages(self) -> pd.DataFrame:
        """See `Corpus.passages`.

        Raises:
            ValueError: Unknown format, an unreadable or empty file, a missing or empty field, a duplicate
                `passage_id`; the message names path, line and field.
        """
        if Path(self.path).is_dir():
            return FolderCorpus(self.path, MAX_WORDS if self.max_words is None else self.max_words).passages()
        rows: list[dict[str, str]] = []
        seen: dict[str, str] = {}
        for record in read_records(self.path, "passages"):
            row = _read_row(record)
            if row["passage_id"] in seen:
                raise RecordError(
                    f"{record.where}: passage_id {row['passage_id']!r} was in {seen[row['passage_id']]} already "
                    "(a passage without an id gets one by its content)"
                )
            seen[row["passage_id"]] = record.where
            rows.extend(_pieces(row, self.max_words))
        if not rows:
            raise RecordError(f"{self.path}: no passages")
        return pd.DataFrame(rows)[["passage_id", "title", "field", "text", "aliases", "facts"]]


def _read_row(record: Record) -> dict[str, str]:
    record.only(REQUIRED + OPTIONAL)
    row = {key: record.text(key) for key in REQUIRED} | {"field": record.text("field", "")}
    row["aliases"] = _json_list(record, "aliases")
    row["facts"] = _json_list(record, "facts")
    given_id = record.text("passage_id", "")
    return row | {"passage_id": given_id or content_id("passage", *(row[key] for key in sorted(row)))}


def _pieces(row: dict[str, str], max_words: int | None) -> list[dict[str, str]]:
    if max_words is None or len(row["text"].split()) <= max_words:
        return [row]
    texts = named_pieces(row["title"], row["field"], row["text"], max_words)
    return [row | {"text": text, "passage_id": f"{row['passage_id']}-{i}"} for i, text in enumerate(texts)]


def _json_list(record: Record, key: str) -> str:
    value = record.get(key) or []
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise record.error(key, f"must be a JSON list: {error}") from error
    if not isinstance(value, list) or (key == "aliases" and not all(isinstance(name, str) for name in value)):
        raise record.error(key, f"must be a list{' of names' * (key == 'aliases')}, got {value!r}")
    try:
        # Parquet has values that JSON has not, such as dates.
        text = json.dumps(value, ensure_ascii=False)
        if key == "facts":
            facts_from_json(text)
    except (TypeError, ValueError) as error:
        raise record.error(key, f"is not valid: {error}") from error
    return text
