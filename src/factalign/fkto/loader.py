"""The plan as a data loader."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import DataLoader, Dataset

from factalign.fkto.pairs import Item, Plan


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
