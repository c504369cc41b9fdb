"""Kedro datasets whose saves are all or nothing: a killed run leaves no artifact that looks finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from factalign.lazy import lazy_exports

if TYPE_CHECKING:
    from factalign.datasets.directory import DirectoryDataset
    from factalign.datasets.figure import PlotlyDataset
    from factalign.datasets.files import JSONDataset, TextDataset
    from factalign.datasets.json_lines import JSONLinesDataset
    from factalign.datasets.table import TableDataset

_HOMES = {
    "DirectoryDataset": "directory",
    "JSONDataset": "files",
    "JSONLinesDataset": "json_lines",
    "PlotlyDataset": "figure",
    "TableDataset": "table",
    "TextDataset": "files",
}

__all__ = ["DirectoryDataset", "JSONDataset", "JSONLinesDataset", "PlotlyDataset", "TableDataset", "TextDataset"]

__getattr__ = lazy_exports(__name__, _HOMES)
