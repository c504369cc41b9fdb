"""What a person reads at the end of a run: a table for the log and a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from factalign.analysis.benchmark import Answer, BenchmarkResult
from factalign.analysis.drift import drift_warnings
from factalign.analysis.metrics import METRICS
from factalign.analysis.pages import figure_html, render
from factalign.base.estimates import Estimate, estimates_from_json

if TYPE_CHECKING:
    import plotly.graph_objects as go

_SHOWN_CHARACTERS = 3000


def format_table(summary: Mapping[str, Any]) -> str:
    """Plain text, fixed width: the metrics of each model, then the paired differences to the base.

    A difference whose 95% interval excludes 0 is marked with `*`.
    """
    models, k = summary["models"], summary["k"]
    blocks = [_rows(models, k, "metrics")]
    heads = [["", *(model["name"] for model in models)]]
    if len(models) > 1:
        blocks.append(_rows(models[1:], k, "difference_to_base"))
        heads.append(["difference to base", *(model["name"] for model in models[1:])])
    first = max(len(row[0]) for rows in [*blocks, heads] for row in rows)
    width = max(len(cell) for rows in [*blocks, heads] for row in rows for cell in row[1:])
    lines = [
        f"Held-out benchmark: {summary['prompts']} prompts, {summary['samples_per_prompt']} samples each, "
        f"mean [95% interval over prompts], seed {summary['seed']}"
    ]
    for head, rows in zip(heads, blocks, strict=True):
        rule = "-" * (first + (len(head) - 1) * (width + 2))
        lines += [rule, *(_line(row, first, width) for row in [head, *rows])]
    if len(models) > 1:
        lines.append("* interval of the paired difference excludes 0")
    return "\n".join(lines)


def pair_examples(before: BenchmarkResult, after: BenchmarkResult) -> list[tuple[Answer, Answer]]:
    """The answers of two models to the prompts that both show."""
    return [(answer, after.answers[key]) for key, answer in before.answers.items() if key in after.answers]


def render_report(
    summary: Mapping[str, Any],
    *,
    figures: Mapping[str, go.Figure] | None = None,
    drift: pd.DataFrame | None = None,
    examples: Sequence[tuple[Answer, Answer]] = (),
    costs: Mapping[str, pd.DataFrame] | None = None,
) -> str:
    """The report as one HTML page that needs no network: plotly.js is part of it (about 4 MB, if there are
    figures).

    Args:
        summary: What `build_summary` returned.
        figures: Heading to figure, shown in this order.
        drift: What `claim_drift` returned.
        examples: Answers of the base and the last model to the same prompts.
        costs: Name of a model to the `schemas.Costs` of its benchmark.
    """
    last, k = summary["models"][-1], summary["k"]
    changes = estimates_from_json(last["difference_to_base"])
    return render(
        "report.html",
        summary=summary,
        last=last["name"],
        headline={METRICS[name].label(k): changes[name] for name in ("precision", "f1_at_k") if name in changes},
        titles={name: METRICS[name].label(k) for name in last["metrics"]},
        columns=[column for model in summary["models"] for column in _columns(model)],
        figures={
            heading: figure_html(figure, with_plotly=not index)
            for index, (heading, figure) in enumerate((figures or {}).items())
        },
        warnings=drift_warnings(summary, drift),
        drift=[] if drift is None else drift.to_dict("records"),
        examples=[
            {"prompt": _shorten(before.prompt), "answers": {"base": _shown(before), last["name"]: _shown(after)}}
            for before, after in examples
        ],
        costs=[{"policy": name, **row} for name, table in (costs or {}).items() for row in table.to_dict("records")],
    )


def _rows(models: Sequence[Mapping[str, Any]], k: int, part: str) -> list[list[str]]:
    """A row a metric: its title, then the estimate of each model."""
    is_difference = part != "metrics"
    columns = [estimates_from_json(model[part]) for model in models]
    return [
        [METRICS[name].label(k), *(_cell(column[name], is_difference) for column in columns)] for name in columns[0]
    ]


def _cell(estimate: Estimate, is_difference: bool) -> str:
    if not is_difference:
        return estimate.text()
    return estimate.text(signed=True) + ("*" if estimate.is_resolved else " ")


def _line(cells: Sequence[str], first: int, width: int) -> str:
    return (cells[0].ljust(first) + "".join(f"  {cell:>{width}}" for cell in cells[1:])).rstrip()


def _columns(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A model's columns in the table of the page; the base has no second one."""
    own, change = (estimates_from_json(model[part]) for part in ("metrics", "difference_to_base"))
    columns = [{"head": model["name"], "estimates": own, "signed": False}]
    return [*columns, {"head": "Δ to base", "estimates": change, "signed": True}] if change else columns


def _shown(answer: Answer) -> dict[str, Any]:
    """Caption, and the text in pieces, each with the verdict it is marked with ("" for none)."""
    text = _shorten(answer.text)
    pieces, position = [], 0
    for start, end, supported in answer.marks:
        if position <= start and end <= min(len(text), _SHOWN_CHARACTERS):
            verdict = "supported" if supported else "not_supported"
            pieces += [(text[position:start], ""), (text[start:end], verdict)]
            position = end
    return {"caption": answer.caption, "pieces": [*pieces, (text[position:], "")]}


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + " …"
