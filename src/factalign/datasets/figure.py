"""Plotly figures, in a module of their own since importing Plotly takes long."""

from __future__ import annotations

import kedro_datasets.plotly

from factalign.datasets._atomic import AtomicSave


class PlotlyDataset(AtomicSave, kedro_datasets.plotly.JSONDataset):
    """`plotly.JSONDataset` with saves that are all or nothing.

    Example:
        ```yaml
        figure:
          type: factalign.datasets.PlotlyDataset
          filepath: data/08_reporting/figure.json
          versioned: true
        ```
    """
