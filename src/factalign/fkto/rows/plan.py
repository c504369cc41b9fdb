"""Which rows meet when: the order of an epoch, its mismatched pairs, and the share of every rank and micro-batch.

`Plan` decides it for the whole run; the rest is the plan in the form that `transformers.Trainer` takes data in.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import NamedTuple

import numpy as np
from torch.utils.data import DataLoader, Dataset

ORDER, PAIRS = 0, 1


class Item(NamedTuple):
    """One row in one step.

    Attributes:
        row: Index of the row.
        partner: Index of the row whose prompt precedes this completion in the mismatched pair; None: no pair.
        counts: False for a row that only fills up a rank's share, so that all ranks take as many passes.
    """

    row: int
    partner: int | None
    counts: bool = True


def mismatch(prompts: Sequence[Hashable], seed: int, epoch: int) -> list[int | None]:
    """For every completion the row whose prompt it is put after, never a row with an equal prompt.

    The result is a permutation (each prompt is used once) unless more than half of the rows share one prompt; then
    partners are drawn with replacement. Without any second prompt there are no pairs: all entries are None.

    Args:
        prompts: `[n]`, the prompt of each row.
        seed: Seed of the run.
        epoch: Every epoch gets its own pairs.
    """
    rng = np.random.default_rng((seed, epoch, PAIRS))
    codes: dict[Hashable, int] = {}
    group = np.array([codes.setdefault(prompt, len(codes)) for prompt in prompts])
    size = len(group)
    if len(codes) < 2:
        return [None] * size
    largest = int(np.bincount(group).max())
    if 2 * largest > size:
        others = {code: np.flatnonzero(group != code) for code in range(len(codes))}
        return [int(rng.choice(others[code])) for code in group]
    partner = rng.permutation(size)
    for i in np.flatnonzero(group[partner] == group):
        for j in rng.integers(size, size=100):
            if group[partner[j]] != group[i] and group[partner[i]] != group[j]:
                partner[i], partner[j] = partner[j], partner[i]
                break
        else:
            # Equal prompts side by side: shifting by the longest run leaves every run.
            ranked = np.lexsort((rng.random(size), rng.permutation(len(codes))[group]))
            partner[ranked] = np.roll(ranked, largest)
            break
    return [int(j) for j in partner]


class TokenBudget(NamedTuple):
    """How many tokens a pass may have, and what decides how many passes that takes.

    Attributes:
        tokens: Tokens of a micro-batch of more than one row, its padding included.
        lengths: `[n]`, the tokens of each row.
        padded: Whether each row of a micro-batch takes as much room as its longest one.
        epochs: Epochs of the run, whose steps all take as many passes.
    """

    tokens: int
    lengths: Sequence[int]
    padded: bool
    epochs: int

    def size(self, rows: Sequence[int]) -> int:
        """The tokens of `rows` in one micro-batch."""
        lengths = [self.lengths[row] for row in rows]
        return len(rows) * max(lengths, default=0) if self.padded else sum(lengths)

    def deal(self, rows: Iterable[int], number: int) -> list[list[int]]:
        """`rows` in `number` groups of about equal size, the largest first: each row goes where that makes least."""
        groups: list[list[int]] = [[] for _ in range(number)]
        for row in sorted(rows, key=lambda row: -self.lengths[row]):
            min(groups, key=lambda group: self.size([*group, row])).append(row)
        return sorted(groups, key=self.size, reverse=True)

    def passes(self, steps: Iterable[Sequence[int]], world_size: int) -> int:
        """The least number of passes of a rank in which the rows of any of `steps` keep within the budget."""
        steps = list(steps)
        least = max(sum(min(self.lengths[row], self.tokens) for row in step) for step in steps)
        return next(
            number
            for number in count(-(-least // (self.tokens * world_size)))
            if all(
                len(group) < 2 or self.size(group) <= self.tokens
                for step in steps
                for group in self.deal(step, number * world_size)
            )
        )


@dataclass(frozen=True)
class Plan:
    """The whole run in advance, equal on all ranks.

    A step takes `batch_size` rows in a seeded order. They are dealt to micro-batches and ranks; how they are dealt does
    not change the gradient, because losses are normalised over the step. With a `budget`, micro-batches are limited by
    their tokens instead of their rows.
    """

    prompts: Sequence[Hashable]
    batch_size: int
    micro_batch_size: int
    seed: int
    with_pairs: bool
    rank: int = 0
    world_size: int = 1
    budget: TokenBudget | None = None

    def __post_init__(self) -> None:
        if self.budget is None and self.batch_size % (self.micro_batch_size * self.world_size):
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of micro_batch_size {self.micro_batch_size} "
                f"x {self.world_size} ranks"
            )

    @cached_property
    def accumulation(self) -> int:
        """Micro-batches of a full step on one rank."""
        if self.budget is None:
            return self.batch_size // (self.micro_batch_size * self.world_size)
        steps = (step for epoch in range(self.budget.epochs) for step in self.steps(epoch))
        return self.budget.passes(steps, self.world_size)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch; the last may hold fewer rows."""
        return -(-len(self.prompts) // self.batch_size)

    @cached_property
    def micro_batches_per_epoch(self) -> int:
        """Micro-batches of an epoch on one rank."""
        full, rest = divmod(len(self.prompts), self.batch_size)
        if rest and self.budget is not None:
            last = (self.steps(epoch)[-1] for epoch in range(self.budget.epochs))
            return full * self.accumulation + self.budget.passes(last, self.world_size)
        return full * self.accumulation + -(-rest // (self.micro_batch_size * self.world_size))

    def steps(self, epoch: int) -> list[list[int]]:
        """The rows of each optimizer step of an epoch, over all ranks."""
        size = len(self.prompts)
        order = np.random.default_rng((self.seed, epoch, ORDER)).permutation(size).tolist()
        return [order[begin : begin + self.batch_size] for begin in range(0, size, self.batch_size)]

    def micro_batches(self, epoch: int) -> Iterator[list[Item]]:
        """This rank's micro-batches of an epoch."""
        partners = mismatch(self.prompts, self.seed, epoch) if self.with_pairs else [None] * len(self.prompts)
        for number, step in enumerate(self.steps(epoch)):
            for shares in self._dealt(number, step):
                yield [Item(row, partners[row]) for row in shares[self.rank]] or [Item(shares[0][0], None, False)]

    def _dealt(self, number: int, step: list[int]) -> Iterator[list[list[int]]]:
        """The rows of each pass of step `number` by rank; where they do not suffice, the last ranks have none."""
        if self.budget is None:
            width = self.micro_batch_size * self.world_size
            for at in range(0, len(step), width):
                yield [step[at : at + width][rank :: self.world_size] for rank in range(self.world_size)]
            return
        passes = min(self.accumulation, self.micro_batches_per_epoch - number * self.accumulation)
        groups = self.budget.deal(step, passes * self.world_size)
        for at in range(0, len(groups), self.world_size):
            yield groups[at : at + self.world_size]


class Items(Dataset):
    """Hands the plan's items through to the collator, which knows the sequences."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, item: Item) -> Item:
        return item


class PlanSampler:
    """The plan as a batch sampler: one list of items a micro-batch."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.epoch = 0

    def __len__(self) -> int:
        return self.plan.micro_batches_per_epoch

    def __iter__(self) -> Iterator[list[Item]]:
        return self.plan.micro_batches(self.epoch)

    def set_epoch(self, epoch: int) -> None:
        """Take the order of `epoch`; called here when a resumed epoch has wrapped the sampler."""
        self.epoch = epoch


class PlanLoader(DataLoader):
    """A data loader whose order follows the epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Take the order of `epoch`."""
        self.batch_sampler.set_epoch(epoch)
