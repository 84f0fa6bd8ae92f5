"""Cross-entropy of each member, with its own label smoothing."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

IGNORED = -1  # a target that carries no loss


def cross_entropy(logits: Float[Tensor, "K B *T C"], target: Tensor, smoothing: Float[Tensor, "K 1"]) -> Float[Tensor, "K"]:
    """L_k = -mean_b sum_c [(1 - s_k) t_bc + s_k / C] log softmax(z_kb)_c [szegedy2016].

    `target` holds class numbers [K, B] or weights of the classes t [K, B, C], which need not sum to 1. Members meet in
    no term, so the gradient of sum_k L_k is every member's own. For sequences see `sequence_cross_entropy`.
    """
    if logits.dim() == 4:
        return sequence_cross_entropy(logits, target, smoothing)
    # Nets with features first hand over logits whose memory runs along the rows; the softmax is fastest along it.
    log_p = logits.mT.log_softmax(1)
    if target.dim() == logits.dim():
        fit = (target.mT * log_p).sum(1)
    else:
        fit = log_p.gather(1, target.unsqueeze(1)).squeeze(1)
    return -(fit.lerp(log_p.mean(1), smoothing)).mean(1)


def sequence_cross_entropy(
    logits: Float[Tensor, "K B T C"], target: Int[Tensor, "K B T"], smoothing: Float[Tensor, "K 1"]
) -> Float[Tensor, "K"]:
    """The mean of the same terms over each member's (b, t) whose target is not IGNORED; 0, without gradient, if it has none."""
    log_p = logits.log_softmax(-1)
    fit = -F.nll_loss(log_p.flatten(0, 2), target.flatten(), ignore_index=IGNORED, reduction="none").view(len(logits), -1)
    kept = target.ne(IGNORED).flatten(1)
    if smoothing.any():
        fit = fit.lerp(log_p.mean(-1).flatten(1).where(kept, 0), smoothing)
    return -fit.sum(1) / kept.sum(1).clamp(min=1)
