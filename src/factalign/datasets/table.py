"""Pandas tables in Parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kedro_datasets._typing import TablePreview
from kedro_datasets.pandas import ParquetDataset
from pandas.api.types import is_object_dtype

from factalign.datasets._atomic import atomic_path


class TableDataset(ParquetDataset):
    """`pandas.ParquetDataset` with saves that are all or nothing, and nested columns that come back as lists.

    Example:
        ```yaml
        responses:
          type: factalign.datasets.TableDataset
          filepath: data/02_intermediate/responses.parquet
          versioned: true
        ```
    """

    def load(self) -> pd.DataFrame:
        """The table. A key that is missing in some of a column's dicts is missing again, not None."""
        return self._read()

    def _read(self) -> pd.DataFrame:
        table = super().load.__wrapped__(self)
        for column in filter(lambda name: is_object_dtype(table[name]), table.columns):
            table[column] = pd.Series([_plain(value) for value in table[column]], index=table.index, dtype=object)
        return table

    def save(self, data: pd.DataFrame) -> None:
        """Write the whole table or nothing."""
        if self._protocol != "file":
            # Object stores publish a file when its upload ends.
            super().save.__wrapped__(self, data)
            return
        with atomic_path(Path(self._get_save_path())) as temporary:
            data.to_parquet(temporary, **self._save_args)
        self._invalidate_cache()

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows for Kedro-Viz; nested values are shown as JSON."""
        return TablePreview(self._read().head(nrows).map(_cell).to_dict(orient="split"))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return value


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
