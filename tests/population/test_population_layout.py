"""Pools as stacked dicts and as flat matrices."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.population import check_finite, check_same_layout, flatten, stack, unflatten, unstack


def member(seed, shapes=((2, 3), (3,), (1, 2, 2))):
    generator = torch.Generator().manual_seed(seed)
    return {f"p{i}": torch.randn(shape, generator=generator) for i, shape in enumerate(shapes)}


shapes = st.lists(st.lists(st.integers(1, 4), min_size=0, max_size=3).map(tuple), min_size=1, max_size=4)


@given(shapes=shapes, members=st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_flatten_and_stack_lose_nothing(shapes, members):
    pool = [member(k, shapes) for k in range(members)]
    stacked = stack(pool)
    again = unstack(unflatten(flatten(stacked), stacked))
    for ours, theirs in zip(pool, again, strict=True):
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_unflatten_takes_any_number_of_rows_and_passes_gradients():
    like = stack([member(0)])
    flat = torch.zeros(5, 13, requires_grad=True)
    unflatten(flat, like)["p1"].sum().backward()
    assert flat.grad.sum(0).tolist() == [0] * 6 + [5] * 3 + [0] * 4


def test_distance_of_flat_rows_is_the_distance_of_networks():
    one, two = member(1), member(2)
    flat = flatten(stack([one, two]))
    squares = sum(((one[key] - two[key]) ** 2).sum() for key in one)
    torch.testing.assert_close((flat[0] - flat[1]).norm() ** 2, squares)


def test_empty_pool_is_an_error():
    with pytest.raises(ValueError, match="pool: got no networks"):
        check_same_layout([])


def test_first_missing_extra_or_misshapen_parameter_is_named():
    good = member(0)
    lacking = {key: value for key, value in good.items() if key != "p1"}
    with pytest.raises(ValueError, match="pool: member 1 lacks 'p1'"):
        check_same_layout([good, lacking])
    with pytest.raises(ValueError, match="pool: member 2 has 'extra', which member 0 lacks"):
        stack([good, good, good | {"extra": torch.zeros(1)}])
    with pytest.raises(ValueError, match=r"pool: member 1 has 'p0' of shape \(3, 2\), member 0 has \(2, 3\)"):
        stack([good, good | {"p0": torch.zeros(3, 2)}])


def test_mixed_dtypes_are_raised_with_a_warning():
    wide = {key: value.double() for key, value in member(1).items()}
    with pytest.warns(UserWarning, match=r"'p0' has dtypes .*float32.*float64.*; mixed ones are raised"):
        stacked = stack([member(0), wide])
    assert {value.dtype for value in stacked.values()} == {torch.float64}


def test_unflatten_of_another_length_is_an_error():
    with pytest.raises(ValueError, match="flat: 12 parameters a row, the layout has 13"):
        unflatten(torch.zeros(2, 12), stack([member(0)]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_first_non_finite_member_is_named(bad):
    stacked = stack([member(k) for k in range(4)])
    check_finite(stacked)
    stacked["p2"][3, 0, 0, 0] = stacked["p1"][2, 1] = bad
    with pytest.raises(ValueError, match="params: member 2 has non-finite values in 'p1'"):
        check_finite(stacked)
