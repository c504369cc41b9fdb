from .filled import read_filled
from .results import annotation_results
from .sheet import blind, draw_items, sheet_csv, sheet_html

__all__ = [
    "annotation_results",
    "blind",
    "draw_items",
    "read_filled",
    "sheet_csv",
    "sheet_html",
]
