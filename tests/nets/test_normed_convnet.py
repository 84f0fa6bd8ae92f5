"""The convnet of dataset distillation: what torch's own modules compute, member by member, on bytes and on floats."""

import math

import pytest
import torch
from torch import nn

from lib.nets import Net
from lib.nets.normed_convnet import NormedConvNet, standardised
from lib.population import Hyperparameters, stack, train, unstack
from lib.seeds import Seeds

COLOURS = {"mean": (0.5, 0.4, 0.3), "sd": (0.2, 0.25, 0.3)}
NET = NormedConvNet((3, 8, 12), 4, 5, depth=2, **COLOURS)


def bytes_of(*shape, seed=0):
    return torch.randint(256, shape, dtype=torch.uint8, generator=Seeds(seed).torch())


def reference(net):
    """The published architecture in torch's modules, in the order of the net's layout."""
    parts, channels = [], net.shape[0]
    for _ in range(net.depth):
        norm = nn.InstanceNorm2d(net.width, affine=True)
        parts += [nn.Conv2d(channels, net.width, 3, padding=1), norm, nn.ReLU(), nn.AvgPool2d(2)]
        channels = net.width
    _, height, width = net.shape
    features = net.width * (height // 2**net.depth) * (width // 2**net.depth)
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(features, net.classes))


def two(net=NET):
    return [net.init(Seeds(seed)) for seed in (1, 2)]


def test_it_is_the_published_architecture():
    module, x = reference(NET), torch.randn(6, 3, 8, 12, generator=Seeds(0).torch())
    for params in two():
        shapes = [tuple(value.shape) for value in params.values()]
        assert shapes == list(NET.layout().values()) == [tuple(value.shape) for value in module.parameters()]
        module.load_state_dict(dict(zip(module.state_dict(), params.values(), strict=True)))
        torch.testing.assert_close(NET.apply(params, x), module(x))


def test_parameters_of_the_papers_size():
    """Depth 4, width 128, on 64 x 64 in colour, 200 classes."""
    net = NormedConvNet((3, 64, 64), 128, 200, depth=4)
    convolutions, norms = (3 + 3 * 128) * 9 * 128 + 4 * 128, 2 * 4 * 128
    assert sum(map(math.prod, net.layout().values())) == convolutions + norms + 200 * (128 * 4 * 4 + 1) == 857_160
    assert isinstance(net, Net)


def test_members_are_computed_each_by_itself():
    params, x = stack(two()), bytes_of(2, 6, 3, 8, 12)
    own, shared = NET.apply(params, x), NET.apply(params, x[0])
    for k, alone in enumerate(unstack(params)):
        torch.testing.assert_close(own[k], NET.apply(alone, x[k]))
        torch.testing.assert_close(shared[k], NET.apply(alone, x[0]))


def test_bytes_are_standardised_floats_are_not():
    x, params = bytes_of(6, 3, 8, 12), two()[0]
    floats = (x / 255 - torch.tensor(COLOURS["mean"]).view(3, 1, 1)) / torch.tensor(COLOURS["sd"]).view(3, 1, 1)
    torch.testing.assert_close(NET.standardised(x), floats)
    assert NET.standardised(floats) is floats
    torch.testing.assert_close(NET.apply(params, x), NET.apply(params, floats))


def test_flat_rows_are_images():
    x, params = bytes_of(2, 6, 3, 8, 12), stack(two())
    assert torch.equal(NET.apply(params, x.flatten(2)), NET.apply(params, x))
    assert torch.equal(NET.apply(params, x[0].flatten(1)), NET.apply(params, x[0]))


def test_precision_follows_the_parameters():
    double = {name: value.double() for name, value in two()[0].items()}
    x = bytes_of(6, 3, 8, 12)
    assert NET.apply(double, x).dtype == torch.float64
    torch.testing.assert_close(NET.apply(double, x).float(), NET.apply(two()[0], x), rtol=1e-4, atol=1e-5)


def test_a_population_on_bytes_is_its_members_one_by_one():
    x, y = bytes_of(24, 3, 8, 12), torch.arange(24) % 5
    setting = {"steps": 5, "batch_size": 8, "hyper": Hyperparameters(lr=0.05, momentum=0.9), "optimiser": "sgd"}
    nodes = [Seeds(0).child(k) for k in range(2)]
    together = train(NET, stack(two()), x, y, members=2, seeds=nodes, **setting)
    for k, start in enumerate(two()):
        alone = train(NET, start, x, y, members=1, seeds=[nodes[k]], **setting)
        for name, value in alone.params.items():
            torch.testing.assert_close(together.params[name][k], value[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((3, 8, 8), 4, 5, 4), r"shape: got \(3, 8, 8\), allowed are sides >= 16 for depth 4"),
        (((3, 8, 8), 0, 5), "width: got 0"),
        (((3, 8, 8), 4, 5, 0), "depth: got 0"),
        (((3, 8, 8), 4, 5, 2, (0.5,)), r"mean: got \(0.5,\), allowed is one number for each of 3 channels"),
    ],
)
def test_sizes_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        NormedConvNet(*arguments)


def test_other_images_and_bytes_without_colours_are_refused():
    with pytest.raises(ValueError, match=r"x: got shape \(2, 3, 8, 8\), this net takes images \(3, 8, 12\)"):
        NET.apply(two()[0], bytes_of(2, 3, 8, 8))
    with pytest.raises(ValueError, match="x: got bytes, allowed are floats"):
        standardised(bytes_of(2, 3, 8, 8), (), ())
