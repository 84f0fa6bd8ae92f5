"""Labels learned without an expert: gradient descent through a student's training on them, and the linear case in closed form.

Notation: n images x with labels q [n, C], the variables; m real rows with true targets y [m, C]; K students; N steps, window M.
Students have the dtype and device of x; the variables are float64.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lib.distillation.labels import check_labels, hard
from lib.nets import Net, Params
from lib.population import flatten
from lib.population.layout import split
from lib.population.streams import Order
from lib.seeds import Seeds


@dataclass(frozen=True)
class Unroll:
    """How a student trains on the labels while they are learned: SGD on all n images, as torch.optim.SGD.

    v <- momentum v + g + weight_decay theta, theta <- theta - lr v. `steps`: the most that a student takes. `window`: its last
    steps, which the gradient of the labels passes back through; all of them, window = steps, is untruncated.
    Errors: ValueError naming the first field out of bounds.
    """

    steps: int
    window: int
    lr: float | int
    momentum: float | int = 0.0
    weight_decay: float | int = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.window <= self.steps:
            raise ValueError(f"window: got {self.window}, allowed are whole numbers 1 to steps = {self.steps}")
        _check_rate("lr", self.lr)
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum: got {self.momentum}, allowed is [0, 1)")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"weight_decay: got {self.weight_decay}, allowed are finite numbers >= 0")


@dataclass(frozen=True, eq=False)
class Learned:
    """`logits` [n, C]: the variables after the last outer step, float64. `losses`: outer loss of each step, before its update."""

    logits: Float[Tensor, "n C"]
    losses: Float[Tensor, "steps"]


def learn_labels(
    net: Net,
    x: Tensor,
    initial: Float[Tensor, "n C"],
    real_x: Tensor,
    real_y: Tensor,
    *,
    unroll: Unroll,
    outer_steps: int,
    lr: float | int,
    batch: int,
    seeds: Seeds,
    softmax: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Learned:
    """Learn labels of fixed images by truncated back-propagation through time [feng2024], as in [bohdal2020].

    Each outer step: a fresh student trains on (x, softmax(logits)) for N steps, N uniform in window..steps, so that the window
    ends at a random time; its cross-entropy on `batch` real rows is differentiated in the logits through the last `window`
    steps; Adam moves the logits with rate `lr`. `initial`: an expert's logits, or scaled one-hot rows. `real_y`: class numbers
    [m] or target rows [m, C], which sum to at most 1.
    softmax=False is regression: raw variables as labels, half squared errors in both losses (`ridge_student` is its student);
    targets are then any numbers. `progress(done, total)` is called after every outer step.
    Errors: ValueError naming the argument; RuntimeError if the loss or its gradient is not finite.
    """
    targets = _checked(net, x, initial, real_x, real_y, outer_steps, lr, batch, softmax)
    logits, losses = initial.detach().double().clone(), []
    adam, order = torch.optim.Adam([logits], lr=lr), Order(torch.arange(len(real_x)), seeds)
    for step in range(outer_steps):
        own, rows = seeds.child("outer", step), order.take(batch).to(x.device)
        steps = int(own.child("steps").numpy().integers(unroll.window, unroll.steps + 1))
        start, real = _start(net, own.child("student"), x), (real_x[rows], targets[rows])
        loss, logits.grad = meta_gradient(net, start, x, logits, *real, unroll=unroll, steps=steps, softmax=softmax)
        if not (loss.isfinite() and logits.grad.isfinite().all()):
            raise RuntimeError(
                f"outer step {step}: loss {loss.item():.3g} or its gradient is not finite; lower unroll's lr if all images are"
            )
        adam.step()
        losses.append(loss)
        if progress is not None:
            progress(step + 1, outer_steps)
    return Learned(logits.detach(), torch.stack(losses))


def meta_gradient(
    net: Net,
    starts: Params,
    x: Tensor,
    logits: Float[Tensor, "n C"],
    real_x: Tensor,
    targets: Float[Tensor, "m C"],
    *,
    unroll: Unroll,
    steps: int,
    softmax: bool = True,
) -> tuple[Float[Tensor, ""], Float[Tensor, "n C"]]:
    """Outer loss after `steps` of K students from `starts` (stacked [K, ...]), and its gradient in the logits.

    The gradient counts the labels of the last `unroll.window` steps only; the loss is the students' mean.
    Errors: ValueError for steps below the window, no images, images of whole numbers, and other numbers of labels than images.
    """
    if steps < unroll.window:
        raise ValueError(f"steps: got {steps}, allowed are whole numbers >= window = {unroll.window}")
    _check_images(x)
    _check_rows("logits", logits, "x", x)
    _check_rows("targets", targets, "real_x", real_x)
    fit, leaf = _cross_entropy if softmax else _half_squares, logits.detach().requires_grad_()
    labels = (leaf.softmax(-1) if softmax else leaf).to(x)
    theta, layout = flatten({name: starts[name] for name in net.layout()}), net.layout()
    velocity, begin = torch.zeros_like(theta), steps - unroll.window
    for step in range(steps):
        live = step >= begin
        if step <= begin:  # nothing before the window is remembered
            theta, velocity = theta.detach().requires_grad_(), velocity.detach()
        loss = fit(net.apply(split(theta, layout), x), labels)
        (slope,) = torch.autograd.grad(loss.sum(), theta, create_graph=live)
        velocity = unroll.momentum * velocity + slope + unroll.weight_decay * theta
        theta = theta - unroll.lr * velocity
    outer = fit(net.apply(split(theta, layout), real_x), targets).mean()
    return outer.detach(), *torch.autograd.grad(outer, leaf)


def ridge_student(x: Float[Tensor, "n d"], q: Float[Tensor, "m C"], lam: float | int) -> Float[Tensor, "d C"]:
    """W = (X^T X + lam I)^-1 X^T Q, the minimiser of ||X W - Q||^2 + lam ||W||^2.

    Errors: ValueError for lam that is not positive, for another number of labels than images, and for no finite numbers.
    """
    _check_rate("lam", lam)
    _check_rows("q", q, "x", x)
    for name, values in (("x", x), ("q", q)):
        if not values.isfinite().all():
            raise ValueError(f"{name}: got numbers that are not finite, allowed are finite ones")
    return torch.linalg.solve(x.mT @ x + lam * torch.eye(x.shape[1]).to(x), x.mT @ q)


def optimal_labels(
    x: Float[Tensor, "n d"], real_x: Float[Tensor, "m d"], targets: Float[Tensor, "r C"], lam: float | int
) -> Float[Tensor, "n C"]:
    """Q* = pinv(A) Y, the shortest labels whose ridge student has the least ||A Q - Y||^2 on the real rows [nguyen2021].

    A = X_real (X^T X + lam I)^-1 X^T takes labels to the student's outputs. ValueErrors of `ridge_student`.
    """
    _check_rows("targets", targets, "real_x", real_x)
    outputs = real_x @ ridge_student(x, torch.eye(len(x)).to(x), lam)
    return torch.linalg.pinv(outputs) @ targets


def _cross_entropy(outputs: Float[Tensor, "K B C"], targets: Float[Tensor, "B C"]) -> Float[Tensor, "K"]:
    return -(targets * outputs.log_softmax(-1)).sum(-1).mean(-1)


def _half_squares(outputs: Float[Tensor, "K B C"], targets: Float[Tensor, "B C"]) -> Float[Tensor, "K"]:
    return (outputs - targets).square().sum(-1).mean(-1) / 2


def _start(net: Net, seeds: Seeds, like: Tensor) -> Params:
    """One fresh student, with a member axis."""
    return {name: value.to(like).unsqueeze(0) for name, value in net.init(seeds).items()}


def _checked(
    net: Net,
    x: Tensor,
    initial: Tensor,
    real_x: Tensor,
    real_y: Tensor,
    outer_steps: int,
    lr: float | int,
    batch: int,
    softmax: bool,
) -> Float[Tensor, "m C"]:
    """The real targets as rows, once all arguments fit each other."""
    if outer_steps < 1:
        raise ValueError(f"outer_steps: got {outer_steps}, allowed are whole numbers >= 1")
    if not 1 <= batch <= len(real_x):
        raise ValueError(f"batch: got {batch}, allowed are whole numbers 1 to {len(real_x)}, the rows of real_x")
    _check_rate("lr", lr)
    _check_images(x)
    _check_rows("initial", initial, "x", x)
    if not initial.isfinite().all():
        raise ValueError("initial: got numbers that are not finite, allowed are finite logits")
    classes = net.apply(_start(net, Seeds(0), x), x[:2]).shape[-1]
    if initial.shape[1] != classes:
        raise ValueError(f"initial: got {initial.shape[1]} columns, allowed are {classes}, the outputs of the net")
    _check_rows("real_y", real_y, "real_x", real_x)
    if not real_y.is_floating_point():
        return hard(real_y, classes).to(x)
    if real_y.shape[1:] != (classes,):
        raise ValueError(f"real_y: got shape {tuple(real_y.shape)}, allowed are class numbers [m] or rows [m, {classes}]")
    if softmax:
        try:
            check_labels(real_y)
        except ValueError as error:
            raise ValueError(f"real_y: {error}") from None
    return real_y.to(x)


def _check_images(x: Tensor) -> None:
    if len(x) == 0 or not x.is_floating_point():
        raise ValueError(f"x: got {len(x)} of {x.dtype}, allowed are one or more images of floating-point numbers")


def _check_rows(name: str, labels: Tensor, images_name: str, images: Tensor) -> None:
    if len(labels) != len(images):
        raise ValueError(f"{name}: got {len(labels)} rows for {len(images)} of {images_name}, allowed is one for each")


def _check_rate(name: str, value: float | int) -> None:
    if not 0 < value < float("inf"):
        raise ValueError(f"{name}: got {value}, allowed are finite numbers > 0")
