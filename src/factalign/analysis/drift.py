"""Where a gain may come from: safe claims said everywhere, changed length, repetition, abstention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from factalign.base.estimates import Estimate, estimates_from_json
from factalign.base.text import words

TOPIC = "_"
_NOTABLE_LENGTH_CHANGE = 0.1
_NOTABLE_SHARE_CHANGE = 0.1
_PATTERN_WORDS = 40


def claim_shares(
    claims: pd.DataFrame, verdicts: pd.DataFrame, responses: pd.DataFrame, prompts: pd.DataFrame
) -> pd.Series:
    """How common each supported claim is: the share of responses that make it.

    Claims are compared by their words with the topic's name replaced by "_", so that "Chad is a sovereign
    state" and "Peru is a sovereign state" are the same pattern.

    Args:
        claims: `Claims` table of one model's benchmark.
        verdicts: `Verdicts` on these claims.
        responses: `Responses` of that model.
        prompts: The benchmark's `Prompts`.

    Returns:
        Series from pattern to share (0 to 1), most common first.
    """
    topics = responses[["response_id", "prompt_id"]].merge(prompts[["prompt_id", "topic"]], on="prompt_id")
    supported = claims.merge(verdicts.loc[verdicts["label"] == "supported", ["claim_id"]], on="claim_id")
    supported = supported.merge(topics[["response_id", "topic"]], on="response_id")
    patterns = pd.Series(
        [_pattern(text, topic) for text, topic in zip(supported["text"], supported["topic"], strict=True)],
        index=supported.index,
        dtype=object,
        name="pattern",
    )
    counts = supported["response_id"].groupby(patterns).nunique()
    shares = (counts / max(len(responses), 1)).rename("share")
    return shares.sort_index().sort_values(ascending=False, kind="stable")


def claim_drift(base: pd.Series, last: pd.Series, top: int = 10) -> pd.DataFrame:
    """The patterns most common in the last model: `pattern`, shares in `base` and `last`, `difference`."""
    table = pd.DataFrame({"last": last.head(top).astype("float64")})
    table["base"] = base.reindex(table.index).fillna(0.0).astype("float64")
    table["difference"] = table["last"] - table["base"]
    return table.rename_axis("pattern").reset_index()[["pattern", "base", "last", "difference"]]


def drift_warnings(summary: Mapping[str, Any], drift: pd.DataFrame | None = None) -> list[str]:
    """Sentences on what got worse, or merely different, from the base to the last model beside the gain.

    Only changes whose interval excludes 0 are named; length from a tenth of the base's, a claim pattern from
    a tenth of the responses.
    """
    base, last = summary["models"][0], summary["models"][-1]
    changes = estimates_from_json(last["difference_to_base"])
    found = []
    for name, bad_direction, words_for_it in (
        ("num_words", 0, "Answers changed in length"),
        ("duplicate_share", 1, "More claims are repeated within an answer"),
        ("distinct_2", -1, "Answers are more repetitive in wording"),
        ("abstention_share", 1, "More answers have nothing to check"),
        ("irrelevant_share", 1, "More claims have nothing to check"),
        ("judged_claims", -1, "Answers make fewer checkable claims"),
        ("coverage", -1, "More claims could not be judged"),
    ):
        change = changes.get(name)
        if change is None or change.value is None or not change.is_resolved or change.value * bad_direction < 0:
            continue
        before, after = (Estimate.from_json(model["metrics"][name]) for model in (base, last))
        if name == "num_words" and abs(change.value) < _NOTABLE_LENGTH_CHANGE * (before.value or 0):
            continue
        found.append(f"{words_for_it}: {before.number()} to {after.number()} ({last['name']}).")
    if drift is not None:
        notable = drift[drift["difference"] >= _NOTABLE_SHARE_CHANGE]
        for row in notable.sort_values("difference", ascending=False).head(3).to_dict("records"):
            found.append(
                f"One claim became more common: “{row['pattern']}” is in {row['base']:.0%} of the base's "
                f"answers and in {row['last']:.0%} of {last['name']}'s."
            )
    return found


def _pattern(text: str, topic: str) -> str:
    tokens = words(text)
    name = words(topic)
    kept: list[str] = []
    for token in tokens:
        kept.append(token)
        if name and kept[-len(name) :] == name:
            kept[-len(name) :] = [TOPIC]
    shortened = kept[:_PATTERN_WORDS]
    return " ".join(shortened) + (" …" if len(kept) > len(shortened) else "")
