"""The tensors of a micro-batch, and how they are made of token sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from factalign.fkto.config import FKTOConfig
from factalign.fkto.model.trunk import StateStore
from factalign.fkto.reference import ReferenceCache, sequence_key
from factalign.fkto.rows.plan import Item
from factalign.fkto.rows.row_store import RowStore
from factalign.fkto.rows.spans import NO_SENTENCE, TokenSequence


class ModelInputs(TypedDict, total=False):
    """What the policy's `forward` takes (see `preparation.install_forward`), of one or more sequences.

    Keys:
        input_ids: `[rows, length]`.
        position_ids: `[rows, length]`.
        positions: `[n]`, where in the flattened rows the hidden state stands that predicts each scored token.
        targets: `[n]`, the scored tokens of all sequences in turn.
        attention_mask: `[rows, length]`, padded only.
        cu_seq_lens_q: `[sequences + 1]` int32, where each sequence begins, and the total; packed only.
        cu_seq_lens_k: The same.
        max_length_q: Length of the longest sequence; packed only.
        max_length_k: The same.
        trunk_states: `[rows, length, width]`, with method `layers`: what the first trained layer receives.
    """

    input_ids: Tensor
    position_ids: Tensor
    positions: Tensor
    targets: Tensor
    attention_mask: Tensor
    cu_seq_lens_q: Tensor
    cu_seq_lens_k: Tensor
    max_length_q: int
    max_length_k: int
    trunk_states: Tensor


class Side(TypedDict):
    """The rows of a micro-batch, or its mismatched pairs.

    Keys:
        inputs: What the policy takes.
        reference: `[n]`, log-probabilities of the reference, in nats, of the scored tokens of all sequences in turn.
        of_row: `[n]`, the sequence that each scored token belongs to.
        of_sentence: `[n]`, the labelled sentence that it belongs to, negative for none.
        size: The number of sequences.
        sentence_labels: `[m]`, desirable shares, of the labelled sentences of all sequences in turn.
        sentence_share: `[m]`, what each of them counts in z0: 1, or 1 / (sentences of its response).
        sentence_weights: `[m]`, the weights ω of their labels.
        sentence_counts: `[m]`, what each of them counts in the loss: ω, or ω / (sum of its response's ω).
    """

    inputs: ModelInputs
    reference: Tensor
    of_row: Tensor
    of_sentence: Tensor
    size: int
    sentence_labels: Tensor
    sentence_share: Tensor
    sentence_weights: Tensor
    sentence_counts: Tensor


class MicroBatch(TypedDict):
    """The rows of one forward and backward pass.

    Keys:
        rows: All rows.
        pairs: Their mismatched pairs; None where there are none.
        labelled: `[k]`, indices of the rows with a label.
        labels: `[k]`, their desirable shares.
        label_weights: `[k]`, what each of these labels counts.
        nll_weights: `[size]`, what each scored token of a row counts in the negative log-likelihood; 0 without a label.
        ends: Indices of the scored tokens that end a turn, of the rows that count.
        counting: Indices of the rows that do not only fill up a rank's share.
        tokens: Tokens of those.
        names: Of all rows, for messages.
    """

    rows: Side
    pairs: Side | None
    labelled: Tensor
    labels: Tensor
    label_weights: Tensor
    nll_weights: Tensor
    ends: Tensor
    counting: Tensor
    tokens: int
    names: list[str]


class StepBatch(MicroBatch):
    """A micro-batch that knows its optimizer step, over all micro-batches and ranks; its pairs are spent (None).

    Keys:
        num_labels: Scalar, the sum of the step's `label_weights`; 1 where that is 0.
        num_sentences: Scalar, the sum of its `sentence_counts`; 1 where that is 0.
        num_nll: Scalar, the sum of its tokens' `nll_weights`; 1 where that is 0.
        num_tokens: Scalar, the sum of its `tokens`.
        z0: Scalar, the reference point of responses, in the unit of r (see `losses`).
        z0_sentence: Scalar, the reference point of sentences.
    """

    num_labels: Tensor
    num_sentences: Tensor
    num_nll: Tensor
    num_tokens: Tensor
    z0: Tensor
    z0_sentence: Tensor


def model_inputs(sequences: Sequence[TokenSequence], packing: bool, pad_id: int = 0) -> ModelInputs:
    """What the policy's `forward` takes (see `preparation.install_forward`).

    Packed, the sequences stand behind each other in one row; padded, each has a row of its own, filled up on the right.
    """
    lengths = [len(s) for s in sequences]
    longest = max(lengths)
    if packing:
        begins = np.concatenate([[0], np.cumsum(lengths)])
        ids = np.concatenate([s.ids for s in sequences])[None]
        position = np.concatenate([np.arange(n) for n in lengths])[None]
        bounds = torch.from_numpy(begins.astype(np.int32))
        layout = ModelInputs(cu_seq_lens_q=bounds, cu_seq_lens_k=bounds, max_length_q=longest, max_length_k=longest)
    else:
        begins = np.arange(len(sequences)) * longest
        ids = np.stack([np.pad(s.ids, (0, longest - len(s)), constant_values=pad_id) for s in sequences])
        position = np.broadcast_to(np.arange(longest), ids.shape)
        mask = np.arange(longest)[None] < np.array(lengths)[:, None]
        layout = ModelInputs(attention_mask=torch.from_numpy(mask.astype(np.int64)))
    scored = [np.arange(s.start, len(s)) + begin - 1 for s, begin in zip(sequences, begins, strict=False)]
    return {
        "input_ids": torch.from_numpy(ids.astype(np.int64)),
        "position_ids": torch.from_numpy(position.astype(np.int64)),
        "positions": torch.from_numpy(np.concatenate(scored).astype(np.int64)),
        "targets": torch.from_numpy(np.concatenate([s.ids[s.start :] for s in sequences]).astype(np.int64)),
        **layout,
    }


def segments(sequences: Sequence[TokenSequence]) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
    """To which sequence, and to which labelled sentence, each scored token belongs.

    Returns:
        `[n]` index of the sequence; `[n]` index into the list of sentences, negative for none; the sentences of all
        sequences in turn, as (sequence, index within its row).
    """
    sentences = [(i, index) for i, s in enumerate(sequences) for index in s.sentences]
    number = {sentence: k for k, sentence in enumerate(sentences)}
    of_sequence = np.repeat(np.arange(len(sequences)), [s.num_scored for s in sequences])
    of_sentence = []
    for i, s in enumerate(sequences):
        # The last entry is looked up by NO_SENTENCE.
        table = np.full(max(s.sentences, default=-1) + 2, NO_SENTENCE, dtype=np.int64)
        for index in s.sentences:
            table[index] = number[i, index]
        of_sentence.append(table[s.sentence])
    return torch.from_numpy(of_sequence), torch.from_numpy(np.concatenate(of_sentence)), sentences


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

    def inputs(self, sequences: Sequence[TokenSequence]) -> ModelInputs:
        """What the policy's `forward` takes: `model_inputs`, and the trunk states where there is a trunk."""
        inputs = model_inputs(sequences, self._packing)
        if self._states is not None:
            states = [self._states.get(sequence_key(s)) for s in sequences]
            inputs["trunk_states"] = (
                torch.cat(states)[None] if self._packing else nn.utils.rnn.pad_sequence(states, batch_first=True)
            )
        return inputs

    def collate(self, items: Sequence[Item]) -> MicroBatch:
        """One micro-batch."""
        rows = [item.row for item in items]
        sequences = [
            s if item.counts else replace(s, sentences=(), sentence=s.sentence * 0 + NO_SENTENCE)
            for item in items
            for s in (self._store.sequences[item.row],)
        ]
        labelled = [i for i, item in enumerate(items) if item.counts and self._store.rows[item.row].label is not None]
        of_labels = [self._store.rows[rows[i]] for i in labelled]
        labels = torch.tensor([row.label for row in of_labels], dtype=torch.float32)
        weights = torch.tensor([row.weight for row in of_labels], dtype=torch.float32)
        index = torch.tensor(labelled, dtype=torch.long)
        last = np.cumsum([s.num_scored for s in sequences]) - 1
        ends = [last[i] for i, item in enumerate(items) if item.counts and sequences[i].ended]
        pairs = self._store.pairs(items)
        return {
            "rows": self._side(rows, sequences),
            "pairs": self._side([row for row, _ in pairs], [s for _, s in pairs]) if pairs else None,
            "labelled": index,
            "labels": labels,
            "label_weights": weights,
            "nll_weights": torch.zeros(len(items)).index_put((index,), labels * weights),
            "ends": torch.tensor(ends, dtype=torch.long),
            "counting": torch.tensor([i for i, item in enumerate(items) if item.counts], dtype=torch.long),
            "tokens": sum(len(self._store.sequences[item.row]) for item in items if item.counts),
            "names": [self._store.rows[row].name for row in rows],
        }

    def _side(self, rows: Sequence[int], sequences: Sequence[TokenSequence]) -> Side:
        of_row, of_sentence, sentences = segments(sequences)
        owners = [(self._store.rows[rows[i]], index) for i, index in sentences]
        weights = torch.tensor([row.sentence_weight(index) for row, index in owners])
        return {
            "inputs": self.inputs(sequences),
            "reference": torch.cat([torch.from_numpy(self._references[sequence_key(s)]) for s in sequences]),
            "of_row": of_row,
            "of_sentence": of_sentence,
            "size": len(sequences),
            "sentence_labels": torch.tensor([row.sentence_labels[index] for row, index in owners], dtype=torch.float32),
            "sentence_share": self._reduced(torch.ones(len(sentences)), sentences),
            "sentence_weights": weights,
            "sentence_counts": self._reduced(weights, sentences),
        }

    def _reduced(self, weights: Tensor, sentences: list[tuple[int, int]]) -> Tensor:
        """What sentences of these weights count in the mean; those of a response without any weight count nothing."""
        if self._reduction == "sentence" or not sentences:
            return weights
        of_row = torch.tensor([i for i, _ in sentences])
        total = torch.zeros(int(of_row[-1]) + 1).index_add(0, of_row, weights)[of_row]
        return torch.where(total > 0, weights / total, 0.0)
