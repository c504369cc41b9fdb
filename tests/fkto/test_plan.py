"""The plan of a run and its mismatched pairs."""

from __future__ import annotations

import numpy as np
import pytest

from factalign.fkto.rows.plan import Item, Plan, TokenBudget, mismatch


@pytest.mark.parametrize("size", [2, 3, 5, 7, 16, 33, 101])
@pytest.mark.parametrize("prompts", [2, 3, 10, 1000])
def test_no_pair_shares_a_prompt(size: int, prompts: int) -> None:
    """FactAlign defect 4 and TRL: an odd batch pairs its middle row, a batch of 1 its only row, with itself; rows with
    equal prompts count as mismatched."""
    rows = [f"p{i % prompts}" for i in range(size)]
    for seed in range(20):
        partners = mismatch(rows, seed, 0)
        assert all(rows[j] != rows[i] for i, j in enumerate(partners))
        if 2 * max(rows.count(p) for p in rows) <= size:
            assert sorted(partners) == list(range(size))


def test_exactly_half_of_the_rows_share_a_prompt() -> None:
    rows = ["a"] * 8 + [f"b{i}" for i in range(8)]
    for seed in range(50):
        partners = mismatch(rows, seed, 0)
        assert all(rows[j] != rows[i] for i, j in enumerate(partners))
        assert sorted(partners) == list(range(16))


def test_pairs_change_with_the_epoch_and_repeat_with_the_seed() -> None:
    """FactAlign defect 4: pairs are fixed for the whole run."""
    rows = list(range(50))
    assert mismatch(rows, 1, 0) == mismatch(rows, 1, 0)
    assert mismatch(rows, 1, 0) != mismatch(rows, 1, 1)
    assert mismatch(rows, 1, 0) != mismatch(rows, 2, 0)


@pytest.mark.parametrize("size", [1, 4])
def test_one_prompt_alone_gives_no_pairs(size: int) -> None:
    assert mismatch(["same"] * size, 0, 0) == [None] * size


def plan(size: int, batch: int, micro: int, rank: int = 0, world: int = 1) -> Plan:
    return Plan([f"p{i}" for i in range(size)], batch, micro, 0, True, rank, world)


@pytest.mark.parametrize("size", [6, 7, 11, 12, 13])
@pytest.mark.parametrize(("micro", "world"), [(1, 1), (2, 1), (3, 1), (6, 1), (1, 2), (3, 2), (1, 3), (2, 3)])
def test_every_split_takes_the_same_rows_in_the_same_step(size: int, micro: int, world: int) -> None:
    reference = list(plan(size, 6, 6).micro_batches(0))
    ranks = [plan(size, 6, micro, rank, world) for rank in range(world)]
    batches = [list(p.micro_batches(0)) for p in ranks]
    assert {len(b) for b in batches} == {ranks[0].micro_batches_per_epoch}
    for step, expected in enumerate(reference):
        part = slice(step * ranks[0].accumulation, (step + 1) * ranks[0].accumulation)
        found = [item for b in batches for items in b[part] for item in items if item.counts]
        assert sorted(found) == sorted(expected)
    assert all(items for b in batches for items in b)


def test_paired_data_does_not_come_in_blocks() -> None:
    """TRL: paired data is a block of True, then a block of False, sampled in order."""
    labels = [True] * 50 + [False] * 50
    steps = [[labels[item.row] for item in items] for items in plan(100, 10, 10).micro_batches(0)]
    assert sum(0 < sum(step) < 10 for step in steps) >= 9


def test_micro_batches_of_one_row_are_fine() -> None:
    """TRL refuses a micro-batch of 1."""
    items = [item for items in plan(3, 2, 1).micro_batches(0) for item in items]
    assert {item.row for item in items} == {0, 1, 2}
    assert all(isinstance(item, Item) and item.partner not in (None, item.row) for item in items)


def test_a_batch_that_ranks_cannot_share_is_an_error() -> None:
    with pytest.raises(ValueError, match="no multiple"):
        plan(10, 6, 4)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("size", [5, 32, 37, 129])
def test_a_budget_of_tokens_takes_the_same_rows_in_the_same_step(size: int, world: int, padded: bool) -> None:
    lengths = np.random.default_rng(size).integers(10, 400, size).tolist()
    lengths[3] = 900  # longer than the budget
    budget = TokenBudget(600, lengths, padded, epochs=3)
    plans = [Plan([f"p{i}" for i in range(size)], 16, 7, 0, True, rank, world, budget) for rank in range(world)]
    accumulation = plans[0].accumulation
    for epoch in range(3):
        ranks = [list(p.micro_batches(epoch)) for p in plans]
        assert ranks == [list(p.micro_batches(epoch)) for p in plans]
        assert {len(r) for r in ranks} == {plans[0].micro_batches_per_epoch}
        passes = [[item.row for item in items] for r in ranks for items in r]
        assert all(len(rows) == 1 or budget.size(rows) <= 600 for rows in passes)
        expected = list(plan(size, 16, 16).micro_batches(epoch))
        for step, items in enumerate(expected):
            part = slice(step * accumulation, (step + 1) * accumulation)
            found = [[item for items in r[part] for item in items] for r in ranks]
            assert sorted(item for r in found for item in r if item.counts) == sorted(items)
            # Ranks are as far apart as the largest and the smallest pass, at most.
            sums = [sum(budget.size([i.row for i in items if i.counts]) for items in r[part]) for r in ranks]
            sizes = [budget.size([i.row for i in items if i.counts]) for r in ranks for items in r[part]]
            assert max(sums) - min(sums) <= max(sizes) - min(sizes)
            if len(items) == 16:
                assert all(item.counts for r in found for item in r)


def test_a_budget_of_tokens_takes_no_more_passes_than_the_largest_step_needs() -> None:
    lengths = [100] * 64
    plans = {tokens: Plan([*range(64)], 16, 1, 0, True, 0, 2, TokenBudget(tokens, lengths, False, 2)) for tokens in
             (99, 100, 250, 400, 800, 10**6)}  # fmt: skip
    assert {tokens: p.accumulation for tokens, p in plans.items()} == {
        99: 8, 100: 8, 250: 4, 400: 2, 800: 1, 10**6: 1,
    }  # fmt: skip
    assert plans[400].micro_batches_per_epoch == 8
