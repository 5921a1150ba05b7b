"""The store hands out rows, takes them back, and grows."""

import pytest
import torch

from desim.tensors.store import Store


def store(rows=8, parameters=5, dtype=torch.float64):
    return Store(parameters, rows, dtype, torch.device("cpu"))


def test_rows_of_one_request_lie_next_to_each_other_where_possible():
    kept = store()
    assert list(kept.take(3)) == [0, 1, 2]
    assert list(kept.take(2)) == [3, 4]
    for row in (1, 2):
        kept.release(row)
    assert list(kept.take(3)) == [5, 6, 7]  # not in the hole of two
    assert list(kept.take(2)) == [1, 2]


def test_scattered_rows_are_used_when_no_run_is_left():
    kept = store()
    kept.take(8)
    for row in (1, 4, 6):
        kept.release(row)
    assert sorted(kept.take(3)) == [1, 4, 6]
    assert len(kept.data) == 8


def test_a_full_store_grows_and_keeps_its_numbers():
    kept = store(rows=4)
    rows = list(kept.take(4))
    kept.data[rows] = torch.arange(20.0).double().view(4, 5)
    more = list(kept.take(3))
    assert set(more).isdisjoint(rows)
    assert len(kept.data) >= 7
    torch.testing.assert_close(kept.data[rows], torch.arange(20.0).double().view(4, 5))
    kept.data[more] = -1.0
    torch.testing.assert_close(kept.data[rows], torch.arange(20.0).double().view(4, 5))


def test_one_large_request_grows_it_far_enough():
    kept = store(rows=2)
    kept.take(1)
    assert len(set(kept.take(100))) == 100
    assert kept.live == 101


def test_live_and_peak_count_rows_in_use():
    kept = store()
    kept.take(5)
    for row in range(4):
        kept.release(row)
    kept.take(1)
    assert (kept.live, kept.peak) == (2, 5)


def test_no_row_is_handed_out_twice_in_a_long_life():
    # A million-to-one mistake in the bookkeeping would show up as a repeated row.
    generator = torch.Generator().manual_seed(0)
    kept, held = store(rows=3), []
    for _ in range(500):
        taken = list(kept.take(int(torch.randint(1, 9, (1,), generator=generator))))
        assert set(taken).isdisjoint(held)
        held += taken
        keep = torch.rand(len(held), generator=generator) < 0.6
        for row, stays in zip(held, keep.tolist(), strict=True):
            if not stays:
                kept.release(row)
        held = [row for row, stays in zip(held, keep.tolist(), strict=True) if stays]
        assert kept.live == len(held)


@pytest.mark.parametrize(
    ("rows", "run"),
    [([3], True), ([3, 4, 5], True), ([3, 5], False), ([4, 3], False), ([3, 3, 5], False)],
)
def test_consecutive_rows_are_indexed_by_a_slice(rows, run):
    kept = store()
    kept.data[:] = torch.arange(8.0).double()[:, None]
    index = kept.index(rows)
    assert isinstance(index, slice) == run
    assert kept.data[index][:, 0].tolist() == rows
