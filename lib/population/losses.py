"""Cross-entropy of each member, with its own label smoothing."""

from jaxtyping import Float
from torch import Tensor


def cross_entropy(logits: Float[Tensor, "K B C"], target: Tensor, smoothing: Float[Tensor, "K 1"]) -> Float[Tensor, "K"]:
    """L_k = -mean_b sum_c [(1 - s_k) t_bc + s_k / C] log softmax(z_kb)_c [szegedy2016].

    `target` holds class numbers [K, B] or weights of the classes t [K, B, C], which need not sum to 1. Members meet in
    no term, so the gradient of sum_k L_k is every member's own.
    """
    # Nets with features first hand over logits whose memory runs along the rows; the softmax is fastest along it.
    log_p = logits.mT.log_softmax(1)
    if target.dim() == logits.dim():
        fit = (target.mT * log_p).sum(1)
    else:
        fit = log_p.gather(1, target.unsqueeze(1)).squeeze(1)
    return -(fit.lerp(log_p.mean(1), smoothing)).mean(1)
