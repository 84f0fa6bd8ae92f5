"""Students of one budget of the study soft-labels trained as one population, against the plain loop over students.

All labellers of the quick size's five draws at five images of a class, on the real images with the experts' real labels: 32
labellers x 5 draws, each a student 196-128-10, 150 full batches of 50. The peer is torch's own: nn.Sequential, F.cross_entropy
on probabilities, the fastest of torch.optim.SGD's implementations (found in a short race), one student after the other; it need
not gather batches, since a batch is all there is. Both sides have the same starts, images, labels and falling rates, so they
must find the same students: parameters are compared after a tenth of the steps, accuracies after all.

Ours and the peer run in turn; the ratio is the median of the turns' ratios, `noise` their interquartile range. `gflops` counts
the matrix products of forward and backward alone, `fraction_of_matmul` sets it against a large matrix product here.
"""

import statistics
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.distillation.experiment import labellers
from lib.distillation.fitting import quarterly
from lib.distillation.lessons import prepare
from lib.distillation.setup import Setup
from lib.distillation.students import Arm, Students, train_students
from lib.distillation.task import Task
from lib.nets import MLP
from lib.population import unstack
from lib.seeds import Seeds
from lib.studies.soft_labels import Params
from tests.benchmarks.bench_population import affine_flops, matmul_gflops, timed

IPC, SEEDS = 5, Seeds(0).child("bench")
CLOSE, CLOSE_ACCURACY = 1e-4, 0.2  # of parameters after a tenth of the steps; of the mean accuracy in points after all
SGDS = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}


@dataclass(frozen=True)
class Case:
    """Arms on the images of all draws, of which each sees its own draw's `rows`."""

    setup: Setup
    task: Task
    x: Tensor
    arms: list[Arm]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the student."""
        return (self.task.pixels, *[self.setup.width] * self.setup.depth, self.task.classes)


def quick(device: str) -> Case:
    """The quick size at one budget."""
    params = Params(seed=0).model_dump() | {"ipcs": [IPC], "structure_ipcs": [IPC], "learned_steps": 0, "device": device}
    setup = Setup.of(params)
    prepared = prepare(setup, SEEDS)
    task, n = prepared.task, IPC * prepared.task.classes
    images, arms = [], []
    for d, draw in enumerate(prepared.draws):
        (budget,) = draw.budgets
        images.append(task.x_train[budget.rows.to(task.x_train.device)])
        mine, truth = torch.arange(n * d, n * (d + 1)), task.y_train[budget.rows.to(task.y_train.device)].cpu()
        for way in labellers(budget, truth, setup):
            labels = torch.zeros(n * len(prepared.draws), task.classes, dtype=way.q.dtype)
            labels[mine] = way.q
            arms.append(Arm(f"draw {d}, {way.name}", labels, mine))
    return Case(setup, task, torch.cat(images), arms)


def population(case: Case, steps: int) -> Students:
    """Ours."""
    setup = replace(case.setup, batch_size=IPC * case.task.classes)
    return train_students(
        setup.network(case.task), case.x, case.arms, students=1, steps=steps, lr=setup.lrs[0], seeds=SEEDS,
        members_at_once=setup.members_at_once, **setup.student_recipe(case.task),
    )  # fmt: skip


def loop(case: Case, sgd: str, arms: list[Arm], steps: int) -> list[nn.Sequential]:
    """The peer."""
    setup, start, trained = case.setup, MLP(case.sizes).init(SEEDS.child("student", 0, "start")), []
    factor = quarterly(steps)
    for arm in arms:
        x, q = case.x[arm.rows.to(case.x.device)], arm.labels[arm.rows].to(case.x)
        module = mlp(case.sizes).to(case.x)
        module.load_state_dict(dict(zip(module.state_dict(), start.values(), strict=True)))
        hyper = {"lr": setup.lrs[0], "momentum": setup.momentum, "weight_decay": setup.weight_decay}
        optimiser = torch.optim.SGD(module.parameters(), **hyper, **SGDS[sgd])
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = setup.lrs[0] * factor(step)
            optimiser.zero_grad()
            F.cross_entropy(module(x), q).backward()
            optimiser.step()
        trained.append(module)
    return trained


def mlp(sizes: tuple[int, ...]) -> nn.Sequential:
    """Linear, ReLU, ..., Linear."""
    layers: list[nn.Module] = []
    for i, o in pairwise(sizes[:-1]):
        layers += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def fastest_sgd(case: Case, device: str) -> str:
    """The fastest of torch's SGD implementations for this network."""
    loop(case, "default", case.arms[:1], 2)  # torch loads a part of itself at the first step of any optimiser
    return min(SGDS, key=lambda sgd: min(timed(lambda: loop(case, sgd, case.arms[:1], 50), device) for _ in range(3)))


def difference(case: Case, sgd: str) -> float:
    """Largest difference of any parameter of any student after a tenth of the steps. RuntimeError if they are others."""
    steps = case.setup.steps // 10
    ours, worst = unstack(population(case, steps).params), 0.0
    for mine, module in zip(ours, loop(case, sgd, case.arms, steps), strict=True):
        worst = max(
            worst, *(float((a - b.detach()).abs().max()) for a, b in zip(mine.values(), module.parameters(), strict=True))
        )
    if worst > CLOSE:
        raise RuntimeError(f"students: parameters differ by {worst:.2g} after {steps} steps, allowed are {CLOSE:g}")
    return worst


def accuracies(case: Case, ours: Students, peers: list[nn.Sequential]) -> tuple[float, float]:
    """Mean test accuracy in % of ours and of the peer's. RuntimeError if they are not the same but for rounding."""
    x, y = case.task.x_test, case.task.y_test
    own = float(ours.accuracy(x, y).mean())
    with torch.no_grad():
        theirs = 100 * float(torch.stack([(module(x).argmax(1) == y).double().mean() for module in peers]).mean())
    if abs(own - theirs) > CLOSE_ACCURACY:
        raise RuntimeError(f"students: mean accuracy is {own:.3f} % and {theirs:.3f} %, allowed are {CLOSE_ACCURACY:g} apart")
    return own, theirs


def compare(case: Case, device: str, repeats: int) -> dict:
    """One row."""
    sgd, steps, count = fastest_sgd(case, device), case.setup.steps, len(case.arms)
    population(case, 5)
    ours, peers = [], []
    for _ in range(repeats):
        ours.append(timed(lambda: population(case, steps), device))
        peers.append(timed(lambda: loop(case, sgd, case.arms, steps), device))
    low, middle, high = statistics.quantiles([p / o for p, o in zip(peers, ours, strict=True)], n=4)
    own, theirs = accuracies(case, population(case, steps), loop(case, sgd, case.arms, steps))
    seconds, n = statistics.median(ours), IPC * case.task.classes
    gflops = count * steps * n * affine_flops(*pairwise(case.sizes)) / seconds / 1e9
    return {
        "name": "students under all labels", "device": device, "threads": torch.get_num_threads(), "repeats": repeats,
        "size": f"{count} students, batch {n}, {steps} steps",
        "ours_s": seconds, "peer": f"loop of torch modules, {sgd} SGD", "peer_s": statistics.median(peers),
        "ratio": middle, "noise": high - low, "gflops": gflops, "fraction_of_matmul": gflops / matmul_gflops(device),
        "accuracy": own / 100, "peer_accuracy": theirs / 100, "largest_difference": difference(case, sgd),
    }  # fmt: skip


def rows(device: str = "cpu", repeats: int = 5) -> list[dict]:
    """With all threads; on a CPU also with one, as in a sweep that pins one core to each run."""
    case, threads = quick(device), torch.get_num_threads()
    table = [compare(case, device, repeats)]
    if device == "cpu" and threads > 1:
        torch.set_num_threads(1)
        row = compare(case, device, min(repeats, 3))
        torch.set_num_threads(threads)
        table.append(row | {"name": f"{row['name']}, one thread"})
    return table


if __name__ == "__main__":
    for row in rows():
        print({key: float(f"{value:.3g}") if isinstance(value, float) else value for key, value in row.items()})
