"""The decoder: a plain torch module's function and training, causal, and each member on its own."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lib.nets import Decoder
from lib.nets.blocks import turn, turning
from lib.population import IGNORED, Hyperparameters, stack, train, unstack
from lib.population.streams import Feed
from lib.seeds import Seeds

V, T, D, H, N, B, STEPS = 9, 6, 16, 2, 40, 4, 20
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randint(V, (N, T), generator=GENERATOR)
Y = torch.randint(V, (N, T), generator=GENERATOR)
Y[:, :2] = IGNORED
NETS = {
    "rotary": Decoder(V, width=D, heads=H, layers=2, rotary_share=0.5),
    "rotary in turn": Decoder(V, width=D, heads=H, layers=2, rotary_share=1.0, parallel=False),
    "learned": Decoder(V, T, width=D, heads=H, layers=2, positions="learned"),
    "learned in turn": Decoder(V, T, width=D, heads=1, layers=2, positions="learned", parallel=False),
    "none": Decoder(V, width=D, heads=H, layers=1, positions="none"),
}


@pytest.fixture(params=NETS.values(), ids=NETS.keys())
def net(request):
    return request.param


def fresh(net, k=0, dtype=torch.float64):
    """Member k's start, wide enough that attention is far from uniform."""
    return {name: (value * (1 if value.dim() == 1 else 10)).to(dtype) for name, value in net.init(Seeds(k)).items()}


class Block(nn.Module):
    """One block as written in papers: a mask of -inf, cosines and sines, one member."""

    def __init__(self, net):
        super().__init__()
        d = net.width
        self.net, self.norm1, self.norm2 = net, nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def rotate(self, h):
        turned, time = round(self.net.rotary_share * h.shape[-1]), h.shape[2]
        rotated = h.clone()
        for j in range(turned // 2):
            angle = torch.arange(time, dtype=h.dtype) * 10000 ** (-2 * j / turned)
            a, b = h[..., 2 * j], h[..., 2 * j + 1]
            rotated[..., 2 * j] = a * angle.cos() - b * angle.sin()
            rotated[..., 2 * j + 1] = a * angle.sin() + b * angle.cos()
        return rotated

    def attention(self, h):
        rows, time, width = h.shape
        q, k, v = (part.view(rows, time, self.net.heads, -1).transpose(1, 2) for part in self.qkv(h).split(width, dim=-1))
        if self.net.positions == "rotary":
            q, k = self.rotate(q), self.rotate(k)
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(torch.ones(time, time, dtype=torch.bool).triu(1), -torch.inf)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))

    def forward(self, h):
        mixed = h + self.attention(self.norm1(h))
        return mixed + self.down(F.gelu(self.up(self.norm2(h if self.net.parallel else mixed))))


class Plain(nn.Module):
    """The reference: one decoder, independent of the net's code."""

    def __init__(self, net, params):
        super().__init__()
        self.token = nn.Embedding(net.vocabulary, net.width)
        self.place = nn.Parameter(torch.zeros(net.length or 1, net.width)) if net.positions == "learned" else None
        self.blocks, self.norm = nn.ModuleList(Block(net) for _ in range(net.layers)), nn.LayerNorm(net.width)
        self.head = nn.Linear(net.width, net.vocabulary, bias=False)
        names = {name: self.ours(name) for name in self.state_dict()}
        assert set(names.values()) == set(net.layout())
        self.to(params["token"].dtype).load_state_dict({name: params[ours] for name, ours in names.items()})

    @staticmethod
    def ours(name):
        return name.replace("blocks.", "block").replace("token.weight", "token")

    def forward(self, x):
        h = self.token(x) if self.place is None else self.token(x) + self.place[: x.shape[-1]]
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


def test_logits_are_those_of_a_plain_module(net):
    params = fresh(net)
    torch.testing.assert_close(net.apply(params, X), Plain(net, params)(X))


def test_stacked_members_are_each_alone_on_their_own_and_on_shared_rows(net):
    pool, own = [fresh(net, k) for k in range(3)], X[:12].view(3, 4, T)
    torch.testing.assert_close(
        net.apply(stack(pool), own), torch.stack([net.apply(p, x) for p, x in zip(pool, own, strict=True)])
    )
    torch.testing.assert_close(net.apply(stack(pool), X), torch.stack([net.apply(p, X) for p in pool]))


def test_gradients_match_finite_differences(net):
    params = stack([fresh(net, k) for k in range(2)])
    leaves = [value.requires_grad_() for value in params.values()]
    assert torch.autograd.gradcheck(
        lambda *values: net.apply(dict(zip(params, values, strict=True)), X[:4].view(2, 2, T)), leaves, fast_mode=True
    )


HYPER = {
    "lr": [1e-2, 3e-3, 1e-2, 3e-2],
    "weight_decay": [0.1, 0.0, 0.1, 1.0],
    "clip": [1.0, 0.0, 0.1, 0.5],
}
CALM = {name: torch.tensor(values, dtype=torch.float64) for name, values in HYPER.items()}


def run(net=NETS["rotary"], members=(0, 1, 2, 3), dtype=torch.float64, hyper=CALM, **options):
    """These members of the population, each with its own start, seeds and hyper-parameters."""
    chosen = list(members)
    lanes = Hyperparameters(**{name: values[chosen] for name, values in hyper.items()})
    start, nodes = stack([fresh(net, k, dtype) for k in chosen]), [Seeds(7).child(k) for k in chosen]
    shared = {"members": len(chosen), "steps": STEPS, "batch_size": B, "hyper": lanes, "seeds": nodes, "optimiser": "adamw"}
    return train(net, start, X, Y, **(shared | options))


def same(ours, theirs, **tolerance):
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], **tolerance) for name in ours)


TOLERANCE = {torch.float64: {"rtol": 0, "atol": 1e-9}, torch.float32: {"rtol": 0, "atol": 1e-4}}


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_lane_k_after_20_steps_equals_a_run_of_that_member_alone(dtype):
    population = run(dtype=dtype)
    for k, lane in enumerate(unstack(population.params)):
        same(lane, unstack(run(members=[k], dtype=dtype).params)[0], **TOLERANCE[dtype])


def plain_training(net, k, dtype):
    """Member k by torch alone: module, cross-entropy, clipping and AdamW, one after the other."""
    model = Plain(net, fresh(net, k, dtype))
    lr, decay, clip = (HYPER[name][k] for name in ("lr", "weight_decay", "clip"))
    update = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=decay)
    feed = Feed(X, Y, [torch.arange(N)], B, torch.zeros(1), [Seeds(7).child(k)])
    losses = []
    for step in range(STEPS):
        (x,), (y,) = feed.at(step)
        update.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), ignore_index=IGNORED)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip or torch.inf)
        update.step()
        losses.append(loss.detach())
    return {Plain.ours(name): value for name, value in model.state_dict().items()}, torch.stack(losses)


@pytest.mark.parametrize(("name", "dtype"), [*((name, torch.float64) for name in NETS), ("rotary", torch.float32)])
def test_lane_k_after_20_steps_equals_a_plain_module_under_adamw_and_clip_grad_norm(name, dtype):
    """In float32 by logits: Adam follows the rounding errors of a key's bias, whose gradient is 0 and which no logit has."""
    net = NETS[name]
    population = run(net, dtype=dtype)
    for k, lane in enumerate(unstack(population.params)):
        theirs, losses = plain_training(net, k, dtype)
        torch.testing.assert_close(population.losses[:, k], losses, **TOLERANCE[dtype])
        torch.testing.assert_close(net.apply(lane, X), net.apply(theirs, X), **TOLERANCE[dtype])
        if dtype == torch.float64:
            same(lane, {name: theirs[name] for name in lane}, **TOLERANCE[dtype])


def test_permuting_lanes_permutes_results():
    order = [2, 0, 3, 1]
    permuted, straight = run(members=order), run()
    same(permuted.params, {name: value[order] for name, value in straight.params.items()}, rtol=0, atol=1e-12)


@pytest.mark.parametrize("at_once", [1, 3])
def test_adding_a_lane_changes_no_other_and_neither_does_members_at_once(at_once):
    whole = run()
    fewer = run(members=[0, 1, 2])
    same(fewer.params, {name: value[:3] for name, value in whole.params.items()}, rtol=0, atol=1e-12)
    same(run(members_at_once=at_once).params, whole.params, rtol=0, atol=1e-12)


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_members_explosion_stays_its_own(clip):
    calm = CALM | {"clip": torch.full((4,), clip).double()}
    wild = run(hyper=calm | {"lr": torch.tensor([1e-2, 1e300, 1e-2, 3e-2], dtype=torch.float64)})
    peers = run(hyper=calm | {"lr": torch.tensor([1e-2, 1e-3, 1e-2, 3e-2], dtype=torch.float64)})
    assert wild.diverged.tolist() == [False, True, False, False]
    others = [0, 2, 3]
    same({n: v[others] for n, v in wild.params.items()}, {n: v[others] for n, v in peers.params.items()}, rtol=0, atol=1e-12)


@pytest.mark.parametrize("turned", [2, 4, 8])
@pytest.mark.parametrize("shift", [1, 7, 1000])
def test_attention_scores_stay_when_all_positions_shift_by_a_constant(turned, shift):
    q, k = (torch.randn(3, 2, T, 8, generator=GENERATOR, dtype=torch.float64) for _ in range(2))
    here, there = (turning(torch.arange(T) + start, 8, turned, q) for start in (0, shift))
    scores, shifted = (turn(q, turns) @ turn(k, turns).mT for turns in (here, there))
    torch.testing.assert_close(scores, shifted, rtol=0, atol=1e-11)
    assert not torch.allclose(scores, q @ k.mT)


def test_rotation_keeps_lengths_and_the_dimensions_beyond_its_share():
    h = torch.randn(3, T, 8, generator=GENERATOR, dtype=torch.float64)
    rotated = turn(h, turning(torch.arange(T), 8, 4, h))
    torch.testing.assert_close(rotated.norm(dim=-1), h.norm(dim=-1))
    assert torch.equal(rotated[..., 4:], h[..., 4:])
    assert torch.equal(rotated[:, 0], h[:, 0])
    assert not torch.allclose(rotated[:, 1:, :4], h[:, 1:, :4])


def test_changing_a_later_token_changes_no_earlier_logit(net):
    params, later = fresh(net), X.clone()
    later[:, 4:] = (later[:, 4:] + 1) % V
    before, after = net.apply(params, X), net.apply(params, later)
    torch.testing.assert_close(before[:, :4], after[:, :4], rtol=0, atol=1e-13)
    assert not torch.isclose(before[:, 4:], after[:, 4:]).any(-1).all()


def test_shorter_sequences_get_the_first_logits_of_longer_ones(net):
    params = fresh(net)
    torch.testing.assert_close(net.apply(params, X[:, :3]), net.apply(params, X)[:, :3])


def test_only_without_positions_the_order_of_earlier_tokens_is_lost():
    """Of one layer: a second one sees the order through the causal mask."""
    swapped = X[:, [2, 1, 0, 3, 4, 5]]
    different = (X[:, 0] != X[:, 2]).nonzero().flatten()
    for kind in ("none", "rotary", "learned"):
        net = Decoder(V, T, width=D, heads=H, layers=1, positions=kind)
        last, also = (net.apply(fresh(net), rows)[different, -1] for rows in (X, swapped))
        assert torch.allclose(last, also, rtol=0, atol=1e-12) == (kind == "none")


def test_no_gradient_comes_from_masked_targets():
    """Places after the last target reach the loss through nothing: their learned vectors stay."""
    net = NETS["learned"]
    early = Y.clone()
    early[:, 3:] = IGNORED
    population = run(net, hyper=CALM | {"weight_decay": torch.zeros(4).double()})
    masked = train(
        net,
        fresh(net),
        X,
        early,
        members=1,
        steps=5,
        batch_size=B,
        hyper=Hyperparameters(lr=1e-2),
        seeds=Seeds(1),
        optimiser="adamw",
    )
    assert torch.equal(masked.params["place"][0, 3:], fresh(net)["place"][3:])
    assert not torch.isclose(masked.params["place"][0, :3], fresh(net)["place"][:3]).any()
    assert not torch.isclose(population.params["place"], stack([fresh(net, k) for k in range(4)])["place"]).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_have_the_parameters_dtype_and_take_narrow_tokens(net, dtype):
    logits = net.apply(fresh(net, 0, dtype), X.to(torch.uint8))
    assert logits.dtype == dtype
    assert torch.equal(logits, net.apply(fresh(net, 0, dtype), X))


def test_drop_has_two_sites_a_block_and_the_residual_stream_passes_by(net):
    params, seen = fresh(net), []

    def zero(h):
        seen.append(tuple(h.shape))
        return h * 0

    h = params["token"][X] if net.positions != "learned" else params["token"][X] + params["place"]
    bare = F.layer_norm(h, (D,)) @ params["head.weight"].mT
    torch.testing.assert_close(net.apply(params, X, drop=zero), bare)
    assert seen == [(1, N, T, D)] * (2 * net.layers)


def test_parameters_follow_the_layout_the_seed_and_gpt_2s_spread():
    net = Decoder(50, 20, width=64, heads=4, layers=8, positions="learned")
    params, again, other = net.init(Seeds(1)), net.init(Seeds(1)), net.init(Seeds(2))
    assert {name: tuple(value.shape) for name, value in params.items()} == net.layout()
    assert all(torch.equal(params[name], again[name]) for name in params)
    assert not torch.equal(params["token"], other["token"])
    assert params["block0.qkv.weight"].std().item() == pytest.approx(0.02, rel=0.05)
    assert params["place"].std().item() == pytest.approx(0.02, rel=0.1)
    for name in ("out", "down"):
        assert params[f"block7.{name}.weight"].std().item() == pytest.approx(0.02 / 4, rel=0.05)
    assert all(value.eq(0).all() for name, value in params.items() if name.endswith("bias"))
    assert all(value.eq(1).all() for name, value in params.items() if "norm" in name and name.endswith("weight"))


def test_a_population_learns_to_continue_cycles():
    """Each row repeats its own three tokens: known from the fourth place on, at chance before."""
    motif = torch.randint(V, (200, 3), generator=GENERATOR)
    rows = motif.repeat(1, 4)
    y = rows[:, 1:].clone()
    y[:, :2] = IGNORED
    net = Decoder(V, width=32, heads=4, layers=2, rotary_share=1.0)
    population = train(
        net, stack([net.init(Seeds(k)) for k in range(2)]), rows[:, :-1], y, members=2, steps=120, batch_size=16,
        hyper=Hyperparameters(lr=1e-2, weight_decay=0.1, clip=1.0), seeds=Seeds(0), optimiser="adamw",
        schedule=lambda step: min(1.0, (step + 1) / 20),
    )  # fmt: skip
    assert (population.losses[0] > 2).all()
    assert (population.losses[-10:].mean(0) < 0.5).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Decoder(0), "vocabulary: got 0, allowed are whole numbers >= 1"),
        (lambda: Decoder(V, 0), "length: got 0"),
        (lambda: Decoder(V, width=0), "width: got 0"),
        (lambda: Decoder(V, heads=0), "heads: got 0"),
        (lambda: Decoder(V, layers=0), "layers: got 0"),
        (lambda: Decoder(V, width=30, heads=4), "width: got 30, allowed are multiples of heads = 4"),
        (lambda: Decoder(V, width=20, heads=4), "width: got 5 dimensions a head .width 20., allowed with rotary positions: even"),
        (lambda: Decoder(V, width=8, heads=2), r"rotary_share: got 0.25, 1 of 4 dimensions a head, allowed in \(0, 1\]: an even"),
        (lambda: Decoder(V, rotary_share=0.0), "rotary_share: got 0.0, 0 of 8"),
        (lambda: Decoder(V, rotary_share=1.25), "rotary_share: got 1.25, 10 of 8"),
        (lambda: Decoder(V, rotary_share=0.3), "rotary_share: got 0.3, 2.4 of 8"),
        (lambda: Decoder(V, rotary_share=math.nan), "rotary_share: got nan"),
        (lambda: Decoder(V, positions="sinusoidal"), "positions: got 'sinusoidal', allowed are rotary, learned, none"),
        (lambda: Decoder(V, positions="learned"), "length: got None, allowed with learned positions are whole numbers >= 1"),
        (lambda: NETS["learned"].apply(fresh(NETS["learned"]), torch.zeros(2, 7).long()), "sequences of length 7, .* at most 6"),
        (lambda: NETS["none"].apply(fresh(NETS["none"]), torch.full((2, 6), V)), "x: tokens 9 to 9, allowed are 0 to 8"),
        (lambda: NETS["none"].apply(fresh(NETS["none"]), torch.full((2, 6), -1)), "x: tokens -1 to -1"),
    ],
)
def test_bad_sizes_and_inputs_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
