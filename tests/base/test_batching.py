import pytest

from factalign.base.batching import batches_by_length

LENGTHS = [3, 900, 7, 7, 1, 250, 30]


@pytest.mark.parametrize("padded", [True, False])
def test_batches_hold_every_text_once_and_keep_to_their_budget(padded):
    batches = list(batches_by_length(LENGTHS, 256, padded=padded))
    assert sorted(position for batch in batches for position in batch) == list(range(7))
    for batch in batches:
        lengths = [LENGTHS[position] for position in batch]
        assert len(batch) == 1 or (len(batch) * max(lengths) if padded else sum(lengths)) <= 256


def test_the_longest_come_first_and_equals_in_their_order():
    assert list(batches_by_length(LENGTHS, 256, padded=True)) == [[1], [5], [6, 2, 3, 0, 4]]
    assert list(batches_by_length(LENGTHS, 300, padded=False)) == [[1], [5, 6, 2, 3, 0, 4]]
    assert list(batches_by_length([0, 0], 1, padded=True)) == [[0], [1]]
    assert list(batches_by_length([], 256, padded=True)) == []
