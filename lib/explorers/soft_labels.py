"""The explorer of the soft-labels study as plain functions of a scene and a state."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from lib.distillation.labels import entropy, hard, soften, swap_k, top_k
from lib.explorers.readout import Readout
from lib.explorers.soft_labels_curves import away, nearest
from lib.explorers.soft_labels_state import TEMPERATURE, Bar, Frame, Labels, Scene, State, Trained

MOST_BARS = 14  # of more classes the largest are shown, and the rest as one
NO_TRAINING = "train: got none with this scene, allowed is a scene made with one"


def check(scene: Scene, state: State) -> None:
    """Refuse a state that cannot be, in one line (ValueError)."""
    for name, allowed in (("epoch", scene.epochs), ("ipc", scene.budgets), ("subject", scene.subjects or range(scene.classes))):
        if getattr(state, name) not in allowed:
            raise ValueError(f"{name}: got {getattr(state, name)!r}, allowed are {', '.join(map(str, allowed))}")
    for name, most in (("image", len(scene.images) - 1), ("swap", scene.classes), ("top", scene.classes)):
        if getattr(state, name) not in range(most + 1):
            raise ValueError(f"{name}: got {getattr(state, name)!r}, allowed are whole numbers 0 to {most}")
    low, high = TEMPERATURE
    if not low * (1 - 1e-9) <= state.temperature <= high * (1 + 1e-9):  # a slider's ends come back as 2 ** log2(end)
        raise ValueError(f"temperature: got {state.temperature:g}, allowed are {low:g} to {high:g}")


def frame(scene: Scene, state: State) -> Frame:
    """What is to be seen in `state`. Raises ValueError for a state that cannot be."""
    check(scene, state)
    labels = labels_of(scene, state)

    def budget(ipc: int) -> float:
        return away(ipc, state.ipc)

    wanted = (state.epoch, state.temperature)
    bought = nearest(scene.students, wanted, lambda key: away(key[0], wanted[0]) + abs(math.log2(key[1] / wanted[1])))
    assert bought is not None, "Scene.of refuses a scene without students"
    zeros = {key: curve for key, curve in scene.zero.items() if key[1] == state.subject}
    return Frame(
        state=state,
        labels=labels,
        bars=_bars(scene, labels, state.image),
        bought=bought,
        swap=nearest(scene.swap, state.ipc, budget),
        top=nearest(scene.top, (state.ipc, state.epoch), lambda key: (budget(key[0]), away(key[1], state.epoch))),
        zero=nearest(zeros, (state.ipc, state.subject), lambda key: budget(key[0])),
        leak=_leak(scene, labels.now, state.subject),
    )


def labels_of(scene: Scene, state: State) -> Labels:
    """All images' labels as they are set; kept, so that looking at another image costs nothing."""
    return _labels(scene, state.epoch, state.temperature, state.swap, state.top)


@lru_cache(maxsize=32)
def _labels(scene: Scene, epoch: int, temperature: float, swap: int, top: int) -> Labels:
    past = _softened(scene, temperature)
    before = past[scene.epochs.index(epoch)]
    now = swap_k(before, swap) if swap else before
    if top < scene.classes:
        now = top_k(now, top, scene.labels)
    return Labels(now, before, past, entropy(now), now.argmax(1) != scene.labels)


@lru_cache(maxsize=8)
def _softened(scene: Scene, temperature: float) -> Float[Tensor, "E n C"]:
    return soften(scene.logits, temperature)


def _bars(scene: Scene, labels: Labels, image: int) -> tuple[Bar, ...]:
    """Every class in its order, or the largest and the true one of many, by size, and then the others together."""
    truth, share = int(scene.labels[image]), labels.now[image]
    shown = list(range(scene.classes))
    if scene.classes > MOST_BARS:
        order = share.argsort(descending=True, stable=True).tolist()
        shown = order[: MOST_BARS - 1]
        if truth not in shown:
            shown[-1] = truth
    table = torch.cat([share[None], labels.before[image][None], labels.past[:, image]]).T  # a row for each class
    bars = [_bar(scene.class_names[c], table[c], c == truth) for c in shown]
    if rest := sorted(set(range(scene.classes)) - set(shown)):
        bars.append(_bar(f"{len(rest)} others", table[rest].sum(0), False))
    return tuple(bars)


def _bar(name: str, row: Float[Tensor, "columns"], true: bool) -> Bar:
    share, before, *past = row.tolist()
    return Bar(name, share, before, tuple(past), true)


def _leak(scene: Scene, labels: Float[Tensor, "n C"], subject: int) -> Float[Tensor, "C"]:
    """Mean share of the subject in the labels of each other class's images; 0 for itself and for classes without images."""
    counts = scene.labels.bincount(minlength=scene.classes)
    sums = labels.new_zeros(scene.classes).index_add(0, scene.labels, labels[:, subject])
    means = sums / counts.clamp(min=1)
    means[subject] = 0.0
    return means


def described(scene: Scene, state: State) -> str:
    """Which labels a state sets, in a few words."""
    if state.top == 0:
        return "hard labels (top 0)"
    parts = [f"epoch {state.epoch}", f"T = {state.temperature:.3g}"]
    parts += [f"swap {state.swap}"] if state.swap else []
    parts += [f"top {state.top}"] if state.top < scene.classes else []
    return ", ".join(parts)


def is_changed(scene: Scene, state: State) -> bool:
    """Whether the labels are other than the expert's own, so that what was measured for those does not hold for them."""
    return state.swap not in (0, scene.classes) or state.top != scene.classes


def readouts(scene: Scene, shown: Frame) -> list[Readout]:
    """What a frame says in numbers."""
    state, labels = shown.state, shown.labels
    row, truth = labels.now[state.image], int(scene.labels[state.image])
    top, wrong, n = int(row.argmax()), int(labels.wrong.sum()), len(scene.labels)
    verdict = "right" if top == truth else f"wrong, true is {scene.class_names[truth]}"
    nats, total = float(labels.entropies[state.image]), float(row.sum())
    kept = "" if total > 1 - 1e-6 else f"; the label sums to {total:.2f}, not renormalised"
    expert = scene.expert_accuracy[scene.epochs.index(state.epoch)]
    return [
        Readout("largest", f"{scene.class_names[top]} with {100 * float(row[top]):.0f} %", verdict),
        Readout("entropy", f"{nats:.2f} nats", f"of at most {math.log(scene.classes):.2f}, sure is 0{kept}"),
        Readout("all labels", f"{wrong} of {n} wrong", f"mean entropy {float(labels.entropies.mean()):.2f} nats"),
        Readout("expert", f"{expert:.1f} %", f"accuracy after epoch {state.epoch}"),
        _bought(scene, shown),
    ]  # fmt: skip


def _bought(scene: Scene, shown: Frame) -> Readout:
    """The accuracy that the nearest measured labels buy at the budget looked at, beside that of hard labels."""
    state, point = shown.state, shown.bought.at(shown.state.ipc)
    base = next((each for each in scene.hard if each.at == point.at), None)
    gain = "" if base is None else f", {point.accuracy - base.accuracy:+.1f} points on hard labels"
    changed = is_changed(scene, state)
    kind = nearest_text(shown) + (", before swap and cut" if changed else "")
    return Readout("they buy", f"{point.accuracy:.1f} %", f"at {per_class(point.at)}{gain}; {kind}", changed)


def nearest_text(shown: Frame) -> str:
    """Which labels the curve of bought accuracy is of."""
    epoch, temperature = shown.bought.key
    return f"{'measured' if shown.bought.exact else 'nearest measured'}: epoch {epoch:g}, T = {temperature:g}"


def per_class(ipc: int) -> str:
    """A budget in words."""
    return f"{ipc:g} image{'' if ipc == 1 else 's'} per class"


def train_now(scene: Scene, state: State) -> Trained:
    """Train students on the scene's images with the labels of `state`, and, the first time, with hard ones to compare.

    Errors: ValueError for a scene without `train`, a state that cannot be, and accuracies that are none; and what `train`
    raises, such as RuntimeError for students that diverge.
    """
    check(scene, state)
    with _one_thread():
        base = _with_hard_labels(scene)
        since = time.perf_counter()
        soft = _accuracies(scene, labels_of(scene, state).now)
        seconds = time.perf_counter() - since
    if len(soft) != len(base):
        raise ValueError(
            f"train: got {len(soft)} accuracies after {len(base)} for hard labels, allowed are as many in every call"
        )
    return Trained(state, soft, base, seconds)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Nets for so few images gain nothing by more threads, and where others compute as well they wait for them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=8)
def _with_hard_labels(scene: Scene) -> tuple[float, ...]:
    return _accuracies(scene, hard(scene.labels, scene.classes))


def _accuracies(scene: Scene, labels: Float[Tensor, "n C"]) -> tuple[float, ...]:
    if scene.train is None:
        raise ValueError(NO_TRAINING)
    found = torch.as_tensor(scene.train(labels)).double().flatten().tolist()
    if not found or not all(0 <= accuracy <= 100 for accuracy in found):
        raise ValueError(f"train: got {found}, allowed are accuracies of 0 to 100 %, one or more")
    return tuple(found)
