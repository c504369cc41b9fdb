"""The reliability of calibrated probabilities, as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from factalign.analysis.figures import BLUE, GREEN, GREY, ORANGE, style

if TYPE_CHECKING:
    import plotly.graph_objects as go

_COLOURS = {"true": BLUE, "telling": GREEN, "false": ORANGE}
_TITLES = {"claims": "from claim and evidence", "claims_in_context": "with the rest of the answers"}


def calibration_figure(report: Mapping[str, Any]) -> go.Figure:
    """A panel for each model of claims: of claims with a probability, how many are labelled so, on the dev split.

    Args:
        report: What `calibration.calibration_report` gave.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    models = report["dev"]["reliability"]
    figure = make_subplots(rows=1, cols=len(models), subplot_titles=[_TITLES[name] for name in models])
    for column, labels in enumerate(models.values(), start=1):
        ideal = go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dash", "color": GREY}, showlegend=False)
        figure.add_trace(ideal, row=1, col=column)
        figure.update_xaxes(title_text="probability", range=[0, 1.02], row=1, col=column)
        figure.update_yaxes(title_text="share labelled so", range=[0, 1.02], row=1, col=column)
        for label, bins in labels.items():
            most = max((each["cases"] for each in bins), default=1)
            line = go.Scatter(
                x=[each["probability"] for each in bins],
                y=[each["share"] for each in bins],
                customdata=[each["cases"] for each in bins],
                mode="lines+markers",
                name=label,
                legendgroup=label,
                showlegend=column == 1,
                line={"color": _COLOURS[label], "width": 2},
                marker={"size": [4 + 12 * (each["cases"] / most) ** 0.5 for each in bins]},
                hovertemplate="probability %{x:.2f}, labelled so %{y:.2f}, %{customdata} claims",
            )
            figure.add_trace(line, row=1, col=column)
    style(figure, title="Calibrated verifier", subtitle="Dev topics; marker size: claims.", height=460)
    return figure
