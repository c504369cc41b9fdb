"""Knowledge corpora by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from factalign.base.registry import Registry

if TYPE_CHECKING:
    import pandas as pd

CORPORA: Registry[pd.DataFrame] = Registry(
    "corpus",
    {
        "factbook": "factalign.corpora.factbook.reader:load_factbook",
        "folder": "factalign.corpora.folder:load_folder",
        "none": "factalign.corpora.table:load_nothing",
        "table": "factalign.corpora.table:load_table",
    },
)
