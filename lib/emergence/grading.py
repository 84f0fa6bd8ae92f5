"""Grading K networks on an exam at once, with the right answers before them, and an explicit decoder that writes its own."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from lib.emergence.tasks import Rows
from lib.nets import Net, Params
from lib.population import IGNORED


@dataclass(frozen=True, eq=False)
class Grades:
    """One value for each of K members.

    `exact`: share of examples whose answer is right in every token. `token`: share of right tokens. `nll`: mean negative
    log-likelihood of the right tokens, in nats. Answers end with their end token. All three are NaN for the members in `broken`,
    whose logits were not finite.
    """

    exact: Float64[Tensor, "K"]
    token: Float64[Tensor, "K"]
    nll: Float64[Tensor, "K"]
    broken: tuple[int, ...]


def grade(logits: Float[Tensor, "K m T V"], exam: Rows) -> Grades:
    """Grade the arg-max of logits that were computed with the right answers as inputs.

    An answer is right in every token exactly if greedy decoding writes it: up to the first error both see the same [zhao2025].
    Errors: ValueError for logits that don't fit the exam, for a target outside their V tokens, and for an exam without targets.
    """
    _check(logits, exam)
    asked = (exam.targets != IGNORED).to(logits.device)
    right = exam.targets.to(logits.device)[asked]
    example, sizes = asked.nonzero()[:, 0], asked.sum(1)
    rows = [_member(one[asked].double(), right, example, sizes) for one in logits]  # one by one: V may be large
    exact, token, nll = torch.tensor(rows, dtype=torch.float64, device=logits.device).mT
    return Grades(exact, token, nll, tuple(nll.isnan().nonzero()[:, 0].tolist()))


def greedy(net: Net, params: Params, exam: Rows) -> Int64[Tensor, "K m T"]:
    """What K networks answer when each token is their own most likely one and the input to the next; IGNORED outside answers.

    The network sees prompts and what it wrote itself, never the exam's answers. `net` gives logits for every position.
    """
    stacked = next(iter(params.values()))
    asked = (exam.targets != IGNORED).to(stacked.device)
    seen = exam.inputs.to(stacked.device).repeat(len(stacked), 1, 1)  # its answers are overwritten before they are read
    said = torch.full_like(seen, IGNORED)
    with torch.no_grad():
        for t in asked.any(0).nonzero()[:, 0].tolist():
            now, rows = net.apply(params, seen[..., : t + 1])[..., -1, :].argmax(-1), asked[:, t]
            said[:, rows, t] = now[:, rows]
            if t + 1 < seen.shape[-1]:
                seen[:, rows, t + 1] = now[:, rows]
    return said


def _member(z: Float64[Tensor, "N V"], right: Tensor, example: Tensor, sizes: Tensor) -> tuple[float, float, float]:
    """exact, token, nll from the logits at the N places that ask; NaN for logits that are not finite."""
    if not z.isfinite().all():
        return (float("nan"),) * 3
    hits = z.argmax(-1) == right
    whole = torch.zeros_like(sizes).index_add(0, example, hits.long()) == sizes
    nll = -z.log_softmax(-1).gather(1, right[:, None]).mean()
    # Shares as quotients of whole numbers, so that comparing them with a threshold is exact.
    return int(whole.sum()) / len(sizes), int(hits.sum()) / len(hits), nll.item()


def _check(logits: Tensor, exam: Rows) -> None:
    asked = exam.targets != IGNORED
    if logits.shape[1:-1] != exam.targets.shape:
        raise ValueError(f"logits: got shape {tuple(logits.shape)}, allowed is (K, {', '.join(map(str, exam.targets.shape))}, V)")
    if not asked.any(1).all() or not len(asked):
        raise ValueError("exam: got an example without targets or no example, allowed are one or more targets in each row")
    if (highest := int(exam.targets.max())) >= logits.shape[-1]:
        raise ValueError(f"exam: got target {highest} for logits of {logits.shape[-1]} tokens, allowed are smaller ones")
