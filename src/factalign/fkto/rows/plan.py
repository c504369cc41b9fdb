"""Which rows meet when: the order of an epoch, its mismatched pairs, and the share of every rank and micro-batch.

`Plan` decides it for the whole run; the rest is the plan in the form that `transformers.Trainer` takes data in.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Plan:
    """The whole run in advance, equal on all ranks.

    A step takes `batch_size` rows in a seeded order. They are dealt to micro-batches and ranks; how they are dealt does
    not change the gradient, because losses are normalised over the step.
    """

    prompts: Sequence[Hashable]
    batch_size: int
    micro_batch_size: int
    seed: int
    with_pairs: bool
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % (self.micro_batch_size * self.world_size):
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of micro_batch_size {self.micro_batch_size} "
                f"x {self.world_size} ranks"
            )

    @property
    def accumulation(self) -> int:
        """Micro-batches of a full step on one rank."""
        return self.batch_size // (self.micro_batch_size * self.world_size)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch; the last may hold fewer rows."""
        return -(-len(self.prompts) // self.batch_size)

    @property
    def micro_batches_per_epoch(self) -> int:
        """Micro-batches of an epoch on one rank."""
        full, rest = divmod(len(self.prompts), self.batch_size)
        return full * self.accumulation + -(-rest // (self.micro_batch_size * self.world_size))

    def micro_batches(self, epoch: int) -> Iterator[list[Item]]:
        """This rank's micro-batches of an epoch."""
        size = len(self.prompts)
        order = np.random.default_rng((self.seed, epoch, ORDER)).permutation(size).tolist()
        partners = mismatch(self.prompts, self.seed, epoch) if self.with_pairs else [None] * size
        width = self.micro_batch_size * self.world_size
        for begin in range(0, size, self.batch_size):
            step = order[begin : min(begin + self.batch_size, size)]
            for at in range(0, len(step), width):
                mine = step[at : at + width][self.rank :: self.world_size]
                yield [Item(row, partners[row]) for row in mine] or [Item(step[at], None, counts=False)]


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
