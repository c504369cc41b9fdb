"""Knowledge corpora by name, each a function that returns a table of passages."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from factalign.ids import content_id
from factalign.knowledge.facts import facts_from_json
from factalign.knowledge.folder import load_folder
from factalign.knowledge.json_lines import json_objects, text_lines
from factalign.knowledge.splitting import MAX_WORDS, named_pieces
from factalign.registry import Registry
from factalign.schemas import Passages, empty

CORPORA: Registry[pd.DataFrame] = Registry(
    "corpus",
    {
        "factbook": "factalign.knowledge.factbook.reader:load_factbook",
        "folder": "factalign.knowledge.folder:load_folder",
        "none": "factalign.knowledge.corpora:load_nothing",
        "table": "factalign.knowledge.corpora:load_table",
    },
)
REQUIRED = ("title", "text")
OPTIONAL = ("passage_id", "field", "aliases", "facts")


def load_corpus(name: str, **options: Any) -> pd.DataFrame:
    """The passages of the corpus `name`, validated.

    Raises:
        ValueError: Unknown name, malformed source, no passage, or a duplicate `passage_id`.
    """
    passages = CORPORA.load(name, **options)
    if passages.empty and name != "none":
        raise ValueError(f"corpus {name!r} with {options}: no passages")
    duplicate = passages["passage_id"][passages["passage_id"].duplicated()]
    if len(duplicate):
        raise ValueError(f"corpus {name!r} with {options}: passage_id {duplicate.iloc[0]!r} occurs more than once")
    return Passages.validate(passages)


def load_nothing() -> pd.DataFrame:
    """No passages: for retrievers that find them elsewhere."""
    return empty(Passages)


def load_table(path: str, max_words: int | None = None) -> pd.DataFrame:
    """Passages of a file of records with `title`, `text` and optionally `passage_id`, `field`, `aliases`,
    `facts`.

    Args:
        path: `.jsonl`, `.csv` or `.parquet`; a folder is read as the corpus `folder`. `aliases` is a list of names,
            `facts` a list of typed facts (`factalign.knowledge.facts`): in CSV as JSON, elsewhere also as lists.
        max_words: Longer texts are cut at the ends of paragraphs or sentences, each piece with the title before it:
            for tables of whole documents. None leaves them as they are.

    Raises:
        ValueError: Unknown format, an unreadable or empty file, a missing or empty field, a duplicate `passage_id`;
            the message names path, line and field.
    """
    if Path(path).is_dir():
        return load_folder(path, MAX_WORDS if max_words is None else max_words)
    rows: list[dict[str, str]] = []
    seen: dict[str, int] = {}
    for line, record in _records(Path(path)):
        where = f"{path}, line {line}"
        for field in REQUIRED:
            if not isinstance(record.get(field), str) or not record[field].strip():
                raise ValueError(f"{where}: field {field!r} must be text that is not empty, got {record.get(field)!r}")
        unknown = set(record) - set(REQUIRED) - set(OPTIONAL)
        if unknown:
            raise ValueError(f"{where}: unknown field {sorted(unknown)[0]!r}; valid: {', '.join(REQUIRED + OPTIONAL)}")
        row = {key: _text(record, key, where) for key in (*REQUIRED, "field")}
        row["aliases"] = _json_list(record, "aliases", where)
        row["facts"] = _json_list(record, "facts", where)
        row["passage_id"] = _text(record, "passage_id", where) or content_id("passage", *(row[k] for k in sorted(row)))
        if row["passage_id"] in seen:
            raise ValueError(
                f"{where}: passage_id {row['passage_id']!r} was on line {seen[row['passage_id']]} already "
                "(a passage without an id gets one by its content)"
            )
        seen[row["passage_id"]] = line
        rows.extend(_pieces(row, max_words))
    if not rows:
        raise ValueError(f"{path}: no passages")
    return pd.DataFrame(rows)[["passage_id", "title", "field", "text", "aliases", "facts"]]


def _pieces(row: dict[str, str], max_words: int | None) -> list[dict[str, str]]:
    if max_words is None or len(row["text"].split()) <= max_words:
        return [row]
    texts = named_pieces(row["title"], row["field"], row["text"], max_words)
    return [row | {"text": text, "passage_id": f"{row['passage_id']}-{i}"} for i, text in enumerate(texts)]


def topics(passages: pd.DataFrame) -> list[str]:
    """Titles that prompts can ask about, sorted: those with a `topic` fact where a corpus has such, else
    all.
    """
    marked = passages[passages["facts"].str.contains('"relation": "topic"', regex=False)]
    return sorted(set((marked if len(marked) else passages)["title"]))


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.suffix == ".jsonl":
        yield from json_objects(path, f" with {', '.join(REQUIRED)}")
    elif path.suffix == ".csv":
        reader = csv.DictReader(text_lines(path))
        try:
            for record in reader:
                if None in record:
                    raise ValueError(f"{path}, line {reader.line_num}: more cells than the header has fields")
                yield reader.line_num, {key: value for key, value in record.items() if value}
        except csv.Error as error:
            # DictReader's own count stops at the last good record.
            raise ValueError(f"{path}, line {reader.reader.line_num}: not readable as CSV: {error}") from error
    elif path.suffix == ".parquet":
        try:
            table = pd.read_parquet(path)
        except (ValueError, OSError) as error:
            raise ValueError(f"{path}: not a readable Parquet file: {error}") from error
        for number, record in enumerate(table.to_dict("records"), start=1):
            yield number, {str(key): _plain(value) for key, value in record.items() if not _is_null(value)}
    else:
        raise ValueError(f"{path}: unknown format {path.suffix!r}; valid: .jsonl, .csv, .parquet")


def _is_null(value: Any) -> bool:
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, dict):
        # In Parquet each struct has all keys: those that its writer left out are null.
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return value


def _text(record: dict[str, Any], key: str, where: str) -> str:
    value = record.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"{where}: field {key!r} must be text, got {value!r}")
    return value


def _json_list(record: dict[str, Any], key: str, where: str) -> str:
    value = record.get(key) or []
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: field {key!r} must be a JSON list: {error}") from error
    if not isinstance(value, list) or (key == "aliases" and not all(isinstance(name, str) for name in value)):
        raise ValueError(f"{where}: field {key!r} must be a list{' of names' * (key == 'aliases')}, got {value!r}")
    try:
        # Parquet has values that JSON has not, such as dates.
        text = json.dumps(value, ensure_ascii=False)
        if key == "facts":
            facts_from_json(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: field {key!r}: {error}") from error
    return text
