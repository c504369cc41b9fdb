import pytest

from factalign.base.batching import batches_by_length


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("lengths", [[], [5], [0, 0], [3, 9, 1, 4, 4, 100, 2], list(range(50))])
def test_every_text_is_in_one_batch_that_fits_or_is_alone(lengths, padded):
    batches = list(batches_by_length(lengths, 12, padded=padded))
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        own = [lengths[position] for position in batch]
        assert len(batch) == 1 or (max(own) * len(own) if padded else sum(own)) <= 12


def test_the_longest_come_first_and_equal_ones_in_order():
    assert list(batches_by_length([1, 3, 3, 2], 6, padded=True)) == [[1, 2], [3, 0]]
