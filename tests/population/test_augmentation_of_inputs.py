"""Augmentation of minibatches: each member's own random numbers, whoever trains beside it."""

import pytest
import torch
from torch import nn

from lib.nets import MLP, ModuleNet
from lib.population import Hyperparameters, train
from lib.population.streams import Feed
from lib.seeds import Seeds

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(30, 6, generator=GENERATOR, dtype=torch.float64)
BYTES = torch.randint(256, (30, 6), generator=GENERATOR, dtype=torch.uint8)
Y = torch.randint(4, (30,), generator=GENERATOR)
NET = MLP((6, 5, 4))
MEMBERS = [Seeds(3).child("member", k) for k in range(4)]


def flips(nodes):
    """Mirrors each row with probability one half, in place."""
    generators = [node.child("flip").torch() for node in nodes]

    def change(inputs, step):
        for rows, generator in zip(inputs, generators, strict=True):
            chosen = torch.rand(len(rows), generator=generator) < 0.5
            rows[chosen] = rows[chosen].flip(-1)
        return inputs

    return change


class Standardised(nn.Module):
    """A network that takes bytes."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 4).double()

    def forward(self, x):
        return self.linear(x.double() / 255 - 0.5)


def run(members=4, net=NET, x=X, **options):
    start = {name: value.double() for name, value in net.init(Seeds(0)).items()}
    hyper = Hyperparameters(lr=1e-2, noise=0.1 if x.is_floating_point() else 0.0)
    shared = {"members": members, "steps": 10, "batch_size": 8, "hyper": hyper, "seeds": Seeds(3), "augment": flips}
    return train(net, start, x, Y, **(shared | options))


def feed(x, noise=0.0, **options):
    return Feed(x, torch.arange(30), [torch.arange(30)] * 4, 8, torch.full((4,), noise), MEMBERS, **options)


def test_about_half_of_the_rows_are_mirrored_and_the_data_stay():
    source, before, mirrored = feed(X, augment=flips), X.clone(), []
    for step in range(50):
        inputs, rows = source.at(step)
        straight, reverse = (inputs == X[rows]).all(-1), (inputs == X[rows].flip(-1)).all(-1)
        assert (straight | reverse).all()
        mirrored.append(reverse)
    shares = torch.stack(mirrored).double().mean((0, 2))  # 400 coins a member
    assert (shares - 0.5).abs().max() < 0.1
    assert torch.equal(X, before)


def test_it_comes_after_the_noise_and_sees_each_step_once():
    seen = []

    def spy(nodes):
        assert list(nodes) == MEMBERS

        def change(inputs, step):
            seen.append((step, inputs.clone()))
            return torch.zeros_like(inputs)

        return change

    noisy, plain = feed(X, 0.1, augment=spy), feed(X, 0.1)
    for step in range(5):
        assert noisy.at(step)[0].eq(0).all()
        assert torch.equal(seen[step][1], plain.at(step)[0])
    assert [step for step, _ in seen] == list(range(5))


CASES = {"floats": (NET, X), "bytes": (ModuleNet(Standardised(), 2), BYTES)}


@pytest.mark.parametrize("case", CASES)
def test_members_at_once_and_company_change_nothing(case):
    net, x = CASES[case]
    whole = run(net=net, x=x)
    assert not torch.allclose(whole.losses, run(net=net, x=x, augment=None).losses)
    few = run(2, net, x)
    for name, value in whole.params.items():
        torch.testing.assert_close(few.params[name], value[:2], rtol=0, atol=1e-12)
    for at_once in (1, 3):
        parts = run(net=net, x=x, members_at_once=at_once)
        assert all(torch.allclose(parts.params[name], whole.params[name], rtol=0, atol=1e-12) for name in parts.params)


def test_it_is_made_once_for_each_chunk_of_members_with_their_own_nodes():
    made = []
    run(members_at_once=3, augment=lambda nodes: made.append(list(nodes)) or flips(nodes))
    assert made == [MEMBERS[:3], MEMBERS[3:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda inputs, step: inputs[..., :5], r"augment: returned \(4, 8, 5\) torch.float64 at step 0, allowed .* \(4, 8, 6\)"),
        (lambda inputs, step: inputs.float(), r"augment: returned \(4, 8, 6\) torch.float32 at step 0, .* torch.float64"),
        (
            lambda inputs, step: inputs.resize_(4, 8, 5) if step else inputs,
            r"\(4, 8, 5\) torch.float64 at step 1, .* \(4, 8, 6\)",
        ),
    ],
)
def test_another_shape_or_dtype_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        run(augment=lambda nodes: change)
