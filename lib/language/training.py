"""Anchors: one LoRA adapter for each corpus, all from the same frozen base, trained side by side."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.language.adapters import TARGETS, Adapter
from lib.language.backbone import Backbone
from lib.language.lanes import Lanes
from lib.language.mixing import check_unmixed
from lib.population.streams import Order
from lib.seeds import Seeds

Name = str | tuple[str, ...]
Progress = Callable[[float], None]  # told the share of the work that is done

TOKENS_AT_ONCE = 1024  # through the model in one pass: enough for fast matrix products, about 1.5 GB of activations


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How an anchor is trained, with AdamW [loshchilov2019] on blocks of `block` tokens, `batch` of them a step.

    `dropout`: share of a branch's inputs that is left out at random while it trains, the others scaled up.
    The learning rate rises over `warmup` steps to `lr` and then falls linearly to zero at step `steps`. `precision` is that
    of products with the frozen matrices: "full" (the model's own), "bfloat16", or "auto", bfloat16 where the processor
    multiplies it natively. The factors, their gradients and what flows between layers have the model's own.
    Errors: ValueError naming the field.
    """

    rank: int = 8
    lora_alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = TARGETS
    lr: float = 2e-3
    steps: int = 40
    batch: int = 8
    block: int = 32
    warmup: int = 2
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name, least in {"rank": 1, "steps": 1, "batch": 1, "block": 2, "warmup": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}: got {getattr(self, name)}, allowed are whole numbers >= {least}")
        for name in ("lr", "lora_alpha"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: got {getattr(self, name)}, allowed are numbers > 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: got {self.dropout}, allowed are numbers in [0, 1)")
        if not self.targets:
            raise ValueError(f"targets: got {self.targets!r}, allowed are one or more names of linear layers")
        if self.precision not in ("auto", "full", "bfloat16"):
            raise ValueError(f"precision: got {self.precision!r}, allowed are auto, full, bfloat16")

    def lr_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        return self.lr * (self.steps - step) / (self.steps - self.warmup)

    def resolved(self, backbone: Backbone) -> "Recipe":
        """The same with a precision that is not left open."""
        return replace(self, precision=resolved_precision(self.precision, backbone.device))


def resolved_precision(precision: str, device: torch.device) -> str:
    """What "auto" is on this device: "bfloat16" or "full"."""
    if precision != "auto":
        return precision
    return "bfloat16" if _multiplies_bfloat16(device) else "full"


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether there are instructions for it; without them it is far slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def blocks_of(texts: Sequence[str], backbone: Backbone, block: int) -> Int[Tensor, "n block"]:
    """Rows of `block` tokens of the texts one after the other, each behind the start token; a short rest is left out.

    Errors: ValueError for no texts, or for fewer tokens than one row.
    """
    if not texts:
        raise ValueError("corpus: got no texts, allowed is one or more")
    stream = torch.tensor([token for row in backbone.encode(texts) for token in (backbone.start, *row)])
    if len(stream) < block:
        raise ValueError(f"corpus: {len(texts)} texts of {len(stream)} tokens, allowed are at least {block} tokens")
    return stream[: len(stream) // block * block].view(-1, block)


def train_anchors(
    backbone: Backbone,
    corpora: Mapping[Name, Sequence[str]],
    recipe: Recipe,
    seeds: Seeds,
    progress: Progress = lambda share: None,
) -> dict[Name, Adapter]:
    """One adapter for each named corpus, which does not depend on what else is trained beside it.

    Each has its own start and its own order of the blocks, from the node that bears its name. Its meta holds the recipe, the
    mean loss of every step in nats per token and the number of blocks.

    Errors: ValueError for an unusable corpus, naming it; RuntimeError for a model that holds a mix; FloatingPointError
    naming the anchor whose loss is not finite.
    """
    check_unmixed(backbone.model)
    if not corpora:
        raise ValueError("corpora: got none, allowed is one or more")
    rows = {}
    for name, texts in corpora.items():
        try:
            rows[name] = blocks_of(texts, backbone, recipe.block)
        except ValueError as error:
            raise ValueError(f"anchor {name!r}: {error}") from None
    groups = math.ceil(len(rows) / _fitting(recipe))
    trained: dict[Name, Adapter] = {}
    for k in range(groups):
        names = list(rows)[len(rows) * k // groups : len(rows) * (k + 1) // groups]
        group = {name: rows[name] for name in names}
        trained |= _train_group(backbone, group, recipe, seeds, partial(_overall, progress, k, groups))
    return trained


def expected_seconds(backbone: Backbone, recipe: Recipe, count: int) -> float:
    """About how long `train_anchors` takes for so many corpora here and now: one step is done, on a meaningless text."""
    recipe = recipe.resolved(backbone)
    together = min(count, _fitting(recipe))
    lanes = _lanes(backbone, recipe, [Seeds(0).child("clock", lane) for lane in range(together)])
    ids = torch.full((together, recipe.batch, recipe.block), backbone.start, device=backbone.device)
    began = time.perf_counter()
    _backward(lanes, ids)
    return (time.perf_counter() - began) * recipe.steps * count / together


def _fitting(recipe: Recipe) -> int:
    """How many anchors pass through the model together."""
    return max(1, TOKENS_AT_ONCE // (recipe.batch * recipe.block))


def _lanes(backbone: Backbone, recipe: Recipe, nodes: Sequence[Seeds]) -> Lanes:
    dtype = torch.bfloat16 if recipe.precision == "bfloat16" else backbone.model.dtype
    return Lanes(backbone.model, recipe.targets, recipe.rank, recipe.lora_alpha / recipe.rank, dtype, nodes, recipe.dropout)


def _overall(progress: Progress, k: int, groups: int, share: float) -> None:
    """A group's progress as that of all of them."""
    progress((k + share) / groups)


def _train_group(
    backbone: Backbone, rows: Mapping[Name, Int[Tensor, "_ block"]], recipe: Recipe, seeds: Seeds, progress: Progress
) -> dict[Name, Adapter]:
    """Anchors that pass through the model together."""
    recipe = recipe.resolved(backbone)
    nodes = [_node(seeds, name) for name in rows]
    orders = [Order(torch.arange(len(own)), node) for own, node in zip(rows.values(), nodes, strict=True)]
    lanes = _lanes(backbone, recipe, nodes)
    optimiser = torch.optim.AdamW(lanes.parameters(), lr=recipe.lr, foreach=True)
    history = []
    for step in range(recipe.steps):
        ids = torch.stack([own[order.take(recipe.batch)] for own, order in zip(rows.values(), orders, strict=True)])
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr_at(step)
        history.append(_backward(lanes, ids.to(backbone.device)))
        _check_finite(history[-1], list(rows), step)
        optimiser.step()
        optimiser.zero_grad()
        progress((step + 1) / recipe.steps)
    losses = torch.stack(history, 1).tolist()
    facts = asdict(recipe) | {"targets": list(recipe.targets)}  # JSON has no tuples
    return {
        name: Adapter(
            lanes.factors(lane), recipe.lora_alpha, backbone.fingerprint,
            {"recipe": facts, "losses": losses[lane], "blocks": len(rows[name])},
        )
        for lane, name in enumerate(rows)
    }  # fmt: skip


def _backward(lanes: Lanes, ids: Int[Tensor, "L B T"]) -> Float[Tensor, "L"]:
    """Gradients of every lane's mean loss, gathered over parts of the batch that fit in memory; the mean losses."""
    count, total = ids.shape[1] * (ids.shape[2] - 1), torch.zeros(len(ids))
    for part in _parts(ids):
        losses = lanes.losses(part) / count
        losses.sum().backward()  # a sum, not a mean: the gradient of each lane is its own
        total += losses.detach().cpu()
    return total


def _parts(ids: Int[Tensor, "L B T"]) -> Iterator[Int[Tensor, "L b T"]]:
    lanes, _, length = ids.shape
    yield from ids.split(max(1, TOKENS_AT_ONCE // (lanes * length)), dim=1)


def _check_finite(losses: Float[Tensor, "L"], names: Sequence[Name], step: int) -> None:
    for name, loss in zip(names, losses.tolist(), strict=True):
        if not math.isfinite(loss):
            raise FloatingPointError(f"anchor {name!r}: the loss is {loss} at step {step}; lower the learning rate")


def _node(seeds: Seeds, name: Name) -> Seeds:
    return seeds.child("anchor", *([name] if isinstance(name, str) else name))
