"""Libraries that take long to import, loaded when something of them is first used.

The nodes of the pipelines name them in annotations, which Kedro evaluates when a run begins; `kedro registry list`
needs none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects
else:
    import lazy_loader

    pd = lazy_loader.load("pandas")
    plotly = lazy_loader.load("plotly")

__all__ = ["pd", "plotly"]
