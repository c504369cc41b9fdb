"""From the items of a micro-batch to its tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from factalign.fkto.collate import model_inputs, segments
from factalign.fkto.config import FKTOConfig
from factalign.fkto.pairs import Item
from factalign.fkto.reference import ReferenceCache, sequence_key
from factalign.fkto.row_store import RowStore
from factalign.fkto.spans import NO_SENTENCE, TokenSequence
from factalign.fkto.trunk import StateStore


class Batches:
    """Puts rows, their mismatched pairs, references and trunk states together.

    Args:
        store: The rows.
        references: Holds the reference of every sequence by the time `collate` meets it.
        states: Holds the trunk states likewise; None: the whole model runs.
        config: Layout and reduction.
    """

    def __init__(
        self, store: RowStore, references: ReferenceCache, states: StateStore | None, config: FKTOConfig
    ) -> None:
        self._store = store
        self._references = references
        self._states = states
        self._packing = config.packing
        self._reduction = config.sentence_reduction

    def inputs(self, sequences: Sequence[TokenSequence]) -> dict[str, Any]:
        """What the policy's `forward` takes: `collate.model_inputs`, and `trunk_states` `[rows, length, width]`."""
        inputs = model_inputs(sequences, self._packing)
        if self._states is not None:
            states = [self._states.get(sequence_key(s)) for s in sequences]
            inputs["trunk_states"] = (
                torch.cat(states)[None] if self._packing else nn.utils.rnn.pad_sequence(states, batch_first=True)
            )
        return inputs

    def collate(self, items: Sequence[Item]) -> dict[str, Any]:
        """One micro-batch.

        Returns:
            `rows` and `pairs`, the sides (see `_side`; `pairs` is None where there are none); `labelled` `[k]`, indices
            of the rows with a label, and `labels` `[k]` bool; `counting`, indices of the rows that do not only fill up
            a rank's share; `tokens`, their tokens; `names` of all rows.
        """
        rows = [item.row for item in items]
        sequences = [
            s if item.counts else replace(s, sentences=(), sentence=s.sentence * 0 + NO_SENTENCE)
            for item in items
            for s in (self._store.sequences[item.row],)
        ]
        labels = [self._store.rows[item.row].label if item.counts else None for item in items]
        pairs = self._store.pairs(items)
        return {
            "rows": self._side(rows, sequences),
            "pairs": self._side([row for row, _ in pairs], [s for _, s in pairs]) if pairs else None,
            "labelled": torch.tensor([i for i, label in enumerate(labels) if label is not None], dtype=torch.long),
            "labels": torch.tensor([label for label in labels if label is not None], dtype=torch.bool),
            "counting": torch.tensor([i for i, item in enumerate(items) if item.counts], dtype=torch.long),
            "tokens": sum(len(self._store.sequences[item.row]) for item in items if item.counts),
            "names": [self._store.rows[row].name for row in rows],
        }

    def _side(self, rows: Sequence[int], sequences: Sequence[TokenSequence]) -> dict[str, Any]:
        """Tensors of a micro-batch's rows, or of its mismatched pairs.

        Returns:
            `inputs` of the policy; `reference` `[n]`, in nats, of the scored tokens of all sequences in turn;
            `of_row` and `of_sentence` `[n]` (see `collate.segments`); `size`, the number of sequences; `longest`, in
            tokens; `sentence_labels` `[m]` bool and `sentence_share` `[m]`.
        """
        of_row, of_sentence, sentences = segments(sequences)
        return {
            "inputs": self.inputs(sequences),
            "reference": torch.cat([torch.from_numpy(self._references[sequence_key(s)]) for s in sequences]),
            "of_row": of_row,
            "of_sentence": of_sentence,
            "size": len(sequences),
            "longest": max(len(s) for s in sequences),
            "sentence_labels": torch.tensor(
                [self._store.rows[rows[i]].sentence_labels[index] for i, index in sentences], dtype=torch.bool
            ),
            "sentence_share": self._sentence_shares(sequences, sentences),
        }

    def _sentence_shares(self, sequences: Sequence[TokenSequence], sentences: list[tuple[int, int]]) -> Tensor:
        """What each sentence counts in the mean: 1, or 1 / (sentences of its response)."""
        if self._reduction == "sentence":
            return torch.ones(len(sentences))
        return torch.tensor([1.0 / len(sequences[i].sentences) for i, _ in sentences])
