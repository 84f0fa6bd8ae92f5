"""Exact transport by column generation: a network simplex on few arcs, which are priced against all pairs until none pays.

Dual potentials of a random subsample, extended to all points by c-transforms, say which pairs can matter: each point's few
of least reduced cost cost_ij - u_i - v_j. The network simplex solves the problem on those arcs alone; one sweep over the
cost, block by block, then gives a lower bound of the full problem (its potentials made feasible) and the pairs with negative
reduced cost that have to join. So the cost is never needed at once, and the plan is sparse.

Measured on one core of a shared machine, 784 dimensions with a label table, cost in memory: n = 1,000: 0.07 s against 0.13 s
of the dense network simplex; 2,000: 0.24 against 0.70 s. In two dimensions about as fast, in one up to twice as slow.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from ot.lp.emd_wrap import emd_c, emd_c_sparse
from torch import Tensor

from lib.seeds import Seeds

BLOCK = 1 << 22  # entries of the cost that are looked at together
ARCS = 10  # per point in the first round, and new ones per point in later ones
SUBSAMPLE = 2500  # points per side, at most, whose exact potentials start the search
ROUNDS = 200
ROUNDING = 1e-12  # of scale: what float64 leaves of a zero reduced cost
OPTIMAL = 1  # POT's result code


@runtime_checkable
class Costs(Protocol):
    """A cost matrix that is made when it is looked at, in float64."""

    shape: tuple[int, int]
    device: torch.device

    def rows(self, index: slice | Int[Tensor, " k"]) -> Float[Tensor, "k m"]:
        """Some rows of it."""
        ...

    def at(self, rows: Int[Tensor, " k"], columns: Int[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Single entries of it."""
        ...


@dataclass(frozen=True, eq=False)
class Dense:
    """A cost matrix in memory."""

    matrix: Float[Tensor, "n m"]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.matrix.shape[0], self.matrix.shape[1]

    @property
    def device(self) -> torch.device:
        """Where blocks are looked at."""
        return self.matrix.device

    def rows(self, index: slice | Int[Tensor, " k"]) -> Float[Tensor, "k m"]:
        """Some rows."""
        return self.matrix[index]

    def at(self, rows: Int[Tensor, " k"], columns: Int[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Single entries."""
        return self.matrix[rows, columns]


@dataclass(frozen=True, eq=False)
class Basis:
    """Where column generation ended.

    `rows`, `columns`, `mass`: the plan. `u`, `v`: potentials, feasible for all pairs. `value` and `lower`: primal and dual
    value. `scale`: the largest absolute cost in the rows of the subsample. `optimal`: whether each network simplex ended by
    itself.
    """

    rows: Int[Tensor, " k"]
    columns: Int[Tensor, " k"]
    mass: Float[Tensor, " k"]
    u: Float[Tensor, " n"]
    v: Float[Tensor, " m"]
    value: float
    lower: float
    scale: float
    rounds: int
    optimal: bool


def column_generation(
    costs: Costs, a: Float[Tensor, " n"], b: Float[Tensor, " m"], tolerance: float, max_iterations: int
) -> Basis:
    """Transport of `a` to `b`, positive float64 weights that sum to one each, until the gap is at most tolerance * scale.

    `max_iterations`: pivots of each network simplex. It also ends where no pair has negative reduced cost beyond rounding,
    and after 200 rounds.
    """
    search = _Search(costs, a, b)
    u, v = search.first_potentials()
    u, keys, cost = search.first_arcs(u, v)
    rounds, code = 0, OPTIMAL
    while code == OPTIMAL and rounds < ROUNDS:
        rounds += 1
        rows, columns, mass, value, u, v, code = search.simplex(keys, cost, u, v, max_iterations)
        v_feasible, new_keys, new_cost = search.price(u, v)
        lower, known = float(u @ search.a + v_feasible @ search.b), len(keys)
        if value - lower <= tolerance * search.scale:
            break
        keys, cost = _merged(torch.cat([keys, new_keys]), torch.cat([cost, new_cost]))
        if len(keys) == known:
            break
    return Basis(rows, columns, mass, u, v_feasible, value, lower, search.scale, rounds, code == OPTIMAL)


class _Search:
    """The parts of column generation that share a problem. Arcs are keyed by row * m + column."""

    def __init__(self, costs: Costs, a: Tensor, b: Tensor) -> None:
        self.costs, self.a, self.b = costs, a, b
        self.n, self.m = costs.shape
        generator, chosen = Seeds(0).child("subsample").torch(), []
        for size in costs.shape:
            part = torch.randperm(size, generator=generator)[: min(max(size // 4, 1), SUBSAMPLE)]
            chosen.append(part.sort().values.to(costs.device))
        self.i, self.j = chosen
        self.cost_of_i = costs.rows(self.i)
        self.scale = float(self.cost_of_i.abs().max())
        self.unit = power_of_two(self.scale)
        # Ties are broken at random, or else all rows would pick the same few of equally good columns. Entry (i, j) uses
        # number i + j, so that this needs n + m numbers and not n m.
        jitter = torch.rand(self.n + self.m - 1, generator=Seeds(0).child("ties").torch(), dtype=torch.float64)
        self.jitter = (jitter * (1e-9 * self.scale)).to(costs.device)

    def parts(self) -> Iterator[slice]:
        step = max(1, BLOCK // self.m)
        yield from (slice(start, min(start + step, self.n)) for start in range(0, self.n, step))

    def first_potentials(self) -> tuple[Tensor, Tensor]:
        """Potentials that are optimal for the subsample; u is 0 outside it, v is its c-transform."""
        a, b, cost = self.a[self.i], self.b[self.j], self.cost_of_i
        small = _array(cost[:, self.j] / self.unit)
        _, _, u, _, _ = emd_c(_array(a / a.sum()), _array(b / b.sum()), small, 10**8, 1, None, None)
        u, self.cost_of_i = torch.from_numpy(u * self.unit).to(cost.device), None
        return torch.zeros_like(self.a).index_copy(0, self.i, u), (cost - u[:, None]).amin(0)

    def first_arcs(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """u as c-transform of v; the arcs of least reduced cost, and a staircase of arcs that can carry all mass."""
        u, keys, cost = u.clone(), [], []
        for part in self.parts():
            block = self.costs.rows(part)
            reduced = block - v
            u[part] = reduced.amin(1)
            reduced -= u[part, None]
            self._least(part, block, reduced, torch.inf, keys, cost)
        i, j = _staircase(self.a, self.b)
        keys.append(i * self.m + j)
        cost.append(self.costs.at(i, j))
        return u, *_merged(torch.cat(keys), torch.cat(cost))

    def simplex(self, keys: Tensor, cost: Tensor, u: Tensor, v: Tensor, max_iterations: int) -> tuple:
        """The network simplex on the arcs, warm from (u, v): rows, columns, mass, value, u, v, result code."""
        i, j = (keys // self.m).cpu().numpy().astype(np.uint64), (keys % self.m).cpu().numpy().astype(np.uint64)
        cost, *warm = (_array(x / self.unit) for x in (cost, u, v))
        rows, columns, mass, value, u, v, code = emd_c_sparse(_array(self.a), _array(self.b), i, j, cost, max_iterations, *warm)
        # The solver's potentials have an arbitrary, possibly huge constant, which would cost digits in the reduced costs.
        shift = float(np.median(u))
        u, v = (torch.from_numpy(x * self.unit).to(self.costs.device) for x in (u - shift, v + shift))
        rows, columns = (torch.from_numpy(x.astype(np.int64)).to(self.costs.device) for x in (rows, columns))
        return rows, columns, torch.from_numpy(mass).to(self.costs.device), value * self.unit, u, v, code

    def price(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The c-transform of u, which with u is feasible; keys and costs of the arcs that have to join."""
        least, keys, cost = torch.full_like(v, torch.inf), [], []
        for part in self.parts():
            block = self.costs.rows(part)
            reduced = (block - v).sub_(u[part, None])
            least = torch.minimum(least, reduced.amin(0))
            self._least(part, block, reduced, -ROUNDING * self.scale, keys, cost)
        return v + least, torch.cat(keys), torch.cat(cost)

    def _least(self, part: slice, block: Tensor, reduced: Tensor, below: float, keys: list, cost: list) -> None:
        """Append each row's and each column's few pairs of least reduced cost, those under `below`."""
        i, j = ((reduced.amin(k) < below).nonzero()[:, 0] for k in (1, 0))
        noisy = reduced + self.jitter[part.start : part.stop + self.m - 1].unfold(0, self.m, 1)
        rows, columns = (noisy if len(index) == noisy.shape[k] else noisy.index_select(k, index) for k, index in ((0, i), (1, j)))
        of_row = rows.topk(min(ARCS, self.m), 1, largest=False, sorted=False).indices
        of_column = columns.topk(min(ARCS, len(block)), 0, largest=False, sorted=False).indices
        local = torch.cat([(i[:, None] * self.m + of_row).flatten(), (of_column * self.m + j).flatten()])
        local = local[reduced.flatten()[local] < below]
        keys.append(local + part.start * self.m)
        cost.append(block.reshape(-1)[local])


def c_transform(costs: Costs, u: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
    """v_j = min_i cost_ij - u_i, the largest v that is feasible with u."""
    step, v = max(1, BLOCK // costs.shape[1]), torch.full((costs.shape[1],), torch.inf, dtype=u.dtype, device=u.device)
    for start in range(0, costs.shape[0], step):
        part = slice(start, min(start + step, costs.shape[0]))
        v = torch.minimum(v, (costs.rows(part) - u[part, None]).amin(0))
    return v


def power_of_two(scale: float) -> float:
    """What costs of this size are divided by for POT, whose network simplex is wrong for tiny ones; no digit changes."""
    return 2.0 ** math.floor(math.log2(max(scale, 1e-300)))


def _staircase(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The arcs that the north-west corner rule uses: at most n + m, and enough to carry all mass."""
    rows, columns = a.cumsum(0), b.cumsum(0)
    ends = torch.cat([rows, columns]).sort().values
    middles = (torch.cat([ends.new_zeros(1), ends[:-1]]) + ends) / 2
    i, j = torch.searchsorted(rows, middles), torch.searchsorted(columns, middles)
    return i.clamp(max=len(a) - 1), j.clamp(max=len(b) - 1)


def _merged(keys: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
    """Arcs in order, each once."""
    keys, order = keys.sort(stable=True)
    first = torch.ones_like(keys, dtype=torch.bool)
    first[1:] = keys[1:] != keys[:-1]
    return keys[first], cost[order][first]


def _array(x: Tensor) -> np.ndarray:
    return np.ascontiguousarray(x.cpu().numpy())
