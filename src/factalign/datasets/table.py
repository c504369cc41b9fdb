"""Pandas tables in Parquet."""

from __future__ import annotations

import pandas as pd
from kedro_datasets._typing import TablePreview
from kedro_datasets.pandas import ParquetDataset
from pandas.api.types import is_object_dtype

from factalign.base.records import plain
from factalign.datasets._atomic import AtomicSave
from factalign.datasets._preview import cell


class TableDataset(AtomicSave, ParquetDataset):
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
            table[column] = pd.Series([plain(value) for value in table[column]], index=table.index, dtype=object)
        return table

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows for Kedro-Viz; nested values are shown as JSON."""
        return TablePreview(self._read().head(nrows).map(cell).to_dict(orient="split"))
