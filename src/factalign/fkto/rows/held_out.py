"""Rows that are judged while others are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from factalign.fkto.config import FKTOConfig
from factalign.fkto.precompute import sequences_of_steps
from factalign.fkto.reference import ReferenceCache
from factalign.fkto.rows.batches import Batches, MicroBatch
from factalign.fkto.rows.data import Row
from factalign.fkto.rows.plan import Plan
from factalign.fkto.rows.row_store import RowStore
from factalign.fkto.rows.spans import SpanEncoder


class HeldOut:
    """Evaluation rows with mismatched pairs of their own, the same in every evaluation.

    Args:
        rows: The data.
        encoder: Turns them into tokens.
        references: Holds their references when they are judged.
        config: Layout and reduction.
        plan: How the rows of training are dealt to ranks and micro-batches; these are dealt likewise.

    Attributes:
        rows: The rows that are kept.
        batches: Makes their tensors; the whole model runs, no trunk states are kept.
        sequences: Rows and mismatched pairs of this rank, by key.
    """

    def __init__(
        self, rows: Sequence[Row], encoder: SpanEncoder, references: ReferenceCache, config: FKTOConfig, plan: Plan
    ) -> None:
        store = RowStore(rows, encoder, config.max_bad_rows)
        self.rows = store.rows
        budget = plan.budget and plan.budget._replace(lengths=[len(s) for s in store.sequences], epochs=1)
        self._plan = replace(plan, prompts=[row.prompt for row in store.rows], budget=budget)
        self.batches = Batches(store, references, None, config)
        self.sequences = sequences_of_steps(store, self._plan, self._plan.steps_per_epoch)

    def micro_batches(self) -> list[MicroBatch]:
        """All of this rank; every rank has as many."""
        return [self.batches.collate(items) for items in self._plan.micro_batches(0)]
