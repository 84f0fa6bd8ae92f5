"""Gaussian label distances and whole data set distances, against a straightforward implementation on real pictures.

Data: MNIST-5k against Fashion-MNIST, d = 784, ten classes on both sides, n_c samples of each class, float64. The peer is
written as the formulas stand and as the public implementation does it: one covariance and matrix root for each class, one
eigendecomposition for each pair of classes, the label term gathered into a second n x m matrix, POT's exact solver outside.
Its roots of rounding errors, one for each of the d - n_c eigenvalues that are 0 in truth, add up in its values:
`largest_difference` (relative) is to these, `stable_difference` to |S^1/2 T^1/2|_* with roots S^1/2 from the samples' singular
values, d x d as well but without such roots. `eigenvalues_ratio`: the ratio if the peer asked for eigenvalues without vectors.
`solver_share`: the part of our seconds inside the exact solver, `peer_solver_share` the peer's. Ours and the peer run in
turn, ours five times in each for their median; the ratio is the median of the turns' ratios, `noise` their interquartile
range. Peaks are the growth of resident memory, each in a process of its own (Linux only).
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path

import ot
import torch
from torch import Tensor

from lib.data import tensors
from lib.seeds import Seeds
from lib.transport.couplings import couple
from lib.transport.dataset_distance import Settings, dataset_distance, ground_cost
from lib.transport.labels import LabelledData, label_distances, labelled

Pair = tuple[LabelledData, LabelledData]


def pictures(each: int, device: str) -> Pair:
    """`each` samples of each class of both data sets."""
    pair = []
    for name, split in (("mnist-5k", None), ("fashion-mnist", "train")):
        images, labels = tensors(name, split)
        rows = torch.cat([(labels == c).nonzero()[:500, 0] for c in range(10)])
        data = labelled(images[rows].flatten(1).double(), labels[rows])
        part = data.subsample(10 * each, Seeds(0).child(name), balanced=True)
        pair.append(LabelledData(part.features.to(device), part.labels.to(device), part.names))
    return pair[0], pair[1]


def root(matrix: Tensor) -> Tensor:
    """Symmetric root of a covariance."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def plain_table(left: LabelledData, right: LabelledData, vectors: bool = True) -> Tensor:
    """The peer's label distances."""
    sides = []
    for data in (left, right):
        parts = [data.features[data.labels == c] for c in range(data.classes)]
        sides.append([(part.mean(0), torch.cov(part.T)) for part in parts])
    roots = [root(covariance) for _, covariance in sides[0]]
    table = left.features.new_zeros(left.classes, right.classes)
    for c, (mean, covariance) in enumerate(sides[0]):
        for k, (other_mean, other) in enumerate(sides[1]):
            middle = roots[c] @ other @ roots[c]
            values = torch.linalg.eigh(middle).eigenvalues if vectors else torch.linalg.eigvalsh(middle)
            apart = (mean - other_mean).square().sum() + covariance.trace() + other.trace()
            table[c, k] = apart - 2 * values.clamp(min=0).sqrt().sum()
    return table


def stable_table(left: LabelledData, right: LabelledData) -> Tensor:
    """The same from singular values alone."""
    sides = []
    for data in (left, right):
        parts = [data.features[data.labels == c] for c in range(data.classes)]
        svds = [torch.linalg.svd((part - part.mean(0)) / (len(part) - 1) ** 0.5, full_matrices=False) for part in parts]
        sides.append([(part.mean(0), (vh.T * s) @ vh, s.square().sum()) for part, (_, s, vh) in zip(parts, svds, strict=True)])
    table = left.features.new_zeros(left.classes, right.classes)
    for c, (mean, one, trace) in enumerate(sides[0]):
        for k, (other_mean, other, other_trace) in enumerate(sides[1]):
            apart = (mean - other_mean).square().sum() + trace + other_trace
            table[c, k] = apart - 2 * torch.linalg.svdvals(one @ other).sum()
    return table


def plain_distance(left: LabelledData, right: LabelledData) -> tuple[float, float]:
    """The peer's data set distance, and the seconds that its solver took."""
    table = plain_table(left, right)
    features = torch.cdist(left.features, right.features).square()
    cost = (features + table[left.labels][:, right.labels]).cpu().numpy()
    start = time.perf_counter()
    value = ot.emd2([], [], cost, numItermax=10**7)
    return float(value), time.perf_counter() - start


def our_distance(left: LabelledData, right: LabelledData) -> float:
    """Ours."""
    return dataset_distance(left, right).value.item()


def timed(work: Callable[..., object], pair: Pair, device: str) -> tuple[float, object]:
    """Wall seconds and result."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    result = work(*pair)
    wait()
    return time.perf_counter() - start, result


def in_turn(ours: Callable, peer: Callable, pair: Pair, device: str, repeats: int) -> tuple[dict, object, object]:
    """Median seconds of both, their ratio and its interquartile range; the last results of both."""
    ours(*pair)  # libraries load lazily
    turns = [
        (sorted((timed(ours, pair, device) for _ in range(5)), key=itemgetter(0))[2], timed(peer, pair, device))
        for _ in range(repeats)
    ]
    ratios = [theirs / own for (own, _), (theirs, _) in turns]
    low, _, high = statistics.quantiles(ratios, n=4)
    own, theirs = (statistics.median(turn[side][0] for turn in turns) for side in (0, 1))
    row = {"ours_s": own, "peer_s": theirs, "ratio": statistics.median(ratios), "noise": high - low, "repeats": repeats,
           "device": device, "threads": torch.get_num_threads()}  # fmt: skip
    return row, turns[-1][0][1], turns[-1][1][1]


def table_row(each: int, device: str, repeats: int) -> dict:
    """Label distances alone."""
    pair = pictures(each, device)
    row, ours, table = in_turn(label_distances, plain_table, pair, device, repeats)
    values, _ = timed(lambda *sides: plain_table(*sides, vectors=False), pair, device)
    return row | {
        "name": "Gaussian label distances", "size": f"10 x 10 classes, n_c={each}, d=784",
        "peer": "root per class, eigendecomposition per pair", "eigenvalues_ratio": values / row["ours_s"],
        "largest_difference": float((table / ours - 1).abs().max()),
        "stable_difference": float((stable_table(*pair) / ours - 1).abs().max()),
    }  # fmt: skip


def distance_row(n: int, device: str, repeats: int) -> dict:
    """A whole data set distance."""
    pair = pictures(n // 10, device)
    row, ours, (theirs, seconds) = in_turn(our_distance, plain_distance, pair, device, repeats)
    cost = ground_cost(*pair, label_distances(*pair), Settings())
    solver = statistics.median(timed(couple, (cost,), device)[0] for _ in range(max(repeats, 3)))
    peaks = (
        {f"{name}_peak_mb": peak_mb(name, pair) for name in ("ours", "peer")}
        if device == "cpu" and sys.platform == "linux"
        else {}
    )
    return row | peaks | {
        "name": "data set distance", "size": f"n=m={n}, d=784, ten classes", "peer": "straightforward, POT's exact solver",
        "solver_share": solver / row["ours_s"], "peer_solver_share": seconds / row["peer_s"],
        "largest_difference": abs(theirs / ours - 1),
    }  # fmt: skip


def peak_mb(name: str, pair: Pair) -> float:
    """Growth of the peak of resident memory by one distance, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pt"
        torch.save([(data.features, data.labels) for data in pair], path)
        done = subprocess.run([sys.executable, __file__, name, str(path)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def rows(device: str = "cpu", repeats: int = 2) -> list[dict]:
    """Label tables by class size, then distances by sample size."""
    tables = [table_row(each, device, repeats) for each in (50, 100, 200, 400)]
    return tables + [distance_row(n, device, repeats) for n in (500, 1000, 2000)]


def peak_kb() -> int:
    """This process's peak of resident memory; getrusage would start from its parent's."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def show_growth(name: str, path: str) -> None:
    """Print what one distance of the stored pair adds to the peak of memory, in megabytes (2^20 bytes)."""
    left, right = (labelled(*each) for each in torch.load(path))
    work = {"ours": our_distance, "peer": plain_distance}[name]
    small = [labelled(data.features[:, :4], data.labels).subsample(50, Seeds(0), balanced=True) for data in (left, right)]
    work(*small)  # libraries load lazily
    before = peak_kb()
    work(left, right)
    print((peak_kb() - before) / 1024)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        show_growth(*sys.argv[1:])
    else:
        for row in rows():
            print({key: float(f"{value:.3g}") if isinstance(value, float) else value for key, value in row.items()}, flush=True)
