"""The annotation sheet: claims drawn from every policy, in random order, without what the policy or verifier is."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from factalign.base.ids import content_hash, content_id
from factalign.schemas import AnnotationKey, SheetItems

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def draw_items(
    policy: str,
    tables: Mapping[str, pd.DataFrame],
    *,
    number: int,
    passages: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The `schemas.AnnotationKey` of all distinct claims of a policy, and the `schemas.SheetItems` of those drawn.

    Each verdict gets a share of the sheet that is proportional to the square root of its claims (Bankier 1988, "Power
    allocations"), so that rare verdicts are read often enough to be corrected. Whether a claim is drawn depends on a
    hash of it, and a larger `number` keeps what a smaller one drew.

    Args:
        policy: Its name.
        tables: `prompts`, `responses`, `sentences`, `claims`, `evidence`, `verdicts` and `passages` of its benchmark,
            as in `schemas`. Claims that repeat another one of their response are left out.
        number: How many claims to draw, all if there are fewer.
        passages: How many passages to show with a claim, at most.
        seed: Of the draw and the order.
    """
    key = _all_claims(policy, tables, seed)
    sizes = key["verdict"].value_counts().sort_index()
    shares = dict(zip(sizes.index, allocate(sizes.tolist(), number), strict=True))
    rank = key.groupby("verdict").cumcount()
    key["drawn"] = rank < key["verdict"].map(shares).astype(int)
    drawn = key.loc[key["drawn"], ["item_id", "claim_id"]]
    return AnnotationKey.validate(key), _items(drawn, tables, passages)


def allocate(sizes: Sequence[int], number: int) -> list[int]:
    """`number` divided over strata by the square roots of their `sizes`, no stratum getting more than it has."""
    room = np.asarray(sizes, dtype="float64")
    given = np.zeros(len(room), dtype=int)
    # One by one to the stratum furthest below its share: divisors as in Webster's method, so more never takes away.
    for _ in range(min(number, int(room.sum()))):
        claim_to_next = np.where(given < room, np.sqrt(room) / (given + 0.5), -1.0)
        given[int(claim_to_next.argmax())] += 1
    return [int(count) for count in given]


def blind(items: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The `SheetItems` of all policies, shuffled."""
    sheet = pd.concat(items, ignore_index=True)
    order = sheet["item_id"].map(lambda item: content_hash("order", item)).sort_values().index
    return SheetItems.validate(sheet.loc[order].reset_index(drop=True))


def sheet_id(sheet: pd.DataFrame) -> str:
    """The id of a sheet's content."""
    return content_id("sheet", sheet.to_dict("records"))


def sheet_csv(sheet: pd.DataFrame) -> str:
    """The sheet as CSV with an empty column `label` to fill; no cell can start a formula in a spreadsheet."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["item_id", "label", "claim", "sentence", "prompt", "evidence"])
    for row in sheet.to_dict("records"):
        evidence = "\n\n".join(f"{each['title']}: {each['text']}" for each in row["evidence"])
        texts = (row["claim"], row["sentence"], row["prompt"], evidence)
        writer.writerow([row["item_id"], "", *(f"'{text}" if text.startswith(_FORMULA) else text for text in texts)])
    return file.getvalue()


def sheet_html(sheet: pd.DataFrame) -> str:
    """The sheet as one HTML page that loads nothing: keys 1 to 4 label a claim, a button saves the labels as CSV."""
    from factalign.analysis import render_sheet
    from factalign.annotation.labels import KEYS, WORDS

    choices = [(key, label, WORDS[label]) for key, label in KEYS.items()]
    return render_sheet(sheet, sheet_id=sheet_id(sheet), choices=choices)


def _all_claims(policy: str, tables: Mapping[str, pd.DataFrame], seed: int) -> pd.DataFrame:
    """All distinct claims in random order; claims about one topic (or, without one, one prompt) are a group."""
    prompts, responses, claims = tables["prompts"], tables["responses"], tables["claims"]
    group = prompts["topic"].where(prompts["topic"] != "", prompts["prompt_id"])
    by_prompt = responses["prompt_id"].map(dict(zip(prompts["prompt_id"], group, strict=True)))
    by_response = dict(zip(responses["response_id"], by_prompt, strict=True))
    verdicts = tables["verdicts"].set_index("claim_id")["label"]
    distinct = claims[claims["duplicate_of"].isna()]
    key = pd.DataFrame(
        {
            "item_id": [content_id("item", seed, policy, claim_id) for claim_id in distinct["claim_id"]],
            "policy": policy,
            "claim_id": distinct["claim_id"].to_numpy(),
            "verdict": distinct["claim_id"].map(verdicts).to_numpy(),
            "group": distinct["response_id"].map(by_response).to_numpy(),
        }
    )
    return key.sort_values("item_id", ignore_index=True)


def _items(drawn: pd.DataFrame, tables: Mapping[str, pd.DataFrame], shown: int) -> pd.DataFrame:
    prompts = {
        row["prompt_id"]: "\n".join(str(m["content"]) for m in row["messages"] if m["role"] == "user")
        for row in tables["prompts"].to_dict("records")
    }
    responses = dict(zip(tables["responses"]["response_id"], tables["responses"]["prompt_id"], strict=True))
    sentences = dict(zip(tables["sentences"]["sentence_id"], tables["sentences"]["text"], strict=True))
    claims = tables["claims"].set_index("claim_id").loc[drawn["claim_id"]]
    return pd.DataFrame(
        {
            "item_id": drawn["item_id"].to_numpy(),
            "prompt": [prompts[responses[response_id]] for response_id in claims["response_id"]],
            "sentence": [sentences[sentence_id] for sentence_id in claims["sentence_id"]],
            "claim": claims["text"].to_numpy(),
            "evidence": _evidence(list(claims.index), tables, shown),
        }
    )


def _evidence(claim_ids: list[str], tables: Mapping[str, pd.DataFrame], shown: int) -> list[list[dict[str, str]]]:
    """Title and text of the best `shown` passages of each claim. Which one decided is not told: it is not blind."""
    own = tables["evidence"]
    own = own[own["claim_id"].isin(claim_ids) & own["passage_id"].notna() & (own["rank"] < shown)]
    columns = (tables["passages"][name].tolist() for name in ("passage_id", "title", "text"))
    passages = {passage_id: {"title": title, "text": text} for passage_id, title, text in zip(*columns, strict=True)}
    found: dict[str, list[dict[str, str]]] = {claim_id: [] for claim_id in claim_ids}
    own = own.sort_values("rank", kind="stable")
    for claim_id, passage_id in zip(own["claim_id"], own["passage_id"], strict=True):
        found[claim_id].append(passages[passage_id])
    return list(found.values())
