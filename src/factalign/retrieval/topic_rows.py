"""The order of an index: a topic's passages lie side by side, so that a search within a topic is a range of rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from factalign.base.text import fold

_FILE = "titles.parquet"


class TopicRows:
    """Rows of a saved index by topic.

    Args:
        directory: Where `save_rows` was called.
        kind: Name of the retriever, for the message.

    Raises:
        ValueError: `directory` holds no finished index.
    """

    def __init__(self, directory: str | Path, kind: str) -> None:
        path = Path(directory) / _FILE
        if not path.is_file():
            raise ValueError(f"{directory}: no {kind} index here ({_FILE} is missing); build it first")
        table = pd.read_parquet(path)
        self.passage_ids: list[str] = table["passage_id"].tolist()
        titles = table["title"].to_numpy(dtype=object)
        starts = np.flatnonzero(np.r_[True, titles[1:] != titles[:-1]]).tolist()
        self._ranges = dict(zip(titles[starts], zip(starts, [*starts[1:], len(titles)], strict=True), strict=True))
        self._titles = _titles_by_name(titles[starts].tolist(), table["aliases"].iloc[starts].tolist())

    def title(self, topic: str) -> str:
        """The title that `topic` names; "" if it is unknown."""
        return self._titles.get(fold(topic), "")

    def range(self, topic: str | None) -> tuple[int, int]:
        """First row and end of `topic`'s passages: everything for None, nothing for an unknown topic."""
        if topic is None:
            return 0, len(self.passage_ids)
        return self._ranges.get(self.title(topic), (0, 0))


def in_topic_order(passages: pd.DataFrame) -> pd.DataFrame:
    """`passages` with those of a title side by side, else in the order of the table."""
    return passages.sort_values("title", kind="stable")


def save_rows(ordered: pd.DataFrame, directory: str | Path) -> None:
    """Save what `TopicRows` reads; call it last, since it marks the index as finished."""
    ordered[["passage_id", "title", "aliases"]].to_parquet(Path(directory) / _FILE, index=False)


def _titles_by_name(titles: Sequence[str], aliases: Sequence[str]) -> dict[str, str]:
    """Folded title or alias -> title; an alias that several titles share belongs to none of them."""
    names = {fold(title): title for title in titles}
    shared: dict[str, set[str]] = {}
    for title, listed in dict(zip(titles, aliases, strict=True)).items():
        for alias in json.loads(listed or "[]"):
            shared.setdefault(fold(alias), set()).add(title)
    return {**{alias: next(iter(owners)) for alias, owners in shared.items() if len(owners) == 1}, **names}
