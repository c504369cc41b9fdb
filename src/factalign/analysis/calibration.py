"""The reliability of calibrated probabilities, as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from factalign.analysis.figures import BLUE, GREEN, ORANGE, reliability_axes, reliability_line, style

if TYPE_CHECKING:
    import plotly.graph_objects as go

_COLOURS = {"true": BLUE, "telling": GREEN, "false": ORANGE}
_TITLES = {"claims": "from claim and evidence", "claims_in_context": "with the rest of the answers"}


def calibration_figure(report: Mapping[str, Any]) -> go.Figure:
    """A panel for each model of claims: of claims with a probability, how many are labelled so, on the dev split.

    Args:
        report: What `calibration.calibration_report` gave.
    """
    from plotly.subplots import make_subplots

    models = report["dev"]["reliability"]
    figure = make_subplots(rows=1, cols=len(models), subplot_titles=[_TITLES[name] for name in models])
    for column, labels in enumerate(models.values(), start=1):
        reliability_axes(figure, 1, column, confidence="probability", accuracy="share labelled so")
        for label, bins in labels.items():
            line = reliability_line(
                *([each[key] for each in bins] for key in ("probability", "share", "cases")),
                name=label,
                colour=_COLOURS[label],
                hover="probability %{x:.2f}, labelled so %{y:.2f}, %{customdata} claims",
            )
            figure.add_trace(line.update(showlegend=column == 1), row=1, col=column)
    style(figure, title="Calibrated verifier", subtitle="Dev topics; marker size: claims.", height=460)
    return figure
