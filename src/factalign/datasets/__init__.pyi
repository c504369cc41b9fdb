from .directory import DirectoryDataset
from .figure import PlotlyDataset
from .files import JSONDataset, TextDataset
from .json_lines import JSONLinesDataset
from .policy import PolicyDataset
from .table import TableDataset

__all__ = [
    "DirectoryDataset",
    "JSONDataset",
    "JSONLinesDataset",
    "PlotlyDataset",
    "PolicyDataset",
    "TableDataset",
    "TextDataset",
]
