"""Plotly figures: the metrics over the iterations, and the course of one training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from factalign.analysis.metrics import METRICS
from factalign.base.estimates import Estimate

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Okabe & Ito's palette, which stays distinct under colour blindness.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#5B6570"
_COLOURS = {"factuality": BLUE, "guard": GREY}
_PANELS = (
    "precision",
    "f1_at_k",
    "supported_claims",
    "judged_claims",
    "coverage",
    "num_words",
    "duplicate_share",
    "distinct_2",
)
_COLUMNS = 4
# Panel: title, axis, and (log key, name, colour, dash) of each line.
_TRAINING_PANELS: tuple[tuple[str, str, tuple[tuple[str, str, str, str], ...]], ...] = (
    (
        "Loss",
        "loss",
        (
            ("loss", "total", GREY, "solid"),
            ("response_loss", "responses", BLUE, "solid"),
            ("sentence_loss", "sentences", ORANGE, "dot"),
        ),
    ),
    (
        "Rewards of responses",
        "β × nats",
        (
            ("reward_desirable", "desirable", GREEN, "solid"),
            ("reward_undesirable", "undesirable", PURPLE, "dot"),
        ),
    ),
    (
        "Margin between classes",
        "β × nats",
        (("margin", "responses", BLUE, "solid"), ("sentence_margin", "sentences", ORANGE, "dot")),
    ),
    (
        "Reference point z0",
        "nats",
        (("z0", "responses", BLUE, "solid"), ("z0_sentence", "sentences", ORANGE, "dot")),
    ),
    (
        "Tokens of the rows",
        "nats",
        (
            ("mean_logp", "log-probability", BLUE, "solid"),
            ("end_logp", "of the end", ORANGE, "dot"),
            ("mean_entropy", "entropy", GREEN, "dash"),
        ),
    ),
    (
        "Distance to the reference on the rows",
        "nats a token (k3)",
        (("reference_kl", "policy", BLUE, "solid"),),
    ),
)


def metrics_figure(summary: Mapping[str, Any]) -> go.Figure:
    """Small multiples of the metrics over the iterations, with 95% intervals; the base is the dashed line.

    A filled marker means that the paired difference to the base has an interval that excludes 0.

    Args:
        summary: What `factalign.analysis.build_summary` returned.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    models = summary["models"]
    names = [model["name"] for model in models]
    panels = [name for name in _PANELS if name in models[0]["metrics"]]
    rows = -(-len(panels) // _COLUMNS)
    figure = make_subplots(
        rows=rows,
        cols=_COLUMNS,
        subplot_titles=[f"<b>{METRICS[name].label(summary['k'])}</b>" for name in panels],
        horizontal_spacing=0.07,
        vertical_spacing=0.2,
    )
    for index, name in enumerate(panels):
        row, column = index // _COLUMNS + 1, index % _COLUMNS + 1
        estimates = [Estimate.from_json(model["metrics"][name]) for model in models]
        changes = [model["difference_to_base"].get(name) for model in models]
        resolved = [change is not None and Estimate.from_json(change).is_resolved for change in changes]
        figure.add_trace(_panel_trace(names, estimates, resolved, _COLOURS[METRICS[name].role]), row=row, col=column)
        if estimates[0].value is not None:
            line = {"dash": "dash", "width": 1, "color": GREY}
            figure.add_hline(y=estimates[0].value, line=line, row=row, col=column)
        unit = "share" if estimates[0].unit == "share" else "per answer"
        figure.update_yaxes(title_text=unit, row=row, col=column, **_range(estimates))
    for role, label in (("factuality", "factuality"), ("guard", "side effects to watch")):
        figure.add_trace(
            go.Scatter(x=[None], y=[None], mode="markers", name=label, marker={"color": _COLOURS[role], "size": 10})
        )
    samples = summary["samples_per_prompt"]
    style(
        figure,
        title="Held-out benchmark over iterations",
        subtitle=f"{summary['prompts']} prompts × {samples} samples, 95% bootstrap intervals over prompts. "
        "Dashed: base. Filled marker: the paired difference to the base excludes 0.",
        height=330 * rows + 90,
    )
    return figure


def training_figure(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Loss, rewards by class, margins, reference points and the likelihood of tokens over the steps of a training.

    Args:
        rows: Rows of the training log with `step` and any of `loss`, `response_loss`, `sentence_loss`,
            `reward_desirable`, `reward_undesirable`, `margin`, `sentence_margin`, `z0`, `z0_sentence`, `mean_logp`,
            `end_logp`, `mean_entropy` and `reference_kl`; a key may be absent or None.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    steps = [row for row in rows if row.get("step") is not None]
    lines = len(_TRAINING_PANELS) // 2
    figure = make_subplots(
        rows=lines,
        cols=2,
        subplot_titles=[f"<b>{panel}</b>" for panel, _, _ in _TRAINING_PANELS],
        horizontal_spacing=0.1,
        vertical_spacing=0.4 / lines,
    )
    legends = []
    for index, (_, axis_title, series) in enumerate(_TRAINING_PANELS):
        row, column = index // 2 + 1, index % 2 + 1
        legend = "legend" if index == 0 else f"legend{index + 1}"
        for key, label, colour, dash in series:
            points = [(step["step"], step[key]) for step in steps if step.get(key) is not None]
            if points:
                x, y = zip(*points, strict=True)
                trace = go.Scatter(
                    x=x,
                    y=y,
                    name=label,
                    mode="lines+markers",
                    line={"color": colour, "width": 2, "dash": dash},
                    marker={"size": 5},
                    legend=legend,
                )
                figure.add_trace(trace, row=row, col=column)
        figure.update_yaxes(title_text=axis_title, row=row, col=column)
        figure.update_xaxes(title_text="step", row=row, col=column)
        x_domain = figure.layout[f"xaxis{index + 1 if index else ''}"].domain
        y_domain = figure.layout[f"yaxis{index + 1 if index else ''}"].domain
        # Left, so that the panel's own legend has room on the right of the same line.
        figure.layout.annotations[index].update(x=x_domain[0], xanchor="left")
        legends.append((legend, x_domain[1], y_domain[1]))
    style(figure, title="Training", subtitle=f"{len(steps)} logged steps", height=320 * lines)
    for legend, x, y in legends:
        box = {"x": x, "y": y, "xanchor": "right", "yanchor": "bottom", "orientation": "h"}
        figure.update_layout({legend: box})
    return figure


def _panel_trace(names: list[str], estimates: list[Estimate], resolved: list[bool], colour: str) -> go.Scatter:
    import plotly.graph_objects as go

    return go.Scatter(
        x=names,
        y=[estimate.value for estimate in estimates],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [_distance(estimate.high, estimate.value) for estimate in estimates],
            "arrayminus": [_distance(estimate.value, estimate.low) for estimate in estimates],
            "thickness": 1.6,
            "width": 5,
        },
        mode="lines+markers",
        line={"color": colour, "width": 1.5},
        marker={
            "size": 10,
            "color": [colour if is_resolved else "white" for is_resolved in resolved],
            "line": {"color": colour, "width": 2},
        },
        customdata=[estimate.text() for estimate in estimates],
        hovertemplate="%{x}: %{customdata}<extra></extra>",
        showlegend=False,
    )


def _range(estimates: Sequence[Estimate]) -> dict[str, Any]:
    """Axis from 0, except that shares above one half in all models are shown with room around them."""
    known = [bound for each in estimates for bound in (each.low, each.high) if bound is not None]
    if not known:
        return {}
    low, high = min(known), max(known)
    if estimates[0].unit == "share" and low > 0.5:
        room = max(high - low, 0.02) * 0.4
        return {"range": [low - room, min(high + room, 1.02)]}
    return {"range": [0, high * 1.15 or 1]}


def _distance(upper: float | None, lower: float | None) -> float:
    return 0.0 if upper is None or lower is None else max(upper - lower, 0.0)


def reliability_axes(figure: go.Figure, row: int, column: int, *, confidence: str, accuracy: str) -> None:
    """Prepare a panel for `reliability_line`s: titles of its axes, and the diagonal on which confidence is right."""
    import plotly.graph_objects as go

    ideal = go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dash", "color": GREY}, showlegend=False)
    figure.add_trace(ideal, row=row, col=column)
    figure.update_xaxes(title_text=confidence, range=[0, 1.02], row=row, col=column)
    figure.update_yaxes(title_text=accuracy, range=[0, 1.02], row=row, col=column)


def reliability_line(
    confidence: Sequence[float], accuracy: Sequence[float], cases: Sequence[int], *, name: str, colour: str, hover: str
) -> go.Scatter:
    """Bins of confidence against how many of their cases were right; markers grow with the cases.

    Args:
        confidence: Mean of each bin.
        accuracy: Share that was right.
        cases: How many there were.
        name: In the legend.
        colour: Of line and markers.
        hover: What the pointer shows, as plotly's `hovertemplate`.
    """
    import plotly.graph_objects as go

    most = max(cases, default=1)
    return go.Scatter(
        x=confidence,
        y=accuracy,
        customdata=cases,
        mode="lines+markers",
        name=name,
        legendgroup=name,
        line={"color": colour, "width": 2},
        marker={"size": [4 + 12 * (each / most) ** 0.5 for each in cases]},
        hovertemplate=hover,
    )


def style(figure: go.Figure, *, title: str, subtitle: str, height: int) -> None:
    """Give `figure` the look of all figures, with a title and a line below it; `height` in pixels."""
    figure.update_layout(
        template="plotly_white",
        title={
            "text": f"{title}<br><span style='font-size:13px;color:{GREY}'>{subtitle}</span>",
            "x": 0.01,
            "y": 0.98,
            "yanchor": "top",
        },
        font={"family": "system-ui, sans-serif", "size": 12, "color": "#1F2933"},
        height=height,
        margin={"l": 60, "r": 20, "t": 105, "b": 70},
        legend={"orientation": "h", "x": 0, "y": -0.08, "yanchor": "top"},
    )
    figure.update_xaxes(showgrid=False, linecolor="#C3CAD2", ticks="outside", tickcolor="#C3CAD2")
    figure.update_yaxes(gridcolor="#E8ECF0", zeroline=False)
