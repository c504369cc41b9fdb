"""Labelled claims without a labeller: what passages say in other words is supported, what they do not say is
not.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from tqdm import tqdm

from factalign.base.ids import content_id
from factalign.base.text import stems
from factalign.corpora import GENERAL_AIDS, ReadingAids
from factalign.distillation.config import DistillationConfig
from factalign.distillation.drawing import StatementDrawer, topic_of
from factalign.distillation.perturbing import Perturber
from factalign.distillation.restating import restatements
from factalign.distillation.statements import Statement
from factalign.extraction import ClaimExtractor
from factalign.extraction.clauses import ClauseExtractor
from factalign.schemas import Passages, SyntheticClaims

# Of 100 claims: told as it is; changed in the claim and in its evidence; in the claim alone; in the evidence
# alone; the sentence taken out of the evidence; evidence from another place.
KINDS = ("faithful", "consistent", "claim", "evidence", "removed", "elsewhere")
SHARES = (30, 15, 22, 10, 11, 12)
DISTRACTORS = 3
RESTATED = 0.3  # share of claims that other passages restate or seem to, if there are so many
RESTATED_SENTENCES = 8000  # among which such are looked for
ENOUGH, ENOUGH_WITH_NUMBERS = 0.85, 0.5  # shares of a claim's words; see `may_support`
ATTEMPTS = 6  # draws per wanted claim


def synthesise_claims(
    passages: pd.DataFrame, config: DistillationConfig, aids: ReadingAids = GENERAL_AIDS
) -> pd.DataFrame:
    """A `schemas.SyntheticClaims` table: the same for the same passages and configuration.

    A sentence, labelled value or typed fact of a passage becomes a claim by rules of rewording. It is
    unsupported where one thing was changed in it (an entity, number, date, negation, direction, relation),
    where its sentence was taken out of the evidence, or where the evidence is another passage of its topic that
    shares many words. Sentences of two passages that are near to each other in the space of the encoder give
    claims in other words than their evidence: supported if it has all their names and numbers. Changes are made
    to claims and to evidence alike, and to both at once in claims that are supported, so that a claim alone
    does not give its label away.

    Args:
        passages: A `schemas.Passages` table.
        config: How many claims, and the seed.
        aids: How the corpus of the passages speaks of its topics.

    Raises:
        ValueError: The passages are of one topic only, or nothing in them can be claimed.
    """
    rng = random.Random(config.seed)
    drawer = StatementDrawer(passages, config.window_words)
    extractor = ClauseExtractor(aids)
    topics = sorted({topic_of(row) for row in drawer.rows})
    if len(topics) < 2:
        raise ValueError("distillation needs passages about at least two topics: one part calibrates, the other trains")
    rng.shuffle(topics)
    held_out = set(topics[: max(1, len(topics) * config.held_out_claims // (config.claims + config.held_out_claims))])
    perturber = Perturber(drawer.sentences())
    rows: list[tuple[Any, ...]] = []
    for split, wanted in (("train", config.claims), ("held_out", config.held_out_claims)):
        pool = [row for row in drawer.rows if (topic_of(row) in held_out) == (split == "held_out")]
        told = _restate(pool, wanted, drawer, extractor, config, rng)
        drawn = _draw(pool, wanted - len(told), drawer, extractor, perturber, rng)
        rows += [(*row, split) for row in (*told, *drawn)]
    if not rows:
        raise ValueError("distillation: the passages hold no sentence, labelled value or fact that can be claimed")
    table = pd.DataFrame(rows, columns=["topic", "text", "label", "kind", "shown", "said", "split"])
    return _with_evidence(table, drawer.windows())


def passages_from_evidence(
    evidence: Iterable[str | Sequence[str]], titles: Iterable[str] | None = None
) -> pd.DataFrame:
    """A `schemas.Passages` table of bare evidence, each text once.

    Args:
        evidence: Texts, or lists of sentences.
        titles: What each is about; by default nothing is known ("").
    """
    texts = [item if isinstance(item, str) else "\n".join(item) for item in evidence]
    named = list(titles) if titles is not None else [""] * len(texts)
    rows = {
        content_id("passage", title, text): (title, text)
        for title, text in zip(named, texts, strict=True)
        if text.strip()
    }
    table = pd.DataFrame([(key, title, "", text, "[]", "[]") for key, (title, text) in rows.items()])
    table.columns = pd.Index(["passage_id", "title", "field", "text", "aliases", "facts"])
    return Passages.validate(table)


def _draw(
    pool: list[dict[str, Any]],
    wanted: int,
    drawer: StatementDrawer,
    extractor: ClaimExtractor,
    perturber: Perturber,
    rng: random.Random,
) -> list[tuple[Any, ...]]:
    rows: dict[tuple[str, str], tuple[Any, ...]] = {}
    with tqdm(total=wanted, desc="synthetic claims", unit="claim", mininterval=5) as bar:
        for _ in range(ATTEMPTS * wanted):
            if len(rows) >= wanted or not pool:
                break
            drawn = drawer.draw(rng.choice(pool), rng)
            made = _make(*drawn, extractor, perturber, rng) if drawn else None
            if made and (made[1], made[4]) not in rows:
                rows[made[1], made[4]] = made
                bar.update()
    return list(rows.values())


def _restate(
    pool: list[dict[str, Any]],
    wanted: int,
    drawer: StatementDrawer,
    extractor: ClaimExtractor,
    config: DistillationConfig,
    rng: random.Random,
) -> list[tuple[Any, ...]]:
    """Claims of sentences that another passage says in other words, or only seems to say; both equally often."""
    sentences = [placed for row in pool for placed in drawer.placed(row)]
    rows: dict[bool, list[tuple[Any, ...]]] = {True: [], False: []}
    drawn = rng.sample(sentences, min(RESTATED_SENTENCES, len(sentences)))
    for placed, other, same in restatements(drawn, config.base_model):
        claim = Statement(placed.topic, placed.title, (placed.text,)).claim(rng.random(), extractor)
        label, kind = ("supported", "restated") if same else ("not_supported", "alike")
        rows[same].append((placed.topic, claim, label, kind, other.window, (placed.text,)))
    count = min(int(RESTATED * wanted / 2), *map(len, rows.values()))
    return [row for found in rows.values() for row in rng.sample(found, count)]


def _make(
    statement: Statement, others: list[str], extractor: ClaimExtractor, perturber: Perturber, rng: random.Random
) -> tuple[Any, ...] | None:
    """(topic, claim, label, kind, evidence, what it is made from); evidence "" is to be looked for elsewhere."""
    kind = rng.choices(KINDS, SHARES)[0]
    if kind == "removed" and statement.label:  # a value has nothing around it
        kind = "elsewhere"
    seed = rng.random()
    claim, shown, label = statement.claim(seed, extractor), statement.evidence(), "supported"
    if kind in ("consistent", "claim", "evidence"):
        found = statement.changed(perturber, others, rng)
        if found is None:
            return None
        change, other = found
        same = other.claim(seed, extractor) == claim  # the rewording left out what was changed
        if kind != "evidence":
            claim = other.claim(seed, extractor)
        if kind != "claim":
            shown = other.evidence()
        if kind != "consistent" and not same:
            label, kind = "not_supported", change
    elif kind == "removed":
        less = statement.without(rng)
        if less is None or may_support(claim, less.evidence()):
            return None
        shown, label = less.evidence(), "not_supported"
    elif kind == "elsewhere":
        shown, label = "", "not_supported"
    return statement.topic, claim, label, kind, shown, statement.parts


def _with_evidence(table: pd.DataFrame, windows: pd.DataFrame) -> pd.DataFrame:
    """Other windows of the topic beside what each claim was made from; for "elsewhere", instead of it."""
    from factalign.retrieval.bm25 import BM25Retriever

    texts = dict(zip(windows["passage_id"], windows["text"], strict=True))
    queries, count = table["text"].tolist(), DISTRACTORS + 3
    with tempfile.TemporaryDirectory() as folder:
        retriever = BM25Retriever()
        retriever.build(windows, folder)
        found = retriever.search(queries, table["topic"].tolist(), count)
        wanting = [number for number, shown in enumerate(table["shown"]) if not shown]
        far = retriever.search([queries[number] for number in wanting], [None] * len(wanting), count)
    for number, hits in zip(wanting, far, strict=True):
        found[number] += hits
    evidence = []
    for claim, shown, said, hits in zip(queries, table["shown"], table["said"], found, strict=True):
        others = dict.fromkeys(texts[hit.passage_id] for hit in hits)
        others = {text: None for text in others if not any(part in text for part in said)}
        apart = [text for text in others if not may_support(claim, text)]
        evidence.append(([shown] if shown else []) + apart[:DISTRACTORS])
    table["evidence"] = pd.Series(evidence, dtype=object)
    table = table[table["evidence"].map(len) > 0].drop(columns=["shown", "said"])
    keys = table[["text", "label", "evidence"]].to_numpy().tolist()
    table.insert(0, "claim_id", [content_id("synthetic", *key) for key in keys])
    return SyntheticClaims.validate(table.drop_duplicates("claim_id").reset_index(drop=True))


def may_support(claim: str, evidence: str) -> bool:
    """Whether evidence has so many words of a claim, or all its numbers and many words, that it might support it."""
    words, known = set(stems(claim)), set(stems(evidence))
    share = len(words & known) / max(len(words), 1)
    numbers = {word for word in words if word[0].isdigit()}
    return share >= ENOUGH or (bool(numbers) and numbers <= known and share >= ENOUGH_WITH_NUMBERS)
