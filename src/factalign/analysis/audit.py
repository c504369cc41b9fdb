"""What a person reads about an audit of verifiers and claim extractors: a table, a figure, a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from factalign.analysis.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, reliability_axes, reliability_line, style
from factalign.analysis.pages import figure_html, render
from factalign.base.estimates import Estimate, estimates_from_json

if TYPE_CHECKING:
    import plotly.graph_objects as go

Table = Mapping[str, Any]
TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "auroc": "AUROC",
    "f1_supported": "F1 supported",
    "precision_supported": "Precision supported",
    "recall_supported": "Recall supported",
    "precision_not_supported": "Precision not supported",
    "recall_not_supported": "Recall not supported",
    "youden_j": "Youden's J",
    "ece": "Calibration error",
    "kappa": "Cohen's κ",
    "coverage": "Coverage",
}
FACT_TITLES = {
    "recall": "Recall of facts",
    "precision": "Precision of facts",
    "f1": "F1",
    "similarity": "Similarity",
    "claims_per_sentence": "Claims per sentence",
    "facts_per_sentence": "Facts per sentence",
}
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY)
_NAMES = {"supported": "supported", "not_supported": "not supported", "irrelevant": "irrelevant", "failed": "failed"}


def format_audit(table: Table) -> str:
    """Plain text for the log: the metrics of each verifier on each labelled set."""
    lines: list[str] = []
    for name, about in table["sets"].items():
        lines.append(f"{name}: {about['claims']} claims in {about['groups']} groups")
        results = _of(table["results"], name)
        width = max(len(result["verifier_id"]) for result in results)
        for metric, title in TITLES.items():
            cells = [f"{Estimate.from_json(result['metrics'][metric]).text():>{max(width, 20)}}" for result in results]
            lines.append(f"  {title:<24}{'  '.join(cells)}")
        lines.insert(-len(TITLES), " " * 26 + "  ".join(f"{r['verifier_id']:>{max(width, 20)}}" for r in results))
    return "\n".join(lines)


def render_audit(table: Table, extraction: Sequence[Table], figure: go.Figure) -> str:
    """The audit as one HTML page that needs no network (plotly.js is part of it, about 4 MB).

    Args:
        table: What `audit.audit_table` gave.
        extraction: For each file and extractor `set`, `extractor` and `metrics`, those of `audit.extraction_agreement`
            as JSON.
        figure: What `audit_figure` gave.
    """
    return render(
        "audit.html",
        resamples=table["resamples"],
        titles=TITLES,
        fact_titles=FACT_TITLES,
        sets={
            name: {
                **about,
                "labels": _counts(about["labels"]),
                "left_out": _counts(about["left_out"]),
                "verifiers": [_column(row["verifier_id"], row) for row in _of(table["results"], name)],
                "differences": [
                    _column(f"{row['first']} − {row['second']}", row, signed=True)
                    for row in _of(table["differences"], name)
                ],
            }
            for name, about in table["sets"].items()
        },
        figure=figure_html(figure, with_plotly=True),
        extractors={
            name: [_column(row["extractor"], row) for row in _of(extraction, name)]
            for name in dict.fromkeys(row["set"] for row in extraction)
        },
    )


def audit_figure(table: Table) -> go.Figure:
    """A row for each labelled set: reliability of all verifiers, then the confusion of each."""
    from plotly.subplots import make_subplots

    sets = list(table["sets"])
    verifiers = list(dict.fromkeys(result["verifier_id"] for result in table["results"]))
    colours = {verifier: _COLOURS[index % len(_COLOURS)] for index, verifier in enumerate(verifiers)}
    heads = ["<br>".join(wrap(part, 28)) for part in ("reliability", *verifiers)]
    titles = [f"<b>{head}</b><br>{name}" for name in sets for head in heads]
    figure = make_subplots(
        rows=len(sets), cols=1 + len(verifiers), subplot_titles=titles, vertical_spacing=0.3 / len(sets)
    )
    for row, name in enumerate(sets, start=1):
        reliability_axes(figure, row, 1, confidence="confidence", accuracy="share right")
        for result in _of(table["results"], name):
            verifier = result["verifier_id"]
            line = reliability_line(
                *([each[key] for each in result["reliability"]] for key in ("confidence", "accuracy", "claims")),
                name=verifier,
                colour=colours[verifier],
                hover="confidence %{x:.2f}, right %{y:.2f}, %{customdata} claims",
            )
            figure.add_trace(line.update(showlegend=row == 1), row=row, col=1)
            column = 2 + verifiers.index(verifier)
            figure.add_trace(_confusion(result["confusion"]), row=row, col=column)
            figure.update_yaxes(autorange="reversed", row=row, col=column)
    subtitle = (
        "Left: of claims with that confidence, how many were right; marker size: claims. Right: given label by verdict."
    )
    style(figure, title="Audit of verifiers", subtitle=subtitle, height=380 * len(sets) + 130)
    return figure


def _confusion(counts: Mapping[str, Mapping[str, int]]) -> go.Heatmap:
    """Shares of each given label, with counts written in."""
    import plotly.graph_objects as go

    rows = [list(row.values()) for row in counts.values()]
    found = [_NAMES[label] for label in next(iter(counts.values()))]
    return go.Heatmap(
        x=found,
        y=[_NAMES[label] for label in counts],
        z=[[count / max(sum(row), 1) for count in row] for row in rows],
        text=rows,
        texttemplate="%{text}",
        zmin=0,
        zmax=1,
        colorscale=[[0, "white"], [1, BLUE]],
        showscale=False,
        hovertemplate="given %{y}, found %{x}: %{text} claims, %{z:.0%}<extra></extra>",
    )


def _of(rows: Sequence[Table], name: str) -> list[Table]:
    return [row for row in rows if row["set"] == name]


def _counts(by_label: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {label}" for label, count in by_label.items())


def _column(head: str, row: Table, *, signed: bool = False) -> dict[str, Any]:
    return {"head": head, "estimates": estimates_from_json(row["metrics"]), "signed": signed}
