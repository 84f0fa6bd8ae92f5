"""ModuleNet: any torch module, unchanged in what it computes."""

import pytest
import torch
from torch import nn

from lib.nets import ModuleNet
from lib.population import Hyperparameters, stack, train
from lib.seeds import Seeds


class Block(nn.Module):
    """A convolutional block with batch norm, a residual path and an output object, as vision libraries have them."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        h = self.stem(x)
        h = nn.functional.dropout(h + self.norm(h).relu(), 0.5, self.training)
        return type("Output", (), {"logits": self.head(h.mean((2, 3)))})()


@pytest.fixture
def block():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Block()
        made(torch.randn(16, 3, 6, 6))  # one training pass moves the running statistics away from 0 and 1
    return made.eval()


X = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def test_it_computes_what_the_module_computes(block):
    net = ModuleNet(block, batch_ndim=4)
    torch.testing.assert_close(net.apply(net.init(Seeds(0)), X), block(X).logits)
    torch.testing.assert_close(net.apply(stack([net.init(Seeds(0))] * 2), X)[1], block(X).logits)


def test_frozen_parameters_and_buffers_are_shared_and_never_change(block):
    block.stem.requires_grad_(False)
    net = ModuleNet(block, batch_ndim=4)
    assert set(net.layout()) == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    before = {name: value.clone() for name, value in net.module.state_dict().items()}
    labels = torch.tensor([0, 1, 0, 1, 0])
    train(net, net.init(Seeds(0)), X, labels, members=2, steps=3, batch_size=4, hyper=Hyperparameters(), seeds=Seeds(0))
    assert all(torch.equal(before[name], value) for name, value in net.module.state_dict().items())


def test_the_given_module_is_left_alone(block):
    block.train()
    block.norm.eval()
    ModuleNet(block, batch_ndim=4)
    assert block.training


def test_functional_dropout_is_inert_because_its_masks_would_follow_no_member(block):
    block.train()
    block.norm.eval()
    net = ModuleNet(block, batch_ndim=4)
    torch.testing.assert_close(net.apply(net.init(Seeds(0)), X), block.eval()(X).logits)


def test_running_statistics_in_training_mode_are_refused(block):
    with pytest.raises(ValueError, match=r"module: BatchNorm2d 'norm' is in training mode .* call module.eval\(\)"):
        ModuleNet(block.train(), batch_ndim=4)


def test_batch_norm_without_running_statistics_is_allowed():
    module = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, track_running_stats=False)).train()
    net, x = ModuleNet(module, batch_ndim=2), torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(2))
    params = stack([net.init(Seeds(0))] * 2)
    torch.testing.assert_close(net.apply(params, x), torch.stack([module(rows) for rows in x]))


def test_each_dropout_module_takes_masks_of_its_own_shape_for_each_member():
    module = nn.Sequential(nn.Linear(6, 7), nn.Dropout(0.3), nn.Linear(7, 4), nn.Dropout(0.3))
    net, shapes = ModuleNet(module, batch_ndim=2), []
    params = stack([net.init(Seeds(0))] * 2)

    def drop(h):
        shapes.append(tuple(h.shape))
        return h * torch.tensor([0.0, 1.0]).view(2, 1, 1)

    logits = net.apply(params, torch.ones(5, 6), drop=drop)
    assert shapes == [(2, 5, 7), (2, 5, 4)]
    assert logits[0].eq(0).all()
    torch.testing.assert_close(logits[1], module.eval()(torch.ones(5, 6)))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.drop = nn.Linear(6, 6), nn.Dropout(0.3)

    def forward(self, x):
        return self.drop(self.inner(self.drop(x)))


def test_one_dropout_at_two_places_is_two_sites():
    shared, calls = nn.Dropout(0.3), []
    net = ModuleNet(nn.Sequential(shared, nn.Linear(6, 6), shared), batch_ndim=2)
    net.apply(net.init(Seeds(0)), torch.ones(5, 6), drop=lambda h: calls.append(h.shape) or h)
    assert len(calls) == 2


def test_a_dropout_called_twice_and_a_module_without_parameters_are_refused():
    net = ModuleNet(Twice(), batch_ndim=2)
    with pytest.raises(ValueError, match=r"nn.Dropout 'drop' is called 2 times, allowed is once"):
        net.apply(net.init(Seeds(0)), torch.ones(5, 6), drop=lambda h: h)
    with pytest.raises(ValueError, match="module: got no parameter with requires_grad=True"):
        ModuleNet(nn.Flatten(), batch_ndim=2)
