"""A population of decoders trained as one program, against the loop over models and against torch.func.vmap.

Both peers train the same plain torch module: nn.Linear, nn.LayerNorm, F.scaled_dot_product_attention, rotary positions by
cosines and sines, F.cross_entropy with masked targets, fused AdamW, each model's gradient clipped by its own norm. The loop takes
one model after the other; vmap takes torch.func.grad of functional_call over stacked parameters (on a CPU with attention written
out, since vmap knows no rule for the fused kernel there and loops, which is slower). All start alike and see the same
minibatches of 8 rows of 32 tokens, so they must find the same functions: `largest_difference` is that of their logits after all
steps, and a benchmark of unlike things is refused. (Parameters are not compared: Adam follows the rounding errors of the keys'
biases, whose gradients are 0.)

Ours and the peers run in turn; the ratio is the median of the turns' ratios, `noise` their interquartile range. `gflops` counts
matrix products of forward and backward alone (half of the attention, which is causal); `fraction_of_matmul` sets them against a
large matrix product here. vmap is left out, and that is said, where one of its steps takes over two seconds.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from lib.nets import Decoder, Params
from lib.population import IGNORED, Hyperparameters, predict, stack, train
from lib.population.streams import Order
from lib.seeds import Seeds
from tests.benchmarks.bench_population import matmul_gflops, timed

VOCABULARY, TIME, ROWS, LAYERS = 20, 32, 8, 2
LR, DECAY, CLIP = 1e-3, 0.1, 1.0
WIDTHS, MEMBERS = (16, 32, 64, 128), (8, 32, 64)
AT_ONCE = 32  # members of 128 units side by side
SLOWEST_VMAP, CLOSE = 2.0, 1e-3


class Block(nn.Module):
    """Attention and MLP of two norms of one input."""

    def __init__(self, net: Decoder, fused: bool) -> None:
        super().__init__()
        d, self.heads, self.attention = net.width, net.heads, F.scaled_dot_product_attention if fused else attention
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out, self.up, self.down = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, h: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """The next residual stream."""
        q, k, v = self.qkv(self.norm1(h)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = self.attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        return h + self.out(mixed.transpose(1, 2).flatten(2)) + self.down(F.gelu(self.up(self.norm2(h))))


def attention(q: Tensor, k: Tensor, v: Tensor, is_causal: bool) -> Tensor:
    """F.scaled_dot_product_attention in plain operations."""
    mask = torch.full((q.shape[-2], k.shape[-2]), -torch.inf, device=q.device).triu(1) if is_causal else 0
    return ((q @ k.mT) * q.shape[-1] ** -0.5 + mask).softmax(-1) @ v


def rotate(h: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on the first dimensions of each head, pair by pair."""
    turned, still = h.split([2 * cos.shape[-1], h.shape[-1] - 2 * cos.shape[-1]], dim=-1)
    a, b = turned[..., ::2], turned[..., 1::2]
    return torch.cat([torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2), still], dim=-1)


class Plain(nn.Module):
    """One decoder as a user would write it."""

    def __init__(self, net: Decoder, fused: bool = True) -> None:
        super().__init__()
        self.token, self.norm = nn.Embedding(net.vocabulary, net.width), nn.LayerNorm(net.width)
        self.blocks = nn.ModuleList(Block(net, fused) for _ in range(net.layers))
        self.head = nn.Linear(net.width, net.vocabulary, bias=False)
        turned = round(net.rotary_share * net.width / net.heads)
        angles = torch.arange(TIME)[:, None] * 10000.0 ** (-torch.arange(0, turned, 2) / turned)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits at every place."""
        h = self.token(x)
        for block in self.blocks:
            h = block(h, self.cos, self.sin)
        return self.head(self.norm(h))


def ours_of(name: str) -> str:
    """The net's name of a parameter of Plain."""
    return name.replace("blocks.", "block").replace("token.weight", "token")


def loss_of(logits: Tensor, y: Tensor) -> Tensor:
    """Mean over the targets that count."""
    return F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=IGNORED)


@dataclass(frozen=True)
class Case:
    """One width and number of members."""

    width: int
    members: int
    device: str

    @property
    def at_once(self) -> int:
        return min(self.members, AT_ONCE) if self.width >= 128 else self.members

    @property
    def steps(self) -> int:
        """Enough that the work counts and the setup does not, few enough for a coffee."""
        return max(4, 10240 // (self.members * self.width))

    @cached_property
    def net(self) -> Decoder:
        return Decoder(VOCABULARY, width=self.width, heads=self.width // 16, layers=LAYERS)

    @cached_property
    def data(self) -> tuple[Tensor, Tensor]:
        """Random rows; a quarter of the targets does not count."""
        generator = Seeds(0).child("data").torch()
        text = torch.randint(VOCABULARY, (2048, TIME + 1), generator=generator)
        y = text[:, 1:].clone()
        y[:, : TIME // 4] = IGNORED
        return text[:, :-1].to(self.device), y.to(self.device)

    @cached_property
    def starts(self) -> list[Params]:
        return [{n: v.to(self.device) for n, v in self.net.init(Seeds(0).child("start", k)).items()} for k in range(self.members)]

    def batches(self) -> list[Tensor]:
        """Each member's row numbers [steps, ROWS]: the same epochs that our trainer draws."""
        orders = [Order(torch.arange(2048), Seeds(0).child("member", k)) for k in range(self.members)]
        return [order.take(self.steps * ROWS).view(self.steps, ROWS).to(self.device) for order in orders]

    @property
    def flops(self) -> int:
        """Of the matrix products of all members' steps: 6 for each weight and token, half the attention's T^2."""
        weights = LAYERS * 12 * self.width**2 + VOCABULARY * self.width
        return self.steps * self.members * ROWS * TIME * (6 * weights + LAYERS * 6 * TIME * self.width)


def population(case: Case) -> Params:
    """Ours."""
    hyper = Hyperparameters(lr=LR, weight_decay=DECAY, clip=CLIP)
    return train(case.net, stack(case.starts), *case.data, members=case.members, steps=case.steps, batch_size=ROWS, hyper=hyper,
                 seeds=Seeds(0), optimiser="adamw", members_at_once=case.at_once).params  # fmt: skip


def modules(case: Case) -> list[nn.Module]:
    """Plain modules at the members' starts."""
    made = []
    for start in case.starts:
        module = Plain(case.net).to(case.device)
        module.load_state_dict({name: start[ours_of(name)] for name in module.state_dict()})
        made.append(module)
    return made


def loop(case: Case) -> Params:
    """Peer (a): one model after the other."""
    (x, y), trained = case.data, modules(case)
    for module, batches in zip(trained, case.batches(), strict=True):
        optimiser = torch.optim.AdamW(module.parameters(), lr=LR, weight_decay=DECAY, fused=True)
        for rows in batches:
            optimiser.zero_grad()
            loss_of(module(x[rows]), y[rows]).backward()
            nn.utils.clip_grad_norm_(module.parameters(), CLIP)
            optimiser.step()
    each = [{ours_of(name): value for name, value in module.state_dict().items()} for module in trained]
    return stack(each)


def vmapped(case: Case, steps: int | None = None) -> Params:
    """Peer (b): vmap over members of the gradient of the same module."""
    (x, y), module = case.data, Plain(case.net, fused=case.device != "cpu").to(case.device)
    params = {name: torch.stack([start[ours_of(name)] for start in case.starts]) for name, _ in module.named_parameters()}

    def loss(params: Params, x: Tensor, y: Tensor) -> Tensor:
        return loss_of(functional_call(module, params, (x,)), y)

    slopes, optimiser = vmap(grad(loss)), torch.optim.AdamW(params.values(), lr=LR, weight_decay=DECAY, fused=True)
    for rows in torch.stack(case.batches(), dim=1)[:steps]:
        gradient = slopes(params, x[rows], y[rows])
        norm = torch.stack([g.flatten(1).square().sum(1) for g in gradient.values()]).sum(0).sqrt()
        share = (CLIP / (norm + 1e-6)).clamp(max=1)
        for name, g in gradient.items():
            params[name].grad = g * share.view(-1, *(1,) * (g.dim() - 1))
        optimiser.step()
    return {ours_of(name): value for name, value in params.items()}


def difference(case: Case, ours: Params, theirs: Params) -> float:
    """Largest difference of logits on some rows. ValueError where the two are not the same functions."""
    x = case.data[0][:ROWS]
    worst = float((predict(case.net, ours, x) - predict(case.net, theirs, x)).abs().max())
    if not worst < CLOSE:
        raise ValueError(f"{case}: logits differ by {worst:.2g}, allowed is {CLOSE}: these are not the same networks")
    return worst


def compare(case: Case, repeats: int) -> list[dict]:
    """A row for each peer."""
    peers: dict[str, Callable[[Case], Params]] = {"loop of torch modules": loop}
    step = min(timed(lambda: vmapped(case, 1), case.device) for _ in range(2))
    if step < SLOWEST_VMAP:
        peers["torch.func.vmap"] = vmapped
    else:
        print(f"d={case.width} K={case.members}: vmap left out, one step takes {step:.1f} s")
    ours, seconds = [], {name: [] for name in peers}
    found = population(case)
    worst = {name: difference(case, found, peer(case)) for name, peer in peers.items()}
    for _ in range(repeats):
        ours.append(timed(lambda: population(case), case.device))
        for name, peer in peers.items():
            seconds[name].append(timed(lambda peer=peer: peer(case), case.device))
    gflops = case.flops / statistics.median(ours) / 1e9
    shared = {
        "device": case.device, "threads": torch.get_num_threads(), "repeats": repeats, "ours_s": statistics.median(ours),
        "size": f"d={case.width}, K={case.members}, at most {case.at_once} at once, {case.steps} steps of {ROWS} x {TIME} tokens",
        "gflops": gflops, "fraction_of_matmul": gflops / matmul_gflops(case.device),
    }  # fmt: skip
    rows = []
    for name, theirs in seconds.items():
        low, middle, high = statistics.quantiles([t / o for t, o in zip(theirs, ours, strict=True)], n=4)
        rows.append({"name": f"decoders, d={case.width} K={case.members}", "peer": name, "peer_s": statistics.median(theirs),
                     "ratio": middle, "noise": high - low, "largest_difference": worst[name], **shared})  # fmt: skip
    return rows


def rows(device: str = "cpu", repeats: int = 3) -> list[dict]:
    """All widths and numbers of members."""
    return [row for width in WIDTHS for members in MEMBERS for row in compare(Case(width, members, device), repeats)]


if __name__ == "__main__":
    for row in rows():
        print({key: float(f"{value:.3g}") if isinstance(value, float) else value for key, value in row.items()})
