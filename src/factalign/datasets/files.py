"""JSON and text files."""

from __future__ import annotations

import kedro_datasets.json
import kedro_datasets.text

from factalign.datasets._atomic import AtomicSave


class JSONDataset(AtomicSave, kedro_datasets.json.JSONDataset):
    """`json.JSONDataset` with saves that are all or nothing.

    Example:
        ```yaml
        summary:
          type: factalign.datasets.JSONDataset
          filepath: data/08_reporting/summary.json
        ```
    """


class TextDataset(AtomicSave, kedro_datasets.text.TextDataset):
    """`text.TextDataset` with saves that are all or nothing.

    Example:
        ```yaml
        report:
          type: factalign.datasets.TextDataset
          filepath: data/08_reporting/report.html
        ```
    """
