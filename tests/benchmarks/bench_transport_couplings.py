"""Couplings against POT as a user would call it, at equal accuracy.

Exact: `ot.emd2` on the same cost matrix, values equal to 1e-9. Entropic: `ot.sinkhorn` on torch tensors, kernel-domain where it
works and log-domain else, in float64 and float32, for as many iterations as bring its marginal violation to ours; where it does
not arrive in 1,000 iterations, `peer_violation` is what it had reached then, and the ratio is a lower bound. Ours and
the peer run in turn; the ratio is the median of the turns' ratios, `noise` their interquartile range. Clouds: `ot.emd2` on a
cost made by `ot.dist` (and a gathered label table) against column generation over blocks, with the gap that was certified.
"""

import statistics
import time
import warnings
from collections.abc import Callable

import ot
import torch
from torch import Tensor

from lib.data import tensors
from lib.seeds import Seeds
from lib.transport.couplings import couple
from lib.transport.kernels import squared_distances
from lib.transport.large import couple_clouds

Labelled = tuple[Tensor, Tensor]
PIVOTS = 10**8  # the peer's own default stops early at these sizes


def digits(side: int, n: int) -> Labelled:
    """n of MNIST-5k's digits with faint noise, drawn anew for each side; float64 [n, 784] and labels."""
    generator = Seeds(0).child("digits", side).torch()
    images, labels = tensors("mnist-5k")
    rows = torch.randint(len(labels), (n,), generator=generator)
    return images.flatten(1)[rows].double() + 0.1 * torch.randn(n, 784, generator=generator), labels[rows]


def label_table() -> Tensor:
    """Squared label distances of the size that digits have."""
    return 40 * torch.rand(10, 10, generator=Seeds(0).child("table").torch(), dtype=torch.float64)


def timed(work: Callable[[], object], device: str) -> tuple[float, object]:
    """Wall seconds, and the result."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    result = work()
    wait()
    return time.perf_counter() - start, result


def row(name: str, size: str, peer: str, device: str, repeats: int, ours: Callable, theirs: Callable, **more: object) -> dict:
    """Both in turn."""
    own, other = [], []
    for _ in range(repeats):
        own.append(timed(ours, device)[0])
        other.append(timed(theirs, device)[0])
    ratios = [p / o for p, o in zip(other, own, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4) if repeats > 1 else ratios * 3
    return {
        "name": name, "device": device, "threads": torch.get_num_threads(), "repeats": repeats, "size": size,
        "ours_s": statistics.median(own), "peer": peer, "peer_s": statistics.median(other), "ratio": middle, "noise": high - low,
    } | more  # fmt: skip


def exact(n: int, with_table: bool, device: str, repeats: int) -> dict:
    """A cost matrix that is there already."""
    (x, left), (y, right) = digits(0, n), digits(1, n)
    cost = squared_distances(x, y) + (label_table()[left][:, right] if with_table else 0)
    cost = cost.to(device)
    found, peer = couple(cost), float(ot.emd2([], [], cost, numItermax=PIVOTS))
    if abs(float(found.value) - peer) > 1e-9 * peer:
        raise RuntimeError(f"exact n={n}: ours {float(found.value)}, POT {peer}")
    name = f"exact coupling, digits{' and labels' if with_table else ''}"
    return row(
        name, f"n={n}", "POT emd2", device, repeats, lambda: couple(cost), lambda: ot.emd2([], [], cost, numItermax=PIVOTS),
        gap=found.certificate.gap, method=found.certificate.method,
    )  # fmt: skip


def entropic(n: int, relative: float, dtype: torch.dtype, device: str, repeats: int, limit: int) -> dict:
    """Epsilon in units of the median cost, to a marginal violation of 1e-6 of a weight in float64 and 1e-3 in float32."""
    cost = squared_distances(digits(0, n)[0], digits(1, n)[0]).to(device, dtype)
    epsilon, tolerance = relative * float(cost.median()), (1e-6 if dtype == torch.float64 else 1e-3) / n
    uniform = torch.full((n,), 1 / n, dtype=dtype, device=device)
    method = "sinkhorn" if relative >= 0.05 else "sinkhorn_log"

    def theirs() -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # POT stops on the norm of the violation; its root-mean-square is what ours bounds in every entry.
            return ot.sinkhorn(uniform, uniform, cost, epsilon, method, numItermax=limit, stopThr=tolerance * n**0.5)

    def ours() -> object:
        return couple(cost, epsilon=epsilon, tolerance=tolerance)

    plan, found = theirs(), ours()
    violation = max(float((plan.sum(k) - 1 / n).abs().max()) for k in (0, 1))
    return row(
        f"entropic coupling, epsilon {relative:g} of the median cost", f"n={n}", f"POT {method}, torch {str(dtype)[6:]}", device,
        repeats, ours, theirs,
        violation=found.certificate.marginal_violation, peer_violation=violation, peer_iterations=limit,
    )  # fmt: skip


def clouds(n: int, device: str, repeats: int) -> dict:
    """From points and labels to the value."""
    (x, left), (y, right), table = digits(0, n), digits(1, n), label_table()
    x, y, left, right, table = (part.to(device) for part in (x, y, left, right, table))

    def theirs() -> Tensor:
        return ot.emd2([], [], ot.dist(x, y) + table[left][:, right], numItermax=PIVOTS)

    def ours() -> object:
        return couple_clouds(x, y, labels=(left, right), table=table)

    found = ours()
    return row(
        "coupling of clouds, digits and labels", f"n={n}, d=784", "POT dist and emd2", device, repeats, ours, theirs,
        relative_gap=found.certificate.gap / float(found.value),
    )  # fmt: skip


def rows(device: str = "cpu", repeats: int = 5) -> list[dict]:
    """All sizes, with one thread, as in a sweep and as the network simplex has; what the peer needs long for, fewer times."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _rows(device, repeats)
    finally:
        torch.set_num_threads(threads)


def _rows(device: str, repeats: int) -> list[dict]:
    table = [exact(n, labels, device, repeats) for n in (200, 1000, 2000) for labels in (False, True)]
    for dtype in (torch.float64, torch.float32):
        table += [entropic(n, relative, dtype, device, 3, 1000) for n, relative in ((300, 0.1), (1000, 0.1), (300, 0.01))]
        table.append(entropic(1000, 0.01, dtype, device, 1, 1000))
    return [*table, clouds(2000, device, 2), clouds(5000, device, 1)]


if __name__ == "__main__":
    for line in rows():
        print({key: float(f"{value:.3g}") if isinstance(value, float) else value for key, value in line.items()})
