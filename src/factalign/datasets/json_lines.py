"""Rows as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractVersionedDataset, DatasetError, Version
from kedro_datasets._typing import TablePreview

from factalign.base.records import RecordError, json_objects
from factalign.datasets._atomic import atomic_path
from factalign.datasets._preview import cell

Rows = list[dict[str, Any]]


class JSONLinesDataset(AbstractVersionedDataset[Rows, Rows]):
    """A list of JSON objects on the local filesystem, one a line, in UTF-8.

    Values keep their types: "007" stays text.

    Example:
        ```yaml
        preferences:
          type: factalign.datasets.JSONLinesDataset
          filepath: data/05_model_input/preferences.jsonl
          versioned: true
        ```
    """

    def __init__(
        self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self.metadata = metadata
        super().__init__(filepath=PurePosixPath(filepath), version=version)

    def load(self) -> Rows:
        """All rows; an error names the path and the line."""
        return list(self._read())

    def save(self, data: Rows) -> None:
        """Write all rows or nothing."""
        path = Path(self._get_save_path())
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            for number, row in enumerate(data, start=1):
                if not isinstance(row, dict):
                    raise DatasetError(f"{path}, row {number}: a row is a dict, not {type(row).__name__}")
                try:
                    file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
                except (TypeError, ValueError) as error:
                    raise DatasetError(f"{path}, row {number}: {error}") from error

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows as a table for Kedro-Viz; nested values are shown as JSON."""
        rows = list(islice(self._read(), nrows))
        columns = list(dict.fromkeys(key for row in rows for key in row))
        cells = [[cell(row.get(column)) for column in columns] for row in rows]
        return TablePreview({"index": list(range(len(rows))), "columns": columns, "data": cells})

    def _read(self) -> Iterator[dict[str, Any]]:
        try:
            yield from (dict(row) for row in json_objects(Path(self._get_load_path()), "rows"))
        except RecordError as error:
            raise DatasetError(str(error)) from error

    def _exists(self) -> bool:
        return Path(self._get_load_path()).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}
