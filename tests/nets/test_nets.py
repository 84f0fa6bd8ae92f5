"""Every net: one network and K stacked ones are the same function, and torch's own modules agree with it."""

import pytest
import torch
from torch import nn

from lib.nets import MLP, ConvNet, ModuleNet, Transformer
from lib.population import stack
from lib.seeds import Seeds

K, B = 3, 5


def module(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Dropout(0.5), nn.Linear(7, 4)).double()


NETS = {
    "mlp": MLP((6, 7, 5, 4)),
    "mlp tanh": MLP((6, 7, 4), activation="tanh"),
    "mlp linear": MLP((6, 4)),
    "convnet": ConvNet(side=8, channels_in=2, width=3, classes=4),
    "convnet one block": ConvNet(side=5, channels_in=1, width=3, classes=4, depth=1),
    "transformer": Transformer(vocabulary=9, length=6, classes=4, width=8, heads=2),
    "transformer causal": Transformer(vocabulary=9, length=6, classes=4, width=8, heads=2, layers=1, causal=True),
    "module": ModuleNet(module(), batch_ndim=2),
}


@pytest.fixture(params=NETS.values(), ids=NETS.keys())
def net(request):
    return request.param


def rows(net, *lead, seed=0):
    generator = torch.Generator().manual_seed(seed)
    if isinstance(net, Transformer):
        return torch.randint(net.vocabulary, (*lead, net.length), generator=generator)
    shape = (net.channels_in, net.side, net.side) if isinstance(net, ConvNet) else (6,)
    return torch.randn(*lead, *shape, generator=generator, dtype=torch.float64)


def pool(net):
    if isinstance(net, ModuleNet):
        return [ModuleNet(module(k), batch_ndim=2).init(Seeds(k)) for k in range(K)]
    return [{name: value.double() for name, value in net.init(Seeds(k)).items()} for k in range(K)]


def test_own_rows_equal_a_loop_over_members(net):
    x, members = rows(net, K, B), pool(net)
    loop = torch.stack([net.apply(params, x[k]) for k, params in enumerate(members)])
    torch.testing.assert_close(net.apply(stack(members), x), loop)
    assert loop.shape == (K, B, 4)


def test_shared_rows_equal_a_loop_over_members(net):
    x, members = rows(net, B), pool(net)
    loop = torch.stack([net.apply(params, x) for params in members])
    torch.testing.assert_close(net.apply(stack(members), x), loop)


def test_large_images_take_another_route_to_the_same_numbers(monkeypatch):
    net = NETS["convnet"]
    params, own, shared = stack(pool(net)), rows(net, K, B), rows(net, B)
    grouped = net.apply(params, own), net.apply(params, shared)
    monkeypatch.setattr("lib.nets.convnet.WORK_FOR_A_CALL", 0)
    torch.testing.assert_close((net.apply(params, own), net.apply(params, shared)), grouped)


def test_gradients_match_finite_differences(net):
    params, x = stack(pool(net)), rows(net, K, 2)
    leaves = [value.requires_grad_() for value in params.values()]

    def logits(*values):
        return net.apply(dict(zip(params, values, strict=True)), x)

    assert torch.autograd.gradcheck(logits, leaves, fast_mode=True)


def test_parameters_follow_the_layout_and_the_seed(net):
    params = net.init(Seeds(1))
    assert {name: tuple(value.shape) for name, value in params.items()} == net.layout()
    again, other = net.init(Seeds(1)), net.init(Seeds(2))
    assert all(torch.equal(params[name], again[name]) for name in params)
    if not isinstance(net, ModuleNet):
        assert any(not torch.equal(params[name], other[name]) for name in params)


def test_drop_reaches_hidden_units_of_every_net_that_has_some(net):
    params, x = pool(net)[0], rows(net, B)
    seen = []

    def zero(h):
        seen.append(h.shape)
        return h * 0

    same = net.apply(params, x, drop=lambda h: h)
    torch.testing.assert_close(same, net.apply(params, x))
    zeroed = net.apply(params, x, drop=zero)
    assert bool(seen) == (net.layout() != {"layer0.weight": (4, 6), "layer0.bias": (4,)})
    if seen and not isinstance(net, Transformer):  # the transformer's residual stream carries the input past the sites
        torch.testing.assert_close(zeroed, zeroed[:1].expand(B, -1))


@pytest.mark.parametrize("name", ["mlp", "convnet", "transformer causal"])
def test_logits_are_an_affine_map_of_the_features(name):
    net = NETS[name]
    members, x = pool(net), rows(net, K, B)
    head = "head" if name != "mlp" else "layer2"
    for params, own, stacked in zip(members, x, net.features(stack(members), x), strict=True):
        features = net.features(params, own)
        torch.testing.assert_close(features, stacked)
        logits = nn.functional.linear(features, params[f"{head}.weight"], params[f"{head}.bias"])
        torch.testing.assert_close(logits, net.apply(params, own))


def test_mlp_is_a_torch_sequential():
    net, params = NETS["mlp"], pool(NETS["mlp"])[0]
    peer = nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 4)).double()
    peer.load_state_dict(dict(zip(peer.state_dict(), params.values(), strict=True)))
    torch.testing.assert_close(net.apply(params, rows(net, B)), peer(rows(net, B)))


def test_convnet_is_a_torch_sequential():
    net, params = NETS["convnet"], pool(NETS["convnet"])[0]
    blocks = [nn.Conv2d(2, 3, 3, 2, 1), nn.ReLU(), nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU()]
    peer = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(24, 4)).double()
    peer.load_state_dict(dict(zip(peer.state_dict(), params.values(), strict=True)))
    torch.testing.assert_close(net.apply(params, rows(net, B)), peer(rows(net, B)))


@pytest.mark.parametrize("name", ["transformer", "transformer causal"])
def test_transformer_is_torchs_pre_norm_encoder(name):
    net, params = NETS[name], pool(NETS[name])[0]
    x = rows(net, B)
    h = params["token"][x] + params["place"]
    mask = torch.full((6, 6), -torch.inf, dtype=torch.float64).triu(1) if net.causal else None
    names = {"self_attn.in_proj_": "qkv", "self_attn.out_proj": "out", "linear1": "up", "linear2": "down"}
    for i in range(net.layers):
        layer = nn.TransformerEncoderLayer(8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True).double()
        state = {}
        for theirs, ours in (names | {"norm1": "norm1", "norm2": "norm2"}).items():
            for part in ("weight", "bias"):
                state[f"{theirs}{part}" if theirs.endswith("_") else f"{theirs}.{part}"] = params[f"block{i}.{ours}.{part}"]
        layer.load_state_dict(state)
        h = layer(h, src_mask=mask)
    read = h[:, -1] if net.causal else h.mean(1)
    normed = nn.functional.layer_norm(read, (8,), params["norm.weight"], params["norm.bias"])
    torch.testing.assert_close(net.apply(params, x), nn.functional.linear(normed, params["head.weight"], params["head.bias"]))


def test_first_weights_are_spread_as_torch_spreads_them():
    weight = MLP((100, 400, 10)).init(Seeds(0))["layer0.weight"]
    assert weight.abs().max() <= 0.1
    assert weight.std() == pytest.approx(0.1 / 3**0.5, rel=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP((64,)), "sizes: got"),
        (lambda: MLP((64, 0, 10)), r"sizes\[1\]: got 0"),
        (lambda: MLP((64, 10), activation="swish"), "activation: got 'swish', allowed are relu, tanh, gelu"),
        (lambda: ConvNet(3, 1, 4, 10), "side: got 3, allowed is >= 4"),
        (lambda: ConvNet(8, 1, 0, 10), "width: got 0"),
        (lambda: Transformer(9, 6, 4, width=30, heads=4), "width: got 30, allowed are multiples of heads = 4"),
        (lambda: Transformer(9, 6, 4, layers=0), "layers: got 0"),
        (lambda: NETS["mlp"].apply(pool(NETS["mlp"])[0], torch.zeros(2, 5).double()), "x: rows of width 5, .* takes 6"),
        (lambda: NETS["convnet"].apply(pool(NETS["convnet"])[0], torch.zeros(2, 1, 8, 8).double()), "x: images of shape"),
        (lambda: NETS["transformer"].apply(pool(NETS["transformer"])[0], torch.zeros(2, 7).long()), "length 7"),
        (lambda: NETS["transformer"].apply(pool(NETS["transformer"])[0], torch.full((2, 6), 9)), "tokens 9 to 9, allowed"),
        (lambda: NETS["transformer"].apply(pool(NETS["transformer"])[0], torch.full((2, 6), -1)), "tokens -1 to -1"),
    ],
)
def test_bad_sizes_and_inputs_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
