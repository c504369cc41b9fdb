"""Text files of records, with every error naming path and line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def json_objects(path: Path, needs: str = "") -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON-lines file with their line numbers, from 1; empty lines are passed over.

    Args:
        path: The file.
        needs: What an object must hold, for the message, such as " with title, text".

    Raises:
        ValueError: A line is not UTF-8, not JSON or not an object.
    """
    for number, line in enumerate(text_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise ValueError(f"{where}: must be a JSON object{needs}, got {type(record).__name__}")
        yield number, record


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a text file, with their ends and without a byte order mark.

    Raises:
        ValueError: A line is not UTF-8.
    """
    # Strict decoding works by blocks, so its error would not know the line.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.encode("utf-8")
            except UnicodeEncodeError as error:
                byte = ord(line[error.start]) - 0xDC00
                raise ValueError(f"{path}, line {number}: not text in UTF-8: byte {byte:#04x}") from error
            yield line
