"""Images chosen by how hard an expert finds them: bins of its cross-entropy within each class, from easy to hard [qin2024]."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from lib.distillation.pool import nested_draw
from lib.seeds import Seeds


@dataclass(frozen=True, eq=False)
class Selection:
    """As many images of each class from every bin. `rows`: numbers in the training part, those of one class side by side.

    `logits`: the own expert's for all of them, bin after bin, after each of the setup's epochs, float32.
    """

    rows: Int64[Tensor, "bins n"]
    logits: Float[Tensor, "epochs m C"]


def difficulty_bins(losses: Float[Tensor, "n"], labels: Shaped[Tensor, "m"], bins: int) -> tuple[Int64[Tensor, "_"], ...]:
    """Row numbers of each bin: every class in the order of its losses, cut into `bins` runs, of which bin 0 is the easiest.

    Sizes within a class differ by one at most, larger ones first. Of equal losses the lower row number is the easier. A bin's
    rows are grouped by class. Errors: ValueError for losses that are not finite or not one for each label, labels that are no
    class numbers, and for fewer bins than one or more than the smallest class has images.
    """
    if len(losses) != len(labels) or len(labels) == 0:
        raise ValueError(f"losses: got {len(losses)} for {len(labels)} labels, allowed is one for each of one or more")
    if not (finite := losses.isfinite()).all():
        raise ValueError(f"losses: got {losses[~finite][0].item()}, allowed are finite numbers")
    if labels.is_floating_point() or labels.dtype == torch.bool or labels.min() < 0:
        raise ValueError(f"labels: got {labels.dtype} from {labels.min()}, allowed are whole numbers >= 0")
    smallest = int(labels.bincount().min())
    if not 1 <= bins <= smallest:
        raise ValueError(f"bins: got {bins}, allowed are 1 to {smallest}, the images of the smallest class")
    runs = []
    for c in range(int(labels.max()) + 1):
        mine = (labels == c).nonzero().flatten()
        runs.append(mine[losses[mine].argsort(stable=True)].tensor_split(bins))
    return tuple(torch.cat([run[b] for run in runs]) for b in range(bins))


def draw_from_bins(
    losses: Float[Tensor, "n"], labels: Shaped[Tensor, "m"], bins: int, ipc: int, seeds: Seeds
) -> Int64[Tensor, "bins k"]:
    """Row numbers of `ipc` random images of each class out of each bin, grouped by class.

    Errors: ValueError as in `difficulty_bins` and `check_bins`.
    """
    check_bins(labels, bins, ipc)
    drawn = []
    for b, rows in enumerate(difficulty_bins(losses, labels, bins)):
        drawn.append(rows[nested_draw(labels[rows], [ipc], seeds.child("bin", b))[ipc]])
    return torch.stack(drawn)


def check_bins(labels: Shaped[Tensor, "n"], bins: int, ipc: int) -> None:
    """ValueError for more bins than leave `ipc` images of the smallest class in each, and for fewer than one."""
    most = int(labels.bincount().min()) // ipc
    if not 1 <= bins <= most:
        raise ValueError(f"bins: got {bins}, allowed with {ipc} of each class out of a bin are 1 to {most}")
