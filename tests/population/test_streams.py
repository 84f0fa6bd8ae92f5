"""Random streams: each member's own, the same whatever surrounds it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.population.streams import Dropout, Feed, Order
from lib.seeds import Seeds

MEMBERS = [Seeds(0).child("member", k) for k in range(4)]


@given(n=st.integers(1, 12), pieces=st.lists(st.integers(0, 30), min_size=1, max_size=6))
@settings(deadline=None, max_examples=40)
def test_order_is_one_endless_run_of_permutations_of_the_bag(n, pieces):
    bag = torch.arange(n) * 3
    whole = Order(bag, Seeds(1)).take(sum(pieces))
    order = Order(bag, Seeds(1))
    assert torch.equal(torch.cat([order.take(count) for count in pieces]), whole)
    for epoch in whole.split(n):
        assert set(epoch.tolist()) <= set(bag.tolist())
        assert len(set(epoch.tolist())) == len(epoch)


def feed(ks, scale, n=40):
    x = torch.arange(n * 3, dtype=torch.float64).view(n, 3)
    bags = [torch.arange(k, n, 2) for k in range(4)]
    chosen = torch.tensor(scale, dtype=torch.float64)[ks]
    return Feed(x, torch.arange(n), [bags[k] for k in ks], 8, chosen, [MEMBERS[k] for k in ks])


def test_member_sees_the_same_minibatches_and_noise_alone_and_in_company():
    scale = [0.0, 0.5, 1.0, 2.0]
    alone, together = feed([2], scale), feed([0, 1, 2, 3], scale)
    for step in range(150):
        (one, one_y), (many, many_y) = alone.at(step), together.at(step)
        assert torch.equal(one[0], many[2])
        assert torch.equal(one_y[0], many_y[2])


def test_noise_has_each_members_standard_deviation_and_leaves_the_data_alone():
    source = feed([0, 1, 2, 3], [0.0, 0.5, 1.0, 2.0])
    before, excess = source.x.clone(), []
    for step in range(400):
        inputs, rows = source.at(step)
        excess.append(inputs - source.x[rows])
    spread = torch.stack(excess).transpose(0, 1).flatten(1)
    torch.testing.assert_close(spread.std(1), torch.tensor([0.0, 0.5, 1.0, 2.0], dtype=torch.float64), rtol=0.03, atol=0)
    assert torch.equal(before, source.x)


def masks(ks, rate, steps=60, shape=(7, 9)):
    drop = Dropout(torch.tensor(rate, dtype=torch.float64)[ks], [MEMBERS[k] for k in ks])
    ones, served = torch.ones(len(ks), *shape), []
    for step in range(steps):
        drop.start(step)
        served.append(torch.stack([drop(ones), drop(ones)], dim=1))
    return torch.stack(served, dim=1)


def test_member_gets_the_same_masks_alone_and_in_company():
    rate = [0.0, 0.1, 0.5, 0.9]
    assert torch.equal(masks([1], rate)[0], masks([0, 1, 2, 3], rate)[1])


def test_masks_zero_at_each_members_rate_and_keep_the_mean():
    rate = [0.0, 0.1, 0.5, 0.9]
    drawn = masks([0, 1, 2, 3], rate, steps=2000)
    assert drawn[0].eq(1).all()
    flat = drawn.flatten(1)  # 2000 steps x 2 sites x 63 units
    for k, p in enumerate(rate):
        assert flat[k].eq(0).double().mean() == pytest.approx(p, abs=0.004)
        assert flat[k].unique().tolist() == pytest.approx([1] if p == 0 else [0, 1 / (1 - p)], rel=1e-4)
    assert not torch.equal(drawn[2, :, 0], drawn[2, :, 1])  # sites differ
    assert not torch.equal(drawn[2, 0], drawn[2, 1])  # steps differ


def test_units_of_one_mask_are_independent():
    drawn = masks([2], [0.0, 0.1, 0.5, 0.9], steps=4000)[0, :, 0].flatten(1) / 2  # fair coins, 63 units
    correlation = torch.corrcoef(drawn.mT) - torch.eye(63)
    assert correlation.abs().max() < 0.09  # 5.7 standard deviations of 1 / sqrt(4000)
