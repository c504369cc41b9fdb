"""The model card of a trained policy: what it was trained from, on what, how, and what the run's numbers do not say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard, ModelCardData

NUMBERS = {
    "loss": "loss",
    "response_loss": "loss of the response term",
    "sentence_loss": "loss of the sentence term",
    "margin": "margin of responses",
    "sentence_margin": "margin of sentences",
    "z0": "z0 of responses, nats",
    "z0_sentence": "z0 of sentences, nats",
    "reference_kl": "KL from the reference, nats a token",
    "mean_entropy": "entropy, nats a token",
}
"""Columns of a log row, and what the card calls them."""

TEMPLATE = """---
{{ card_data }}
---

# {{ title }}

{{ trained }} with fKTO (KTO on whole responses and on their sentences,
[arXiv 2410.01691](https://arxiv.org/abs/2410.01691)) from {{ origin }}, in {{ result.steps }} optimizer steps
({{ result.ended }}).{% if result.best %} The weights are those after step {{ result.best.step }}, where
`{{ result.best.metric }}` was best ({{ "%.4g" % result.best.value }}).{% endif %} Rewards are measured against the
model as it was before the first step.

## Data

| | desirable | undesirable | soft | all |
|---|---|---|---|---|
| labels of responses | {{ responses | join(" | ") }} |
| labels of sentences | {{ sentences | join(" | ") }} |

{{ result.rows }} rows of {{ result.tokens }} tokens. {{ result.rows_left_out }} more rows were left out,
{{ result.rows_unusable }} of them because their text cannot be kept. {{ result.rows_truncated }} rows were cut off at
{{ settings.max_length }} tokens, and {{ result.sentences_cut_off }} sentences with them;
{{ result.sentences_without_tokens }} sentences have no tokens of their own.

## The run's numbers

| | first log row | last log row |{% if evaluated %} evaluation |{% endif %}
|---|---|---|{% if evaluated %}---|{% endif %}
{% for line in numbers %}| {{ line | join(" | ") }} |
{% endfor %}
The log rows are of rows that were trained on{% if evaluated %}, the evaluation is of others{% endif %}. Rewards
and margins say how far the policy prefers what is labelled desirable; they say nothing about factuality, nor about
answers to other prompts. Whether this model is more factual than the one that it comes from has to be measured on its
own answers.

## Objective and settings

Seed {{ result.seed }}, {{ result.ranks }} process{{ "es" if result.ranks > 1 }};
{% for name, version in versions.items() %}{{ name }} {{ version }}{{ ", " if not loop.last }}{% endfor %}.

```yaml
{{ listed }}```
"""


def write_card(
    folder: Path,
    result: Mapping[str, Any],
    policy: str,
    settings: Mapping[str, Any],
    labels: Sequence[float],
    sentence_labels: Sequence[float],
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Write `README.md`, in the format of the Hugging Face hub, beside the weights.

    Args:
        folder: Has the weights.
        result: What `result.json` holds.
        policy: Where the trained model came from; named only if it is a name on the hub, because paths are private.
        settings: Those that decide the result.
        labels: Desirable shares of the responses.
        sentence_labels: Those of their sentences.
        history: All log rows and evaluations; the card shows the evaluation of the weights that are the result.
    """
    base = hub_name(policy)
    counts = ("rows", "response_labels", "sentences", "rows_truncated", "rows_left_out")
    data = ModelCardData(
        base_model=base,
        library_name="peft" if result["kind"] == "adapter" else "transformers",
        pipeline_tag="text-generation",
        tags=["fkto", "kto", "alignment", "factalign"],
        training_data={name: result[name] for name in counts},
    )
    steps = [row for row in history if "loss" in row] or [{}]
    evaluations = [row for row in history if "eval_loss" in row]
    if result["best"]:
        evaluations = [row for row in evaluations if row["step"] == result["best"]["step"]]
    columns = [(steps[0], ""), (steps[-1], "")] + [(row, "eval_") for row in evaluations[-1:]]
    card = ModelCard.from_template(
        data,
        template_str=TEMPLATE,
        title=f"{base.rsplit('/')[-1] if base else 'A model'}, aligned with fKTO",
        origin=f"[{base}](https://huggingface.co/{base})" if base else "a model that is not on the hub",
        trained={"lora": "A LoRA adapter, trained", "full": "All weights, trained"}.get(
            settings["method"], f"The top {settings['train_layers']} layers, trained"
        ),
        result=result,
        settings=settings,
        versions=result["versions"],
        listed=yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True),
        responses=_classes(labels),
        sentences=_classes(sentence_labels),
        evaluated=bool(evaluations),
        numbers=[
            [text, *(_number(row.get(prefix + name)) for row, prefix in columns)] for name, text in NUMBERS.items()
        ],
    )
    card.save(folder / "README.md")


def hub_name(policy: str) -> str | None:
    """`policy` if it can be a name on the hub; None for a path."""
    return policy if re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", policy) and not Path(policy).exists() else None


def _classes(labels: Sequence[float]) -> list[int]:
    """How many are desirable, undesirable, in between, and all."""
    good, bad = labels.count(1), labels.count(0)
    return [good, bad, len(labels) - good - bad, len(labels)]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
