"""What a person reads at the end of a run: a table for the log and a self-contained HTML page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from factalign.analysis.drift import drift_warnings, is_resolved
from factalign.analysis.metrics import metric
from factalign.base.text import well_formed

if TYPE_CHECKING:
    import plotly.graph_objects as go

_SHOWN_CHARACTERS = 3000


@dataclass(frozen=True)
class Answers:
    """The tables of one model's benchmark that examples are taken from."""

    responses: pd.DataFrame
    scores: pd.DataFrame
    sentences: pd.DataFrame
    sentence_scores: pd.DataFrame


@dataclass(frozen=True)
class MarkedText:
    """An answer, its score in words, and its judged sentences as (start, end, mostly supported)."""

    text: str
    caption: str
    marks: tuple[tuple[int, int, bool], ...]


@dataclass(frozen=True)
class Example:
    """One prompt and what two models answered."""

    prompt: str
    before: MarkedText
    after: MarkedText


def format_table(summary: Mapping[str, Any]) -> str:
    """Plain text, fixed width: the metrics of each model, then the paired differences to the base.

    A difference whose 95% interval excludes 0 is marked with `*`.
    """
    models, k = summary["models"], summary["k"]
    names = list(models[0]["metrics"])
    blocks = [_rows(models, names, k, "metrics")]
    heads = [["", *(model["name"] for model in models)]]
    if len(models) > 1:
        blocks.append(_rows(models[1:], names, k, "difference_to_base"))
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


def pick_examples(
    prompts: pd.DataFrame, before: Answers, after: Answers, *, seed: int, count: int = 4
) -> list[Example]:
    """First samples of both models for `count` prompts drawn at random, not chosen by their scores.

    Args:
        prompts: The benchmark's `Prompts` table.
        before: Answers of the base.
        after: Answers of the model compared with it.
        seed: Seeds the draw.
        count: Number of prompts, fewer if there are fewer.
    """
    both = prompts["prompt_id"].isin(before.responses["prompt_id"]) & prompts["prompt_id"].isin(
        after.responses["prompt_id"]
    )
    candidates = prompts[both].sort_values("prompt_id")
    chosen = np.random.default_rng(seed).permutation(len(candidates))[:count]
    return [
        Example(
            prompt=" ".join(str(m["content"]) for m in row["messages"] if m["role"] == "user"),
            before=_marked(before, row["prompt_id"]),
            after=_marked(after, row["prompt_id"]),
        )
        for row in candidates.iloc[chosen].to_dict("records")
    ]


def render_report(
    summary: Mapping[str, Any],
    *,
    figures: Mapping[str, go.Figure] | None = None,
    drift: pd.DataFrame | None = None,
    examples: Sequence[Example] = (),
) -> str:
    """The report as one HTML page that needs no network: plotly.js is part of it (about 4 MB, if there are
    figures).

    Args:
        summary: What `build_summary` returned.
        figures: Heading to figure, shown in this order.
        drift: What `claim_drift` returned.
        examples: What `pick_examples` returned. Text of models and prompts is escaped.
    """
    last = summary["models"][-1]["name"]
    parts = ["<h1>FactAlign report</h1>", _headline(summary), _html_table(summary)]
    for index, (heading, figure) in enumerate((figures or {}).items()):
        bundle = index == 0
        parts.append(f"<h2>{escape(heading)}</h2>")
        parts.append(figure.to_html(full_html=False, include_plotlyjs=bundle, config={"displaylogo": False}))
    warnings = drift_warnings(summary, drift)
    parts.append("<h2>Side effects</h2>")
    if warnings:
        items = "".join(f"<li>{escape(text)}</li>" for text in warnings)
        parts.append(f"<ul class='warnings'>{items}</ul>")
    else:
        parts.append("<p>None of the changes watched for excludes 0.</p>")
    if drift is not None and len(drift):
        parts.append(_drift_table(drift, last))
    if examples:
        parts.append(
            "<h2>Examples</h2><p class='note'>Prompts drawn at random, the first answer of each model. "
            "<mark class='yes'>Sentence</mark> with at least half of its judged claims supported, "
            "<mark class='no'>sentence</mark> with fewer; unmarked: nothing to check.</p>"
        )
        parts += [_html_example(example, last) for example in examples]
    return html_page("FactAlign report", parts)


def html_page(title: str, parts: Sequence[str]) -> str:
    """A page of `parts`, which are HTML already, in the style of all reports."""
    body = "\n".join(parts)
    return (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def _rows(models: Sequence[Mapping[str, Any]], names: Sequence[str], k: int, part: str) -> list[list[str]]:
    return [
        [metric(name).label(k), *(_cell(name, model[part][name], part != "metrics") for model in models)]
        for name in names
    ]


def _cell(name: str, estimate: Mapping[str, float | None], is_difference: bool) -> str:
    mean, low, high = _numbers(name, estimate, is_difference)
    mark = "" if not is_difference else "*" if is_resolved(estimate) else " "
    return f"{mean} [{low}, {high}]{mark}"


def _line(cells: Sequence[str], first: int, width: int) -> str:
    return (cells[0].ljust(first) + "".join(f"  {cell:>{width}}" for cell in cells[1:])).rstrip()


def _marked(answers: Answers, prompt_id: str) -> MarkedText:
    own = answers.responses[answers.responses["prompt_id"] == prompt_id].sort_values("sample_index")
    response = own.iloc[0]
    score = answers.scores.set_index("response_id").loc[response["response_id"]]
    judged = int(score["num_supported"] + score["num_not_supported"])
    sentences = answers.sentences[answers.sentences["response_id"] == response["response_id"]].merge(
        answers.sentence_scores[["sentence_id", "supported_share"]], on="sentence_id"
    )
    checked = sentences[sentences["supported_share"].notna()].sort_values("start")
    return MarkedText(
        text=response["text"],
        caption=(
            f"{int(score['num_supported'])} of {judged} judged claims supported, F1 {score['f1_at_k']:.2f}, "
            f"{int(score['num_words'])} words"
        ),
        marks=tuple((row["start"], row["end"], row["supported_share"] >= 0.5) for row in checked.to_dict("records")),
    )


def _headline(summary: Mapping[str, Any]) -> str:
    last = summary["models"][-1]
    sentences = []
    for name in ("precision", "f1_at_k"):
        change = last["difference_to_base"].get(name)
        if change:
            shown = metric(name)
            low, high = (shown.format(change[side], signed=True) for side in ("low", "high"))
            sentences.append(
                f"<b>{shown.label(summary['k'])} {shown.format(change['value'], signed=True)}</b> "
                f"(95% interval {low} to {high}{'' if is_resolved(change) else ', includes 0'})"
            )
    against = f"{escape(last['name'])} against the base: " + "; ".join(sentences) + ". " if sentences else ""
    return (
        f"<p>{against}{summary['prompts']} held-out prompts, {summary['samples_per_prompt']} samples each, "
        f"K = {summary['k']}, seed {summary['seed']}.</p>"
    )


def _html_table(summary: Mapping[str, Any]) -> str:
    models, k = summary["models"], summary["k"]
    head = "".join(
        f"<th>{escape(model['name'])}</th>" + ("<th>Δ to base</th>" if index else "")
        for index, model in enumerate(models)
    )
    rows = []
    for name in models[0]["metrics"]:
        cells = []
        for index, model in enumerate(models):
            cells.append(f"<td>{_html_cell(name, model['metrics'][name], False)}</td>")
            if index:
                change = model["difference_to_base"][name]
                style = " class='resolved'" if is_resolved(change) else ""
                cells.append(f"<td{style}>{_html_cell(name, change, True)}</td>")
        rows.append(f"<tr><th scope='row'>{escape(metric(name).label(k))}</th>{''.join(cells)}</tr>")
    return (
        f"<div class='scroll'><table><thead><tr><th></th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        "<p class='note'>Means over prompts of per-answer values, with 95% bootstrap intervals over prompts. "
        "Bold: the paired difference excludes 0. Precision leaves out answers without a judged claim.</p>"
    )


def _html_cell(name: str, estimate: Mapping[str, float | None], is_difference: bool) -> str:
    mean, low, high = _numbers(name, estimate, is_difference)
    return f"{mean} <small>[{low}, {high}]</small>"


def _numbers(name: str, estimate: Mapping[str, float | None], signed: bool) -> list[str]:
    return [metric(name).format(estimate[key], signed=signed) for key in ("value", "low", "high")]


def _drift_table(drift: pd.DataFrame, last: str) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{escape(row['pattern'])}</th><td>{row['base']:.0%}</td><td>{row['last']:.0%}</td></tr>"
        for row in drift.to_dict("records")
    )
    return (
        "<h3>Most common supported claims</h3><div class='scroll'><table>"
        "<thead><tr><th>claim (_ is the topic)</th>"
        f"<th>base</th><th>{escape(last)}</th></tr></thead><tbody>{rows}</tbody></table></div>"
        "<p class='note'>Share of answers that make the claim.</p>"
    )


def _html_example(example: Example, last: str) -> str:
    columns = "".join(
        f"<div><h4>{escape(name)}</h4><p class='note'>{escape(answer.caption)}</p>"
        f"<p dir='auto'>{_html_marked(answer)}</p></div>"
        for name, answer in (("base", example.before), (last, example.after))
    )
    heading = f"<h3 dir='auto'>{escape(_shorten(example.prompt))}</h3>"
    return f"<section>{heading}<div class='pair'>{columns}</div></section>"


def _html_marked(answer: MarkedText) -> str:
    text = _shorten(answer.text)
    parts, position = [], 0
    for start, end, supported in answer.marks:
        if position <= start and end <= min(len(text), _SHOWN_CHARACTERS):
            style, title = ("yes", "mostly supported") if supported else ("no", "mostly not supported")
            parts.append(escape(text[position:start]))
            parts.append(f"<mark class='{style}' title='{title}'>{escape(text[start:end])}</mark>")
            position = end
    return "".join(parts) + escape(text[position:])


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + " …"


def escape(text: str) -> str:
    """Untrusted text as HTML."""
    return html.escape(well_formed(text))


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; background: #fff; margin: 0; }
main { max-width: 1180px; margin: 0 auto; padding: 24px; }
h1 { font-size: 26px; margin: 0 0 8px; } h2 { font-size: 20px; margin: 32px 0 8px; }
h3 { font-size: 16px; margin: 24px 0 8px; } h4 { margin: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 0 4px 20px; text-align: right; border-bottom: 1px solid #e8ecf0; white-space: nowrap; }
th[scope=row], thead th:first-child { text-align: left; padding-left: 0; font-weight: 500; white-space:
normal; } small, .note { color: #5b6570; } .note { font-size: 13px; margin: 4px 0 8px; }
.resolved { font-weight: 700; }
.warnings li { margin: 4px 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 28px; }
.pair p { white-space: pre-wrap; overflow-wrap: anywhere; margin: 4px 0; }
mark { color: inherit; padding: 0 2px; border-bottom: 2px solid; }
mark.yes { background: #e0f0fa; border-color: #0072b2; }
mark.no { background: #fbe9dd; border-color: #d55e00; border-bottom-style: dashed; }
@media (max-width: 800px) { .pair { grid-template-columns: 1fr; } }
"""
