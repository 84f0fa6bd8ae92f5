"""Label matrices: softening, hard and smoothed labels, ensembles, and what is done to labels to find out what in them teaches.

A label matrix q [n, C] holds one row of class probabilities for each image: entries >= 0, row sums at most 1 (keeping the top k
and removing a label do not renormalise). `labels` [n] are true classes, whole numbers 0..C-1. Entropies and divergences are in
nats. What is computed from logits or classes is float64, so that tiny probabilities stay apart; what rearranges a q keeps its
dtype. Columns are ranked from the largest entry to the smallest; of equal entries the first column ranks higher.
"""

import math
from collections.abc import Sequence
from numbers import Integral

import torch
from jaxtyping import Float, Int64, Shaped
from scipy.optimize import brentq
from scipy.special import entr
from torch import Tensor

from lib.seeds import Seeds

MOST = 1 + 1e-6  # a row's sum


def check_labels(q: Float[Tensor, "*rows C"], *, images: int | None = None, classes: int | None = None) -> None:
    """ValueError for entries that are negative or not finite, for row sums above 1 + 1e-6, and for another n or C than asked."""
    if images is not None and q.shape[:-1] != (images,):
        raise ValueError(f"q: got shape {tuple(q.shape)} for {images} images, allowed is one row for each image")
    if classes is not None and q.shape[-1] != classes:
        raise ValueError(f"q: got {q.shape[-1]} columns, allowed are {classes}, one for each class")
    if not (finite := q.isfinite()).all():
        raise ValueError(f"q: got {q[~finite][0].item()}, allowed are finite probabilities")
    if (q < 0).any():
        raise ValueError(f"q: got {q.min().item():.3g}, allowed are probabilities >= 0")
    if (sums := q.double().sum(-1)).gt(MOST).any():
        raise ValueError(f"q: got a row with sum {sums.max().item():.8g}, allowed are sums up to 1 + 1e-6")


def soften(logits: Float[Tensor, "*rows C"], temperature: float | int = 1.0) -> Float[Tensor, "*rows C"]:
    """q = softmax(z / T) [hinton2015]: larger T, softer labels, in the same order.

    Errors: ValueError for T that is not positive and finite, and for logits that are not finite.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature: got {temperature}, allowed are finite numbers > 0")
    z = _finite_logits(logits)
    return ((z - z.amax(-1, keepdim=True)) / temperature).softmax(-1)  # from the top, so that no T > 0 overflows


def entropy(q: Float[Tensor, "*rows C"]) -> Float[Tensor, "*rows"]:
    """H = -sum_c q_c ln q_c of every row, in nats, float64; 0 ln 0 = 0. Rows that sum to less than 1 are taken as they are."""
    check_labels(q)
    return torch.special.entr(q.double()).sum(-1)


def hard(labels: Shaped[Tensor, "n"], classes: int) -> Float[Tensor, "n C"]:
    """One-hot rows. Errors: ValueError for labels that are no whole numbers within 0..C-1, and for fewer than two classes."""
    return torch.nn.functional.one_hot(_true_classes(labels, classes), classes).double()


def smoothed(labels: Shaped[Tensor, "n"], classes: int, amount: float | int) -> Float[Tensor, "n C"]:
    """q = (1 - a) onehot + a / C [szegedy2016]. Errors: ValueError as in `hard`, and for an amount outside 0..1."""
    _check_amount(amount)
    return (1 - amount) * hard(labels, classes) + amount / classes


def smoothing_entropy(amount: float | int, classes: int) -> float:
    """H = -t ln t - (C - 1) (a / C) ln(a / C) of smoothed labels in nats, with t = 1 - a + a / C. ValueErrors of `smoothed`."""
    _check_amount(amount)
    _check_whole("classes", classes, 2)
    return float(entr(1 - amount + amount / classes) + (classes - 1) * entr(amount / classes))


def smoothing_of_entropy(nats: float | int, classes: int) -> float:
    """The amount of smoothing whose labels have this entropy. ValueError for an entropy outside 0..ln C."""
    highest = smoothing_entropy(1.0, classes)
    if not 0 <= nats <= highest + 1e-9:
        raise ValueError(f"nats: got {nats}, allowed is 0 to ln {classes} = {highest:.6g}")
    if nats >= highest:
        return 1.0
    return float(brentq(lambda amount: smoothing_entropy(amount, classes) - nats, 0.0, 1.0, xtol=1e-15))


def top_k(q: Float[Tensor, "n C"], k: int, labels: Shaped[Tensor, "m"]) -> Float[Tensor, "n C"]:
    """The k largest entries of each row, the rest 0, not renormalised [qin2024]; k = 0 gives the true classes one-hot.

    Errors: ValueError for k outside 0..C, and for labels that do not fit q.
    """
    check_labels(q)
    truth, classes = _truth(labels, q), q.shape[1]
    _check_whole("k", k, 0, classes)
    if k == 0:
        return hard(truth, classes).to(q.dtype)
    kept = _ranked(q)[:, :k]
    return torch.zeros_like(q).scatter(1, kept, q.gather(1, kept))


def swap_k(q: Float[Tensor, "n C"], k: int) -> Float[Tensor, "n C"]:
    """Exchange the k-th largest entry of each row with the smallest: the same entropy, another order [qin2024].

    k = 1 moves the top to the least likely class, k = C changes nothing. Errors: ValueError for k outside 1..C.
    """
    check_labels(q)
    _check_whole("k", k, 1, q.shape[1])
    ranked = _ranked(q)
    pair = ranked[:, [k - 1, -1]]
    return q.scatter(1, pair, q.gather(1, pair.flip(1)))


def shuffled_rest(q: Float[Tensor, "n C"], seeds: Seeds) -> Float[Tensor, "n C"]:
    """Every row keeps its largest entry in place; all others are permuted at random, each row in its own way."""
    check_labels(q)
    rest = _ranked(q)[:, 1:]
    turns = torch.rand(rest.shape, generator=seeds.torch(), dtype=torch.float64).argsort(1).to(q.device)
    return q.scatter(1, rest, q.gather(1, rest.gather(1, turns)))


def class_means(q: Float[Tensor, "n C"], labels: Shaped[Tensor, "m"]) -> Float[Tensor, "C C"]:
    """Row c: the mean label of the images of class c. ValueError for a class without images and for labels that do not fit q."""
    check_labels(q)
    truth, classes = _truth(labels, q), q.shape[1]
    counts = truth.bincount(minlength=classes)
    if (counts == 0).any():
        raise ValueError(f"labels: class {int(counts.argmin())} has no image, allowed is one or more for each class")
    return q.new_zeros(classes, classes).index_add(0, truth, q) / counts.to(q)[:, None]


def mean_rest(q: Float[Tensor, "n C"], labels: Shaped[Tensor, "m"]) -> Float[Tensor, "n C"]:
    """Every row keeps its largest entry and its sum; the rest is shared out as in the mean label of the image's true class.

    So it says what a class resembles, and no longer what this image does. (Where the largest entry is not the true class's, that
    class may overtake it.) Errors: ValueError as in `class_means`.
    """
    means = class_means(q, labels)[labels.long()]
    top = _ranked(q)[:, :1]
    rest, profile = (rows.scatter(1, top, 0.0) for rows in (q, means))
    # A row counts in its class's mean, so its profile is 0 only where it has nothing to share out.
    share = rest.sum(1, keepdim=True) / profile.sum(1, keepdim=True).clamp(min=torch.finfo(q.dtype).tiny)
    return (share * profile).scatter(1, top, q.gather(1, top))


def ensemble(logits: Sequence[Tensor] | Float[Tensor, "E n C"]) -> Float[Tensor, "n C"]:
    """Mean logits of E experts; softened, the normalised geometric mean of their probabilities [qin2024].

    Errors: ValueError for no experts, for experts whose logits differ in shape, and for logits that are not finite.
    """
    if len(logits) == 0:
        raise ValueError("logits: got no experts, allowed is one or more")
    shapes = [tuple(one.shape) for one in logits]
    if len(set(shapes)) > 1:
        raise ValueError(f"logits: got experts of shapes {shapes}, allowed is one shape [n, C] for all")
    return torch.stack([_finite_logits(one) for one in logits]).mean(0)


def remove_label(q: Float[Tensor, "n C"], labels: Shaped[Tensor, "m"], subject: int) -> Float[Tensor, "n C"]:
    """q_is = 0 for the subject class s in the rows of all other classes, not renormalised; rows of s stay [qin2024].

    Errors: ValueError for a subject outside 0..C-1 and for labels that do not fit q.
    """
    check_labels(q)
    truth = _truth(labels, q)
    _check_whole("subject", subject, 0, q.shape[1] - 1, "classes")
    others = (truth != subject)[:, None] & (torch.arange(q.shape[1], device=q.device) == subject)
    return q.masked_fill(others, 0.0)


def without_images(labels: Shaped[Tensor, "n"], classes: int, subject: int) -> Int64[Tensor, "kept"]:
    """Numbers of the rows of all other classes. Errors: ValueError for a subject class outside 0..C-1 or without images."""
    truth = _true_classes(labels, classes)
    _check_whole("subject", subject, 0, classes - 1, "classes")
    if not (truth == subject).any():
        raise ValueError(f"subject: got class {subject}, which has no image, allowed are classes with images to remove")
    return (truth != subject).nonzero()[:, 0]


def jensen_shannon(q: Float[Tensor, "n C"], r: Float[Tensor, "m D"]) -> Float[Tensor, "n"]:
    """JS = H((q + r) / 2) - (H(q) + H(r)) / 2 of each pair of rows, in 0..ln 2 nats [lin1991]. ValueError for two shapes."""
    _check_pair(q, r)
    middle = (q.double() + r.double()) / 2
    return (entropy(middle) - (entropy(q) + entropy(r)) / 2).clamp(min=0.0)  # a rounding error below 0 is 0


def top_overlap(q: Float[Tensor, "n C"], r: Float[Tensor, "m D"], k: int) -> Float[Tensor, "n"]:
    """Fraction of the k likeliest classes that two labels of an image share. ValueError for two shapes, or k outside 1..C."""
    _check_pair(q, r)
    _check_whole("k", k, 1, q.shape[1])
    ours, theirs = _ranked(q)[:, :k], _ranked(r)[:, :k]
    return (ours[:, :, None] == theirs[:, None, :]).double().sum((1, 2)) / k


def _ranked(q: Float[Tensor, "n C"]) -> Int64[Tensor, "n C"]:
    """Column numbers from the largest entry to the smallest."""
    return q.argsort(dim=1, descending=True, stable=True)


def _finite_logits(logits: Float[Tensor, "*rows C"]) -> Float[Tensor, "*rows C"]:
    if not (finite := logits.isfinite()).all():
        raise ValueError(f"logits: got {logits[~finite][0].item()}, allowed are finite numbers")
    return logits.double()


def _truth(labels: Tensor, q: Tensor) -> Int64[Tensor, "n"]:
    """True classes that fit q, one for each row."""
    if len(labels) != len(q):
        raise ValueError(f"labels: got {len(labels)} for {len(q)} rows of q, allowed is one for each row")
    return _true_classes(labels, q.shape[1])


def _true_classes(labels: Tensor, classes: int) -> Int64[Tensor, "n"]:
    _check_whole("classes", classes, 2)
    if labels.dtype.is_floating_point or labels.dtype.is_complex or labels.dtype == torch.bool:
        raise ValueError(f"labels: got {labels.dtype}, allowed are whole numbers, such as torch.int64")
    if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"labels: got {labels.min()} to {labels.max()}, allowed are 0 to {classes - 1}")
    return labels.long()


def _check_pair(q: Tensor, r: Tensor) -> None:
    if q.shape != r.shape:
        raise ValueError(f"r: got shape {tuple(r.shape)}, allowed is {tuple(q.shape)} as q")
    check_labels(q)
    check_labels(r)


def _check_amount(amount: float | int) -> None:
    if not 0 <= amount <= 1:
        raise ValueError(f"amount: got {amount}, allowed is 0 to 1")


def _check_whole(name: str, value: int | float, least: int, most: int | None = None, what: str = "whole numbers") -> None:
    if not (isinstance(value, Integral) and least <= value and (most is None or value <= most)):
        raise ValueError(f"{name}: got {value}, allowed are {what} {f'>= {least}' if most is None else f'{least} to {most}'}")
