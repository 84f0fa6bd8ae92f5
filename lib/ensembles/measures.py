"""How far models are apart, in predictions or in weights: each of one group against each of another.

All functions return float64 matrices [N, M] and work by matrix products; models run along the first axis of
each input.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

Pairs = Float[Tensor, "N M"]


def ratio_error(a: Int[Tensor, "N n"], b: Int[Tensor, "M n"], labels: Int[Tensor, " n"]) -> Pairs:
    """Ratio error N_diff / max(N_both, 1) [aksela2003]: samples where one errs over those where both do.

    Not a metric: no triangle inequality, zero for equal errors, and without bound (up to n where both never
    err together).
    """
    wrong_a, wrong_b = (a != labels).double(), (b != labels).double()
    both = wrong_a @ wrong_b.T
    only_one = wrong_a.sum(1)[:, None] + wrong_b.sum(1) - 2 * both
    return only_one / both.clamp(min=1)


def ratio_error_label(a: Int[Tensor, "N n"], b: Int[Tensor, "M n"], labels: Int[Tensor, " n"], n_classes: int) -> Pairs:
    """Ratio error by label: samples where both err differently over max(those where both err alike, 1)."""
    wrong_a, wrong_b = (torch.where(x == labels, -1, x) for x in (a, b))
    both = (wrong_a >= 0).double() @ (wrong_b >= 0).double().T
    alike = _matches(wrong_a, wrong_b, n_classes)
    return (both - alike) / alike.clamp(min=1)


def disagreement(a: Int[Tensor, "N n"], b: Int[Tensor, "M n"], n_classes: int) -> Pairs:
    """Share of samples on which the predicted classes differ: mean [p_i != p_j]."""
    return (a.shape[1] - _matches(a, b, n_classes)) / a.shape[1]


def error_disagreement(a: Int[Tensor, "N n"], b: Int[Tensor, "M n"], labels: Int[Tensor, " n"], n_classes: int) -> Pairs:
    """Disagreements over errors [fort2019]: n mean[p_i != p_j] / max((errors_i + errors_j) / 2, 1).

    Fort et al. divide by the error rate of one of the models; the mean of both is taken here so that the
    distance is symmetric.
    """
    errors_a, errors_b = (a != labels).double().sum(1), (b != labels).double().sum(1)
    mean_errors = (errors_a[:, None] + errors_b) / 2
    return (a.shape[1] - _matches(a, b, n_classes)) / mean_errors.clamp(min=1)


def one_minus_q(a: Int[Tensor, "N n"], b: Int[Tensor, "M n"], labels: Int[Tensor, " n"]) -> Pairs:
    """1 - Q, Yule's Q = (N11 N00 - N01 N10) / (N11 N00 + N01 N10) of joint correctness [kuncheva2003].

    From 0 to 2. Where 0/0 arises, Q is 1 for models that err on the same samples and 0 otherwise.
    """
    right_a, right_b = (a == labels).double(), (b == labels).double()
    both_right = right_a @ right_b.T
    only_a = right_a.sum(1)[:, None] - both_right
    only_b = right_b.sum(1) - both_right
    both_wrong = a.shape[1] - both_right - only_a - only_b
    together, apart = both_right * both_wrong, only_a * only_b
    undefined = together + apart == 0
    fallback = (only_a + only_b > 0).double()
    return torch.where(undefined, fallback, 2 * apart / (together + apart).clamp(min=1))


def jensen_shannon(p: Float[Tensor, "N n C"], q: Float[Tensor, "M n C"]) -> Pairs:
    """Mean over samples of H((p+q)/2) - (H(p)+H(q))/2, the Jensen-Shannon divergence [lin1991].

    In nats, at most ln 2. Its root is a metric [endres2003]: each sample's root is one, and the root of a
    mean of squares of metrics is again one.
    """
    p, q = p.double(), q.double()
    own = (_entropy(p)[:, None] + _entropy(q)) / 2
    mixed = torch.stack([_entropy((row + q) / 2) for row in p])
    return (mixed - own).clamp(min=0)


def jensen_shannon_root(p: Float[Tensor, "N n C"], q: Float[Tensor, "M n C"]) -> Pairs:
    """Square root of `jensen_shannon`, a metric."""
    return jensen_shannon(p, q).sqrt()


def one_minus_cka(x: Float[Tensor, "N n d"], y: Float[Tensor, "M n d"]) -> Pairs:
    """1 - linear CKA [kornblith2019], 1 - ||X^T Y||_F^2 / (||X^T X||_F ||Y^T Y||_F) of centred features.

    Raises ValueError where a model's features don't vary over the samples.
    """
    x, y = _unit_features(x), _unit_features(y)
    together = y.permute(1, 0, 2).flatten(1)
    aligned = [(row.T @ together).square().reshape(row.shape[1], len(y), -1).sum((0, 2)) for row in x]
    return (1 - torch.stack(aligned)).clamp(min=0).double()


def euclidean(a: Float[Tensor, "N p"], b: Float[Tensor, "M p"]) -> Pairs:
    """d_E = ||theta_i - theta_j||_2 over all weights."""
    return torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist")


def euclidean_mixtures(a: Float[Tensor, "N K"], b: Float[Tensor, "M K"], gram: Float[Tensor, "K K"]) -> Pairs:
    """d_E between soups from their weights and the Gram matrix of the ingredients: sqrt((a-b) G (a-b)^T).

    `gram` may be that of theta_k - theta_0 (any common origin), since weights sum to one. No model is
    touched.
    """
    delta = a[:, None] - b
    return ((delta @ gram) * delta).sum(-1).clamp(min=0).sqrt()


def layerwise(a: Float[Tensor, "N p"], b: Float[Tensor, "M p"], layers: tuple[int, ...]) -> Pairs:
    """Mean over layers of ||a_l - b_l|| / ((||a_l|| + ||b_l||) / 2), a reading of 'relative layer distance'.

    `layers` are the numbers of weights of the layers, in order. A layer that is zero in both models counts 0.
    """
    relative = []
    for part_a, part_b in zip(a.double().split(layers, 1), b.double().split(layers, 1), strict=True):
        size = (part_a.norm(dim=1)[:, None] + part_b.norm(dim=1)) / 2
        relative.append(euclidean(part_a, part_b) / size.clamp(min=torch.finfo(torch.float64).tiny))
    return torch.stack(relative).mean(0)


def cosine(a: Float[Tensor, "N p"], b: Float[Tensor, "M p"], theta0: Float[Tensor, " p"]) -> Pairs:
    """1 - cos(theta_i - theta_0, theta_j - theta_0), the angle between task vectors [ilharco2023]."""
    gram = gram_matrix(torch.cat([a, b]), theta0)
    one, other = torch.eye(len(gram), dtype=gram.dtype, device=gram.device).split([len(a), len(b)])
    return cosine_mixtures(one, other, gram)


def cosine_mixtures(a: Float[Tensor, "N K"], b: Float[Tensor, "M K"], gram: Float[Tensor, "K K"]) -> Pairs:
    """`cosine` between soups from their weights and the Gram matrix of the task vectors theta_k - theta_0.

    Raises ValueError for a model at theta_0, whose task vector has no direction.
    """
    norm_a, norm_b = (_lengths(rows, gram) for rows in (a, b))
    return (1 - a @ gram @ b.T / (norm_a[:, None] * norm_b)).clamp(min=0)


def gram_matrix(flat: Float[Tensor, "K p"], origin: Float[Tensor, " p"]) -> Float[Tensor, "K K"]:
    """Inner products of theta_k - theta_0, summed in float64 over blocks of weights."""
    gram = torch.zeros(len(flat), len(flat), dtype=torch.float64, device=flat.device)
    for block, start in zip(flat.split(1 << 20, dim=1), origin.split(1 << 20), strict=True):
        task = block.double() - start.double()
        gram += task @ task.T
    return gram


def _lengths(rows: Float[Tensor, "N K"], gram: Float[Tensor, "K K"]) -> Float[Tensor, " N"]:
    """Norms of task vectors, none of them zero."""
    lengths = ((rows @ gram) * rows).sum(1).clamp(min=0).sqrt()
    if (zero := lengths <= 1e-12 * gram.diagonal().max().sqrt()).any():
        raise ValueError(f"weights: model {zero.nonzero()[0].item()} is at theta0, its task vector has no direction")
    return lengths


def _matches(a: Int[Tensor, "N n"], b: Int[Tensor, "M n"], n_classes: int) -> Pairs:
    """Number of samples given the same class, one product for each class to keep memory at N x n."""
    return sum((a == c).double() @ (b == c).double().T for c in range(n_classes))


def _entropy(p: Float[Tensor, "N n C"]) -> Float[Tensor, " N"]:
    """Entropy in nats, mean over samples."""
    return torch.special.entr(p).flatten(1).sum(1) / p.shape[1]


def _unit_features(x: Float[Tensor, "N n d"]) -> Float[Tensor, "N n d"]:
    """Centred features scaled to ||X^T X||_F = 1."""
    centred = x - x.mean(1, keepdim=True)
    size = (centred.mT @ centred).flatten(1).norm(dim=1)
    if (flat := size == 0).any():
        raise ValueError(f"features: those of model {flat.nonzero()[0].item()} are constant, CKA needs some that vary")
    return centred / size.sqrt()[:, None, None]
