"""The random streams of a population: data order, input noise and dropout masks, one stream per member and purpose.

Numbers are drawn for several steps at once, in blocks [K, steps, ...]. How many steps depends on one member's own
shapes only, so that member k gets the same numbers whatever K is and whoever trains beside it. Every stream is
asked for its steps in order, each once.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lib.seeds import Seeds

Augment = Callable[[Sequence[Seeds]], Callable[[Tensor, int], Tensor]]

NUMBERS_AT_ONCE = 2**15  # per member and draw: enough to hide the cost of a call, few enough to stay in the cache
ORDER_STEPS = 64
LEVELS = 2**16  # a dropout mask compares 16 random bits with a threshold


class Order:
    """Endless epochs of one member's bag, each freshly shuffled, cut into pieces that run on across epochs."""

    def __init__(self, bag: Int[Tensor, "n"], seeds: Seeds) -> None:
        self.bag, self.generator, self.queue = bag, seeds.child("order").torch(), bag[:0]

    def take(self, count: int) -> Int[Tensor, "count"]:
        """The next `count` row numbers."""
        shuffles = math.ceil((count - len(self.queue)) / len(self.bag))
        epochs = [torch.randperm(len(self.bag), generator=self.generator) for _ in range(shuffles)]
        rows = torch.cat([self.queue, *(self.bag[epoch] for epoch in epochs)])
        self.queue = rows[count:]
        return rows[:count]


class Blocks:
    """Serves `draw()`, a block [K, steps, ...], one step at a time and draws the next when it is used up."""

    def __init__(self, steps: int, draw: Callable[[], Tensor]) -> None:
        self.steps, self.draw = steps, draw

    def at(self, step: int) -> Tensor:
        """The numbers [K, ...] of this step."""
        slot = step % self.steps
        if slot == 0:
            self.block = self.draw()
        return self.block[:, slot]


class Feed:
    """Minibatches of all members: rows [K, B, ...] of x, with input noise, and their targets.

    `y` is one target for each row of x, or with `label_sets` [K] several sets of them [G, n, ...], of which member k
    reads number label_sets[k]. `augment`, called once with the members' nodes, gives the function (inputs, step) -> inputs that
    is the last to change them.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        bags: Sequence[Tensor],
        batch_size: int,
        noise: Float[Tensor, "K"],
        seeds: Sequence[Seeds],
        label_sets: Int[Tensor, "K"] | None = None,
        augment: Augment | None = None,
    ) -> None:
        self.x, self.noise, self.seeds = x, noise, seeds
        self.y = y if label_sets is None else y.flatten(0, 1)
        self.first = None if label_sets is None else (label_sets.to(x.device) * len(x)).unsqueeze(1)
        self.shape = (len(bags), batch_size)
        # Members with one node and one bag see the same rows, which are then drawn once.
        alike = [(member, id(bag)) for member, bag in zip(seeds, bags, strict=True)]
        self.orders = {key: Order(bag, key[0]) for key, bag in zip(alike, bags, strict=True)}
        place = {key: i for i, key in enumerate(self.orders)}
        self.which = torch.tensor([place[key] for key in alike])
        self.rows = Blocks(ORDER_STEPS, self._draw_rows)
        self.noises = self._noises() if noise.any() else None
        self.augment = None if augment is None else augment(seeds)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of this step."""
        rows = self.rows.at(step)
        marks = rows if self.first is None else rows + self.first
        inputs, targets = (
            table.index_select(0, which.flatten()).unflatten(0, self.shape) for table, which in ((self.x, rows), (self.y, marks))
        )
        inputs = inputs if self.noises is None else inputs.add_(self.noises.at(step))
        return (inputs if self.augment is None else self._augmented(inputs, step)), targets

    def _augmented(self, inputs: Tensor, step: int) -> Tensor:
        shape, dtype = inputs.shape, inputs.dtype  # of the inputs as they came, which may be changed in place
        changed = self.augment(inputs, step)
        if changed.shape != shape or changed.dtype != dtype:
            got, want = f"{tuple(changed.shape)} {changed.dtype}", f"{tuple(shape)} {dtype}"
            raise ValueError(f"augment: returned {got} at step {step}, allowed is what it was given, {want}")
        return changed

    def _draw_rows(self) -> Int[Tensor, "K steps B"]:
        members, batch = self.shape
        rows = torch.stack([order.take(ORDER_STEPS * batch) for order in self.orders.values()])
        return rows[self.which].view(members, ORDER_STEPS, batch).to(self.x.device)

    def _noises(self) -> Blocks:
        members, batch = self.shape
        shape = (batch, *self.x.shape[1:])
        block = self.x.new_zeros(members, _steps(shape), *shape)
        noisy = _generators(self.noise, self.seeds, ("noise",), self.x.device)

        def draw() -> Tensor:
            for k, generator in noisy:
                block[k].normal_(0, float(self.noise[k]), generator=generator)
            return block

        return Blocks(block.shape[1], draw)


class Dropout:
    """The `drop` of a net: call i of a step multiplies hidden units by site i's masks, each member's with its own rate.

    A unit is zeroed with probability r = round(65536 rate) / 65536 and else divided by 1 - r, so that its mean is
    kept exactly.
    """

    def __init__(self, rate: Float[Tensor, "K"], seeds: Sequence[Seeds]) -> None:
        self.seeds = seeds
        self.zeroed = (rate * LEVELS).round().clamp(max=LEVELS - 1)
        self.sites: list[Blocks] = []

    def start(self, step: int) -> None:
        """To be called before each step."""
        self.step, self.calls = step, 0

    def __call__(self, h: Float[Tensor, "K ..."]) -> Float[Tensor, "K ..."]:
        """`h` under this step's masks of the next site."""
        if self.calls == len(self.sites):
            self.sites.append(self._site(h))
        self.calls += 1
        return h * self.sites[self.calls - 1].at(self.step)

    def _site(self, h: Tensor) -> Blocks:
        """Masks of one place in the net: 16 random bits a unit, four units to a 64-bit draw."""
        shape, steps = h.shape[1:], _steps(h.shape[1:])
        units = steps * math.prod(shape)
        bits = torch.zeros(len(h), -(-units // 4), dtype=torch.int64, device=h.device)
        masks = h.new_empty(len(h), units)
        below = (self.zeroed - LEVELS // 2).to(h.device, torch.int16).unsqueeze(1)
        scale = (LEVELS / (LEVELS - self.zeroed)).to(h).unsqueeze(1)
        dropping = _generators(self.zeroed, self.seeds, ("dropout", len(self.sites)), h.device)

        def draw() -> Tensor:
            for k, generator in dropping:
                bits[k].random_(-(2**63), None, generator=generator)
            kept = bits.view(torch.int16)[:, :units].ge_(below)
            torch.mul(kept, scale, out=masks)
            return masks.view(len(h), steps, *shape)

        return Blocks(steps, draw)


def _steps(shape: Sequence[int]) -> int:
    return max(1, NUMBERS_AT_ONCE // math.prod(shape))


def _generators(amount: Tensor, seeds: Sequence[Seeds], name: tuple, device: torch.device) -> list[tuple[int, Generator]]:
    """Member and generator, for members with a nonzero amount of this kind of randomness."""
    return [(k, seeds[k].child(*name).torch(device)) for k in amount.nonzero().flatten().tolist()]
