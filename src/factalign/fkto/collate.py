"""From token sequences to the tensors of one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from factalign.fkto.spans import NO_SENTENCE, TokenSequence


def model_inputs(sequences: Sequence[TokenSequence], packing: bool, pad_id: int = 0) -> dict[str, Any]:
    """What the policy's `forward` takes (see `models.install_forward`).

    Packed, the sequences stand behind each other in one row; padded, each has a row of its own, filled up on the right.

    Returns:
        `input_ids` and `position_ids` `[rows, length]`; `positions` `[n]`, where in the flattened rows the hidden state
        stands that predicts each scored token; `targets` `[n]`, the scored tokens of all sequences in turn; and
        `cu_seq_lens_q/k`, `max_length_q/k` (packed) or `attention_mask` (padded).
    """
    lengths = [len(s) for s in sequences]
    longest = max(lengths)
    if packing:
        begins = np.concatenate([[0], np.cumsum(lengths)])
        ids = np.concatenate([s.ids for s in sequences])[None]
        position = np.concatenate([np.arange(n) for n in lengths])[None]
        bounds = torch.from_numpy(begins.astype(np.int32))
        extra: dict[str, Any] = {
            "cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds, "max_length_q": longest, "max_length_k": longest,
        }  # fmt: skip
    else:
        begins = np.arange(len(sequences)) * longest
        ids = np.stack([np.pad(s.ids, (0, longest - len(s)), constant_values=pad_id) for s in sequences])
        position = np.broadcast_to(np.arange(longest), ids.shape)
        mask = np.arange(longest)[None] < np.array(lengths)[:, None]
        extra = {"attention_mask": torch.from_numpy(mask.astype(np.int64))}
    scored = [np.arange(s.start, len(s)) + begin - 1 for s, begin in zip(sequences, begins, strict=False)]
    return {
        "input_ids": torch.from_numpy(ids.astype(np.int64)),
        "position_ids": torch.from_numpy(position.astype(np.int64)),
        "positions": torch.from_numpy(np.concatenate(scored).astype(np.int64)),
        "targets": torch.from_numpy(np.concatenate([s.ids[s.start :] for s in sequences]).astype(np.int64)),
        **extra,
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
