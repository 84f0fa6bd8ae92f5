"""K networks trained as one tensor program, against the plain loop over networks that a user would write.

The peer is torch's own: nn.Sequential, nn.Dropout, F.cross_entropy and the fastest of Adam's three implementations
(found in a short race), one network after the other. Both sides do the same work per step: gather a minibatch by
index, add input noise and dropout where the size has them, forward, backward, Adam. Ours and the peer run in turn;
the ratio is the median of the turns' ratios, `noise` their interquartile range. `gflops` counts the matrix products
of forward and backward alone, `fraction_of_matmul` sets it against a large matrix product of the same machine.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lib.nets import MLP, ConvNet, Net, Params, Transformer
from lib.population import Hyperparameters, Population, evaluate, stack, train, unstack
from lib.population.streams import Feed
from lib.seeds import Seeds

ADAMS = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}


class Encoder(nn.Module):
    """The peer of lib's Transformer: torch's own pre-norm encoder layers."""

    def __init__(self, net: Transformer) -> None:
        super().__init__()
        d = net.width
        self.token, self.place = nn.Embedding(net.vocabulary, d), nn.Parameter(torch.zeros(net.length, d))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(d, net.heads, 4 * d, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(net.layers)
        )
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, net.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        h = self.token(x) + self.place
        for layer in self.layers:
            h = layer(h)
        return self.head(self.norm(h.mean(1)))


@dataclass
class Case:
    """One size of the comparison."""

    name: str
    net: Net
    module: Callable[[], nn.Module]
    x: Tensor
    y: Tensor
    members: int
    steps: int
    batch: int
    flops: int  # of the matrix products, per row of a minibatch, forward and backward
    hyper: dict = field(default_factory=dict)
    bag: int = 1080
    at_once: int | None = None  # members trained side by side, where fewer than all are faster (caches)

    def bags(self, rows: int) -> list[Tensor]:
        """The first `rows` rows are for training; each member has a random part of them."""
        generator = Seeds(0).child("bags").torch()
        return [torch.randperm(rows, generator=generator)[: self.bag] for _ in range(self.members)]

    @property
    def held_in(self) -> int:
        """Rows for training; the others test."""
        return len(self.x) * 3 // 4


def affine_flops(*sizes: tuple[int, int]) -> int:
    """6 inputs x outputs per affine map: forward, gradient of weights, gradient of inputs; the first has no last one."""
    return sum(6 * i * o for i, o in sizes) - 2 * sizes[0][0] * sizes[0][1]


def digits() -> Case:
    """The weight-ensembles study's own size: 64-128-128-10, 16 members, dropout and input noise for all."""
    data = load_digits()
    x, y = torch.tensor(data.data, dtype=torch.float32) / 16, torch.tensor(data.target)
    order = torch.randperm(len(x), generator=Seeds(0).child("split").torch())
    hyper = {"dropout": 0.1, "noise": 0.1, "label_smoothing": 0.1}
    sizes = (64, 128, 128, 10)
    return Case("mlp of the study", MLP(sizes), lambda: mlp(sizes, 0.1), x[order], y[order], 16, 500, 64,
                affine_flops(*pairwise(sizes)), hyper)  # fmt: skip


def pictures() -> tuple[Tensor, Tensor]:
    """Flat 28 x 28 pictures of 10 classes: each class has a faint random pattern of its own, under noise."""
    generator = Seeds(1).torch()
    y, patterns = torch.randint(10, (2000,), generator=generator), torch.randn(10, 784, generator=generator)
    return patterns[y] * 0.3 + torch.randn(2000, 784, generator=generator), y


def cases() -> list[Case]:
    """The study's size and three others."""
    x, y = pictures()
    wide = Case("mlp 784-128-10", MLP((784, 128, 10)), lambda: mlp((784, 128, 10), 0.1), x, y, 16, 100, 64,
                affine_flops((784, 128), (128, 10)), {"dropout": 0.1}, at_once=4)  # fmt: skip
    conv = Case("convnet 28x28", ConvNet(28, 1, 16, 10), convnet, x.view(-1, 1, 28, 28), y, 8, 30, 64,
                4 * 9 * 16 * 196 + 6 * 9 * 16 * 32 * 49 + 6 * 1568 * 10, at_once=4)  # fmt: skip
    net = Transformer(32, 16, 8, width=32, heads=4, layers=2)
    tokens = torch.randint(32, (2000, 16), generator=Seeds(2).torch())
    d, length = 32, 16
    text = Case("transformer d=32 T=16", net, lambda: Encoder(net), tokens, (tokens[:, :4].sum(1) % 8), 16, 20, 32,
                2 * length * (6 * 12 * d * d + 12 * length * d))  # fmt: skip
    return [digits(), wide, conv, text]


def mlp(sizes: tuple[int, ...], dropout: float) -> nn.Module:
    """Linear, ReLU, Dropout, ..., Linear."""
    layers: list[nn.Module] = []
    for i, o in pairwise(sizes[:-1]):
        layers += [nn.Linear(i, o), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def convnet() -> nn.Module:
    """The peer of ConvNet(28, 1, 16, 10)."""
    blocks = [nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(1568, 10))


def loop(case: Case, adam: str, device: str, members: int, steps: int) -> list[nn.Module]:
    """The peer: one network after the other, epochs of shuffled bags in full minibatches."""
    x, y, smoothing = case.x.to(device), case.y.to(device), case.hyper.get("label_smoothing", 0.0)
    noise, trained = case.hyper.get("noise", 0.0), []
    for bag in case.bags(case.held_in)[:members]:
        module, done = case.module().to(device), 0
        optimiser = torch.optim.Adam(module.parameters(), lr=1e-3, weight_decay=1e-4, **ADAMS[adam])
        while done < steps:
            for rows in bag[torch.randperm(len(bag))].to(device).split(case.batch)[: min(len(bag) // case.batch, steps - done)]:
                inputs = x[rows]
                if noise:
                    inputs = inputs + noise * torch.randn_like(inputs)
                optimiser.zero_grad()
                F.cross_entropy(module(inputs), y[rows], label_smoothing=smoothing).backward()
                optimiser.step()
                done += 1
        trained.append(module.eval())
    return trained


def starts(case: Case) -> list[Params]:
    """A start of its own for each member, as the peer's modules have."""
    return [case.net.init(Seeds(0).child("start", k)) for k in range(case.members)]


def population(case: Case, device: str, steps: int, **changes: object) -> Population:
    """Ours."""
    start = {name: value.to(device) for name, value in stack(starts(case)).items()}
    hyper = Hyperparameters(lr=1e-3, weight_decay=1e-4, **(case.hyper | changes))
    return train(case.net, start, case.x.to(device), case.y.to(device), members=case.members, steps=steps, batch_size=case.batch,
                 hyper=hyper, seeds=Seeds(0), subsets=case.bags(case.held_in), members_at_once=case.at_once)  # fmt: skip


def timed(work: Callable[[], object], device: str) -> float:
    """Wall seconds."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def matmul_gflops(device: str, size: int = 1024) -> float:
    """The machine's rate at a large float32 matrix product, best of ten."""
    a = torch.randn(size, size, device=device)
    return 2 * size**3 / min(timed(lambda: a @ a, device) for _ in range(10)) / 1e9


def fastest_adam(case: Case, device: str) -> str:
    """The fastest of torch's Adam implementations for this network."""
    steps = max(case.steps // 10, 5)
    return min(ADAMS, key=lambda adam: min(timed(lambda: loop(case, adam, device, 1, steps), device) for _ in range(3)))


def difference(case: Case, device: str, steps: int = 10) -> float:
    """Largest parameter difference after `steps` steps without noise and dropout, same start and same minibatches.

    The peer here is the net itself under torch.optim.Adam, one member at a time.
    """
    ours = unstack(population(case, device, steps, noise=0.0, dropout=0.0).params)
    bags, worst, smoothing = case.bags(case.held_in), 0.0, case.hyper.get("label_smoothing", 0.0)
    x, y = case.x.to(device), case.y.to(device)
    for k, start in enumerate(starts(case)):
        feed = Feed(x, y, [bags[k]], case.batch, torch.zeros(1), [Seeds(0).child("member", k)])
        params = {name: value.to(device).requires_grad_() for name, value in start.items()}
        optimiser = torch.optim.Adam(params.values(), lr=1e-3, weight_decay=1e-4)
        for step in range(steps):
            (inputs,), (targets,) = feed.at(step)
            optimiser.zero_grad()
            F.cross_entropy(case.net.apply(params, inputs), targets, label_smoothing=smoothing).backward()
            optimiser.step()
        worst = max(worst, *(float((ours[k][name] - value.detach()).abs().max()) for name, value in params.items()))
    return worst


def accuracies(case: Case, adam: str, device: str) -> tuple[float, float]:
    """Mean test accuracy of ours and of the peer's networks, full random streams on both sides."""
    x, y = case.x[case.held_in :].to(device), case.y[case.held_in :].to(device)
    ours = evaluate(case.net, population(case, device, case.steps).params, x, y).double().mean() / len(y)
    modules = loop(case, adam, device, case.members, case.steps)
    with torch.no_grad():
        peers = [(module(x).argmax(1) == y).double().mean() for module in modules]
    return float(ours), float(torch.stack(peers).mean())


def compare(case: Case, device: str, repeats: int) -> dict:
    """One row."""
    adam = fastest_adam(case, device)
    ours, peers = [], []
    population(case, device, 5)
    for _ in range(repeats):
        ours.append(timed(lambda: population(case, device, case.steps), device))
        peers.append(timed(lambda: loop(case, adam, device, case.members, case.steps), device))
    low, middle, high = statistics.quantiles([p / o for p, o in zip(peers, ours, strict=True)], n=4)
    seconds, (own, theirs) = statistics.median(ours), accuracies(case, adam, device)
    gflops = case.members * case.steps * case.batch * case.flops / seconds / 1e9
    return {
        "name": f"population training, {case.name}", "device": device, "threads": torch.get_num_threads(), "repeats": repeats,
        "size": f"K={case.members}, {case.at_once or case.members} at once, batch {case.batch}, {case.steps} steps",
        "ours_s": seconds, "peer": f"loop of torch modules, {adam} Adam", "peer_s": statistics.median(peers),
        "ratio": middle, "noise": high - low, "gflops": gflops, "fraction_of_matmul": gflops / matmul_gflops(device),
        "accuracy": own, "peer_accuracy": theirs, "largest_difference": difference(case, device),
    }  # fmt: skip


def rows(device: str = "cpu", repeats: int = 5) -> list[dict]:
    """All sizes; the study's own on a CPU also with one thread, as in a sweep that pins one core to each run."""
    table = [compare(case, device, repeats) for case in cases()]
    threads = torch.get_num_threads()
    if device == "cpu" and threads > 1:
        torch.set_num_threads(1)
        row = compare(replace(digits(), steps=200), device, repeats)
        torch.set_num_threads(threads)
        table.append(row | {"name": f"{row['name']}, one thread"})
    return table


if __name__ == "__main__":
    for row in rows():
        print({key: float(f"{value:.3g}") if isinstance(value, float) else value for key, value in row.items()})
