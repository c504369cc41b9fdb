"""The rows of a run as token sequences, and their mismatched pairs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from factalign.base.records import RecordError
from factalign.fkto.config import FKTOConfig
from factalign.fkto.rows.data import Row
from factalign.fkto.rows.plan import Item, Plan, TokenBudget
from factalign.fkto.rows.spans import SpanEncoder, TokenSequence

logger = logging.getLogger(__name__)

NAMED = 3
"""How many rows a log names, of those that have the same trouble."""


class RowStore:
    """Encodes all rows at once, and mismatched pairs when they are asked for.

    Args:
        rows: The data; rows that `max_length` leaves no completion, that have no label left or that cannot be encoded
            are left out.
        encoder: Turns them into tokens.
        max_bad: The share of rows that may be impossible to encode, themselves or one of their sentences.

    Attributes:
        rows: `[n]`, the rows that are kept; indices elsewhere point here.
        sequences: `[n]`, their tokens.
        counts: How many rows, labels, sentences and tokens there are, and what was left out.

    Raises:
        ValueError: No row is left.
        RecordError: More rows than `max_bad` cannot be encoded; the message is that of the first.
    """

    def __init__(self, rows: Sequence[Row], encoder: SpanEncoder, max_bad: float = 0.0) -> None:
        self._encoder = encoder
        self._pairs: dict[tuple[int, int], TokenSequence] = {}
        encoded, unusable, problems = [], 0, []
        for row in rows:
            try:
                sequence = encoder.encode(row)
            except RecordError as error:
                unusable += 1
                problems.append(str(error))
                continue
            encoded.append((row, sequence))
            if sequence.tokenless:
                begin, end = row.spans[sequence.tokenless[0]]
                problems.append(
                    f"{row.name}, sentence {sequence.tokenless[0]}: the tokenizer gives "
                    f"{row.completion[begin:end]!r:.80} no token of its own"
                )
        if len(problems) > max_bad * len(rows):
            raise RecordError(
                f"{problems[0]} ({len(problems)} of {len(rows)} rows cannot be trained on as they are; max_bad_rows "
                f"allows a share of {max_bad})"
            )
        for problem in problems[:NAMED]:
            logger.warning("%s; left out (%d such rows)", problem, len(problems))
        kept = [(row, s) for row, s in encoded if s.num_scored and (row.label is not None or s.sentences)]
        for row, s in encoded:
            if not s.num_scored:
                logger.warning("%s: prompt takes all %d tokens of max_length, row left out", row.name, len(s))
        if not kept:
            raise ValueError(f"none of the {len(rows)} rows has a label and a completion within max_length")
        self.rows = [row for row, _ in kept]
        self.sequences = [s for _, s in kept]
        self.counts = {
            "rows": len(kept),
            "rows_left_out": len(rows) - len(kept),
            "rows_unusable": unusable,
            "rows_truncated": sum(s.truncated for s in self.sequences),
            "response_labels": sum(row.label is not None for row in self.rows),
            "sentences": sum(len(s.sentences) for s in self.sequences),
            "sentences_cut_off": sum(len(r.spans) - len(s.sentences) - len(s.tokenless) for r, s in kept),
            "sentences_without_tokens": sum(len(s.tokenless) for _, s in encoded),
            "tokens": sum(len(s) for s in self.sequences),
        }

    @property
    def labels(self) -> list[tuple[float, float]]:
        """(label, weight) of all responses that have a label."""
        return [(row.label, row.weight) for row in self.rows if row.label is not None]

    @property
    def sentence_labels(self) -> list[tuple[float, float]]:
        """(label, weight) of all sentences that have their tokens."""
        return [
            (row.sentence_labels[i], row.sentence_weight(i))
            for row, s in zip(self.rows, self.sequences, strict=True)
            for i in s.sentences
        ]

    def plan(self, config: FKTOConfig, seed: int, rank: int = 0, world_size: int = 1) -> Plan:
        """The plan of these rows for one rank."""
        budget = None
        if config.micro_batch_tokens is not None:
            steps_per_epoch = -(-len(self.rows) // config.batch_size)
            epochs = -(-config.max_steps // steps_per_epoch) if config.max_steps else config.epochs
            lengths = [len(s) for s in self.sequences]
            budget = TokenBudget(config.micro_batch_tokens, lengths, not config.packing, epochs)
        return Plan(
            prompts=[row.prompt for row in self.rows],
            batch_size=config.batch_size,
            micro_batch_size=config.micro_batch_size,
            seed=seed,
            with_pairs=config.uses_kl,
            rank=rank,
            world_size=world_size,
            budget=budget,
        )

    def pair(self, partner: int, row: int) -> TokenSequence:
        """The mismatched pair: the prompt of `partner` before the completion of `row`."""
        if (partner, row) not in self._pairs:
            self._pairs[partner, row] = self._encoder.encode(self.rows[row], self.rows[partner].prompt)
        return self._pairs[partner, row]

    def pairs(self, items: Iterable[Item]) -> list[tuple[int, TokenSequence]]:
        """The (row, mismatched pair) of those `items` that have one with scored tokens."""
        pairs = [(item.row, self.pair(item.partner, item.row)) for item in items if item.partner is not None]
        return [(row, s) for row, s in pairs if s.num_scored]
