"""Kedro datasets whose saves are all or nothing: a killed run leaves no artifact that looks finished."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from factalign.datasets.directory import DirectoryDataset
    from factalign.datasets.figure import PlotlyDataset
    from factalign.datasets.files import JSONDataset, TextDataset
    from factalign.datasets.json_lines import JSONLinesDataset
    from factalign.datasets.table import TableDataset

_LAZY = {
    "DirectoryDataset": "factalign.datasets.directory",
    "JSONDataset": "factalign.datasets.files",
    "JSONLinesDataset": "factalign.datasets.json_lines",
    "PlotlyDataset": "factalign.datasets.figure",
    "TableDataset": "factalign.datasets.table",
    "TextDataset": "factalign.datasets.files",
}

__all__ = ["DirectoryDataset", "JSONDataset", "JSONLinesDataset", "PlotlyDataset", "TableDataset", "TextDataset"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
