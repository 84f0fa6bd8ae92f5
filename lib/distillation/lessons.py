"""What each draw of the experiment starts from: its few images, and what the experts say about them.

Experts are trained once for all draws, as one population: an ensemble needs every one of them, and training them anew in each
draw would cost `draws` times as much. A draw gets their logits rather than the experts: those are smaller, and all that it
needs, so that it can be computed anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int64, Shaped
from sklearn.cluster import KMeans
from torch import Tensor

from lib.distillation.experts import Experts, train_experts
from lib.distillation.labels import ensemble
from lib.distillation.mixing import cutmix_views
from lib.distillation.pool import load_task, nested_draw
from lib.distillation.selection import Selection, check_bins, draw_from_bins
from lib.distillation.setup import Setup
from lib.distillation.task import Task
from lib.population import Progress
from lib.seeds import Seeds

Logits = Float[Tensor, "epochs n C"]


@dataclass(frozen=True, eq=False)
class Budget:
    """The images of one draw at one budget, and logits for them after each of the setup's epochs, float32.

    `rows`: n = ipc C row numbers of the training part, grouped by class. `own`: expert rate -> logits of the draw's own expert.
    `together`: mean logits of all experts at the main rate. `each`: those of every expert at the main rate, at the budget where
    labels are learned. `prototypes`: centres of `ipc` clusters of each class, in place of random images; `prototype_logits`:
    the own expert's for them; None if they were left out. `mixed_logits`: the own expert's for the CutMix views that
    `views_of` makes again; None if they were left out. `selection`: images by difficulty, at the last of structure_ipcs, else
    None.
    """

    ipc: int
    rows: Int64[Tensor, "n"]
    own: Mapping[float, Logits]
    together: Logits
    each: Float[Tensor, "epochs E n C"] | None
    prototypes: Shaped[Tensor, "n *row"] | None
    prototype_logits: Logits | None
    mixed_logits: Float[Tensor, "epochs v C"] | None
    selection: Selection | None


@dataclass(frozen=True, eq=False)
class Draw:
    """One repeat before any student is trained. `subjects`: the classes that are left out in turn."""

    number: int
    budgets: tuple[Budget, ...]
    subjects: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Prepared:
    """`experts`: by rate, one expert for each draw. `table`: draw, expert_lr, epoch, validation and test accuracy in %."""

    task: Task
    experts: Mapping[float, Experts]
    table: pd.DataFrame
    draws: tuple[Draw, ...]


def prepare(setup: Setup, seeds: Seeds, progress: Progress | None = None) -> Prepared:
    """Load the task, draw each repeat's images, train all experts and ask them about the images.

    Draw d has expert d; its images depend on `seeds.child("draw", d)` alone. `progress` is called for each rate's training.
    Errors: ValueError and RuntimeError as the pieces raise.
    """
    task = load_task(setup.task, train_size=setup.train_size or None, device=torch.device(setup.device))
    nodes = [seeds.child("draw", d) for d in range(setup.draws)]
    rows = [nested_draw(task.y_train.cpu(), setup.ipcs, node.child("images")) for node in nodes]
    if setup.bins:
        check_bins(task.y_train.cpu(), setup.bins, setup.structure_ipcs[-1])  # before the experts take their time
    experts = {lr: _experts(setup, task, lr, seeds.child("experts"), progress) for lr in setup.expert_lrs}
    subjects = _subjects(task, experts[setup.main_lr], setup.subjects)
    centres = {ipc: class_centres(task, ipc, seeds.child("prototypes", ipc)) for ipc in setup.ipcs if setup.prototypes}
    draws = []
    for d in range(setup.draws):
        budgets = tuple(_budget(setup, task, experts, d, rows[d][ipc], centres.get(ipc), nodes[d]) for ipc in setup.ipcs)
        draws.append(Draw(d, budgets, subjects))
    return Prepared(task, experts, _table(task, experts), tuple(draws))


def images_of(task: Task, rows: Int64[Tensor, "n"]) -> Shaped[Tensor, "n *row"]:
    """These rows of the training part."""
    return task.x_train[rows.to(task.x_train.device)]


def truth_of(task: Task, rows: Int64[Tensor, "n"]) -> Int64[Tensor, "n"]:
    """Their classes."""
    return task.y_train[rows.to(task.y_train.device)].cpu()


def views_of(task: Task, rows: Int64[Tensor, "n"], setup: Setup, seeds: Seeds) -> Shaped[Tensor, "v *row"]:
    """CutMix views of a draw's images at one budget, the same whenever asked; `seeds`: the draw's."""
    return cutmix_views(images_of(task, rows), task.channels, setup.views, seeds.child("views", len(rows) // task.classes))


def class_centres(task: Task, ipc: int, seeds: Seeds) -> Shaped[Tensor, "n *row"]:
    """Centres of `ipc` k-means clusters of each class's training images: prototypes that stand for the data's distribution.

    (Our stand-in for distribution matching [zhao2023] on raw pixels, whose optimum at one image a class is the class mean.)
    They are images as the task's are, bytes rounded.
    """
    x, centres = task.x_train, []
    for c in range(task.classes):
        mine = x[(task.y_train == c).to(x.device)].flatten(1).cpu().double().numpy()
        state = seeds.child("class", c).integer() % 2**32
        centres.append(KMeans(ipc, n_init=1, random_state=state).fit(mine).cluster_centers_)
    found = torch.from_numpy(np.concatenate(centres)).view(-1, *x.shape[1:])
    return (found if x.is_floating_point() else found.round()).to(x)


def _experts(setup: Setup, task: Task, lr: float, seeds: Seeds, progress: Progress | None) -> Experts:
    """One expert for each draw; experts of different rates share starts and data order."""
    return train_experts(
        task, setup.network(task), experts=setup.draws, epochs=setup.epochs, lr=lr, seeds=seeds,
        members_at_once=setup.members_at_once, progress=progress, **setup.expert_recipe(task),
    )  # fmt: skip


def _subjects(task: Task, experts: Experts, count: int) -> tuple[int, ...]:
    """`count` classes, spread over the range from the hardest to the easiest for the trained experts; all if there are fewer."""
    if not 1 <= count <= task.classes:
        raise ValueError(f"subjects: got {count}, allowed are 1 to {task.classes}, the classes of {task.name!r}")
    found = experts.logits(experts.epochs[-1], task.x_validation).argmax(-1) == task.y_validation
    accuracy = torch.stack([found[:, task.y_validation == c].double().mean() for c in range(task.classes)])
    places = torch.linspace(0, task.classes - 1, count).round().long()
    return tuple(accuracy.cpu().argsort(stable=True)[places].tolist())


def _budget(
    setup: Setup, task: Task, experts: Mapping[float, Experts], d: int, rows: Tensor, centres: Tensor | None, seeds: Seeds
) -> Budget:
    ipc, x, mine = len(rows) // task.classes, images_of(task, rows), experts[setup.main_lr].only(d)
    found = {lr: _logits(each, x) for lr, each in experts.items()}
    main = found[setup.main_lr]
    together = torch.stack([ensemble(z) for z in main]).float()
    own = {lr: z[:, d].clone() for lr, z in found.items()}  # not a view, which would carry all experts along
    prototypes = None if centres is None else centres.cpu()
    prototype_logits = None if centres is None else _logits(mine, centres)[:, 0]
    mixed_logits = _logits(mine, views_of(task, rows, setup, seeds))[:, 0] if setup.views else None
    learning = setup.learned_steps and ipc == setup.structure_ipcs[0]
    choosing = setup.bins and ipc == setup.structure_ipcs[-1]
    selection = _selection(task, mine, setup.bins, ipc, seeds.child("selection")) if choosing else None
    return Budget(
        ipc, rows, own, together, main if learning else None, prototypes, prototype_logits, mixed_logits, selection
    )  # fmt: skip


def _selection(task: Task, expert: Experts, bins: int, ipc: int, seeds: Seeds) -> Selection:
    """Images by their cross-entropy under one expert after its last epoch, which has learned from these very images."""
    losses = expert.losses(expert.epochs[-1], task.x_train, task.y_train)[0].cpu()
    rows = draw_from_bins(losses, task.y_train.cpu(), bins, ipc, seeds)
    return Selection(rows, _logits(expert, images_of(task, rows.flatten()))[:, 0])


def _logits(experts: Experts, x: Tensor) -> Float[Tensor, "epochs E n C"]:
    """After every epoch, as the network's own float32."""
    return torch.stack([experts.logits(epoch, x) for epoch in experts.epochs]).float().cpu()


def _table(task: Task, experts: Mapping[float, Experts]) -> pd.DataFrame:
    rows = []
    for lr, found in experts.items():
        test = found.accuracy_on(task.x_test, task.y_test)
        for e, epoch in enumerate(found.epochs):
            for d in range(test.shape[1]):
                rows.append((d, lr, epoch, found.accuracy[e, d].item(), test[e, d].item()))
    return pd.DataFrame(rows, columns=["draw", "expert_lr", "epoch", "validation", "test"])
