"""Label-aware neural transport maps from a base to several sources, trained as one max-min problem each, all at once.

For base Q and source P with label distances W2(alpha_y, alpha_c), squared, in a table:

    max over f, min over T:  E_Q[lam_x |x - T(x, y)|^2 + lam_y sum_c h_c(T) W2(alpha_y, alpha_c) - f(T, h(T))] + E_P[f(x', y')]

T maps a point and its class to a point, h is a classifier trained on P beforehand that gives the image its soft label, and the
critic f prices where the images must go [fan2023]. Reconstructed for small data: residual multilayer perceptrons for T and f.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lib.nets import MLP, Params
from lib.population import Hyperparameters, stack, train
from lib.seeds import Seeds
from lib.transport.dataset_distance import Settings
from lib.transport.geodesics import SoftCloud
from lib.transport.labels import LabelledData

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class NeuralSettings:
    """How the maps are trained; the defaults suit hundreds of points in a few to 64 dimensions.

    `width`: units of each of the two hidden layers of T, f and h. `steps`: critic steps, each followed by `map_steps` of the
    map. `identity_steps`: first phase, in which T is regressed to the identity. `classifier_steps`: for h. `batch_size`: rows
    of each side a step. `map_rate`, `critic_rate`: of Adam with betas (0.5, 0.999). `average`: decay of the moving average of
    T that is returned.
    """

    width: int = 64
    steps: int = 1000
    map_steps: int = 4
    identity_steps: int = 100
    classifier_steps: int = 300
    batch_size: int = 64
    map_rate: float = 5e-4
    critic_rate: float = 5e-4
    average: float = 0.995

    def __post_init__(self) -> None:
        for name in ("width", "steps", "map_steps", "identity_steps", "classifier_steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, allowed are whole numbers >= 1")
        for name in ("map_rate", "critic_rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: got {getattr(self, name)}, allowed are numbers > 0")
        if not 0 <= self.average < 1:
            raise ValueError(f"average: got {self.average}, allowed is 0 to below 1")


def neural_maps(
    base: LabelledData,
    sources: Sequence[LabelledData],
    table: Float[Tensor, "L L"],
    settings: Settings = Settings(),
    neural: NeuralSettings = NeuralSettings(),
    *,
    seeds: Seeds,
    progress: Progress | None = None,
) -> tuple[SoftCloud, ...]:
    """The images of all base points in every source, with soft labels: a neural stand-in for `project`.

    `table`: squared distances between all classes, the base's first, as `label_table` gives it. Results have the type of the
    base's features; the nets work in float32 on features that are shifted and scaled alike for all sets.
    Errors: RuntimeError naming the source whose map is not finite at the end.
    """
    game = _Game(base, sources, table, settings, neural, seeds)
    game.start()
    for step in range(neural.steps):
        game.critic_step()
        for _ in range(neural.map_steps):
            game.map_step()
        if progress is not None:
            progress(step + 1, neural.steps)
    return game.images()


def map_error(image: SoftCloud, other: SoftCloud, base: SoftCloud) -> float:
    """Mean distance of two maps' images of the base points, in parts of the second map's mean displacement."""
    apart = (image.features - other.features).norm(dim=1)
    moved = (other.features - base.features).norm(dim=1)
    return float((other.mass @ apart) / (other.mass @ moved))


class _Game:
    """The state of m max-min problems: stacked nets T, f and h with the source as leading axis, and their data."""

    def __init__(
        self,
        base: LabelledData,
        sources: Sequence[LabelledData],
        table: Tensor,
        settings: Settings,
        neural: NeuralSettings,
        seeds: Seeds,
    ) -> None:
        self.base, self.sources, self.settings, self.neural, self.seeds = base, sources, settings, neural, seeds
        pooled = torch.cat([base.features, *(source.features for source in sources)])
        self.centre, self.scale = pooled.mean(0), pooled.std(0).square().mean().sqrt()
        self.classes = max(source.classes for source in sources)
        d, width = base.features.shape[1], neural.width
        self.map_net = MLP((d + base.classes, width, width, d), "gelu")
        self.critic_net = MLP((d + self.classes, width, width, 1), "gelu")
        self.classifier_net = MLP((d, width, width, self.classes))
        self.x, self.y = self._scaled(base.features), base.one_hot.float()
        self.targets = [self._scaled(source.features) for source in sources]
        widths = [source.classes for source in sources]
        hot = [torch.nn.functional.pad(s.one_hot.float(), (0, self.classes - s.classes)) for s in sources]
        self.target_labels = hot
        self.absent = torch.tensor([[c >= width for c in range(self.classes)] for width in widths], device=self.x.device)
        self.costs = self._label_costs(table, widths)

    def start(self) -> None:
        """Classifier, fresh nets, optimisers, and the phase in which T learns the identity."""
        self.generator = self.seeds.child("batches").torch(self.x.device)
        self.classifier = self._trained_classifier()
        self.map, self.critic = (self._fresh(net, name) for net, name in ((self.map_net, "map"), (self.critic_net, "critic")))
        self.map_optimiser = self._adam(self.map, self.neural.map_rate)
        self.critic_optimiser = self._adam(self.critic, self.neural.critic_rate)
        for _ in range(self.neural.identity_steps):
            x, y = self._base_batch()
            self._descend(self.map_optimiser, self.map, (self.moved(self.map, x, y) - x).square().sum(-1).mean(1))
        self.averaged = {name: value.detach().clone() for name, value in self.map.items()}

    def critic_step(self) -> None:
        """Raise E_P[f] - E_Q[f(T)]."""
        x, y = self._base_batch()
        with torch.no_grad():
            image = self.moved(self.map, x, y)
            label = self.labelled(image)
        price = self.priced(image, label) - self.priced(*self._target_batch())
        self._descend(self.critic_optimiser, self.critic, price.mean(1))

    def map_step(self) -> None:
        """Lower the cost of the map less the price of where it goes, and move the average after it."""
        x, y = self._base_batch()
        image = self.moved(self.map, x, y)
        label = self.labelled(image)
        cost = self.settings.lam_x * (image - x).square().sum(-1)
        cost = cost + self.settings.lam_y * ((y @ self.costs) * label).sum(-1)
        self._descend(self.map_optimiser, self.map, (cost - self.priced(image, label)).mean(1))
        with torch.no_grad():
            for name, value in self.averaged.items():
                value.lerp_(self.map[name], 1 - self.neural.average)

    @torch.no_grad()
    def images(self) -> tuple[SoftCloud, ...]:
        """All base points under the averaged maps, in the features' own units."""
        k, like = len(self.sources), self.base.features
        image = self.moved(self.averaged, self.x.expand(k, -1, -1), self.y.expand(k, -1, -1))
        label = self.labelled(image)
        if not image.isfinite().all():
            bad = (~image.isfinite()).flatten(1).any(1).int().argmax().item()
            raise RuntimeError(f"neural map: source {bad} came out not finite; lower map_rate or critic_rate")
        features = image.to(like) * self.scale + self.centre
        mass = like.new_full((len(like),), 1 / len(like))
        widths = [source.classes for source in self.sources]
        return tuple(SoftCloud(features[i], label[i, :, :c].to(like), mass, (c,)) for i, c in enumerate(widths))

    def moved(self, params: Params, x: Float[Tensor, "K B d"], y: Float[Tensor, "K B C"]) -> Float[Tensor, "K B d"]:
        """T(x, y) = x + net(x, y)."""
        return x + self.map_net.apply(params, torch.cat([x, y], -1))

    def labelled(self, image: Float[Tensor, "K B d"]) -> Float[Tensor, "K B C"]:
        """h(T): soft labels over each source's own classes."""
        return self.classifier_net.apply(self.classifier, image).masked_fill(self.absent[:, None], float("-inf")).softmax(-1)

    def priced(self, x: Float[Tensor, "K B d"], label: Float[Tensor, "K B C"]) -> Float[Tensor, "K B"]:
        """f(x, label)."""
        return self.critic_net.apply(self.critic, torch.cat([x, label], -1)).squeeze(-1)

    def _scaled(self, features: Tensor) -> Float[Tensor, "n d"]:
        return ((features - self.centre) / self.scale).float()

    def _label_costs(self, table: Tensor, widths: list[int]) -> Float[Tensor, "K C D"]:
        """Each source's block of the table in the scaled unit, padded to one width."""
        blocks = table[: self.base.classes].split([self.base.classes, *widths], dim=1)[1:]
        padded = [torch.nn.functional.pad(block, (0, self.classes - block.shape[1])) for block in blocks]
        return (torch.stack(padded) / self.scale**2).float()

    def _trained_classifier(self) -> Params:
        """h of every source, one population; each sees its own rows."""
        sizes = torch.tensor([len(x) for x in self.targets])
        ends = sizes.cumsum(0)
        bags = [torch.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]
        return train(
            self.classifier_net, self._fresh(self.classifier_net, "classifier"),
            torch.cat(self.targets), torch.cat([source.labels for source in self.sources]),
            members=len(sizes), steps=self.neural.classifier_steps, batch_size=self.neural.batch_size,
            hyper=Hyperparameters(lr=1e-3), seeds=self.seeds.child("classifier"), subsets=bags,
        ).params  # fmt: skip

    def _fresh(self, net: MLP, name: str) -> Params:
        params = stack([net.init(self.seeds.child(name, i)) for i in range(len(self.sources))])
        return {key: value.to(self.x.device).requires_grad_() for key, value in params.items()}

    def _adam(self, params: Params, rate: float) -> torch.optim.Adam:
        return torch.optim.Adam(params.values(), lr=rate, betas=(0.5, 0.999), fused=True)

    def _descend(self, optimiser: torch.optim.Adam, params: Params, losses: Float[Tensor, "K"]) -> None:
        """One step; the losses of different sources share no parameter, so their sum gives each its own gradient."""
        for value, slope in zip(params.values(), torch.autograd.grad(losses.sum(), list(params.values())), strict=True):
            value.grad = slope
        optimiser.step()

    def _rows(self, n: int) -> Tensor:
        return torch.randint(n, (self.neural.batch_size,), generator=self.generator, device=self.x.device)

    def _base_batch(self) -> tuple[Float[Tensor, "K B d"], Float[Tensor, "K B C"]]:
        rows = torch.stack([self._rows(len(self.x)) for _ in self.sources])
        return self.x[rows], self.y[rows]

    def _target_batch(self) -> tuple[Float[Tensor, "K B d"], Float[Tensor, "K B C"]]:
        rows = [self._rows(len(target)) for target in self.targets]
        pick = [[table[row] for table, row in zip(tables, rows, strict=True)] for tables in (self.targets, self.target_labels)]
        return torch.stack(pick[0]), torch.stack(pick[1])
