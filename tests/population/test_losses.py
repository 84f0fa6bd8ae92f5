"""Cross-entropy is torch's, member by member."""

import pytest
import torch
from torch.nn.functional import cross_entropy as peer
from torch.nn.functional import kl_div, one_hot

from lib.population.losses import cross_entropy

LOGITS = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0)).double()
LABELS = torch.randint(4, (3, 6), generator=torch.Generator().manual_seed(1))
SMOOTHING = [0.0, 0.1, 1.0]


def test_each_member_has_its_own_smoothing():
    ours = cross_entropy(LOGITS, LABELS, torch.tensor(SMOOTHING).double().unsqueeze(1))
    each = zip(LOGITS, LABELS, SMOOTHING, strict=True)
    torch.testing.assert_close(ours, torch.stack([peer(z, y, label_smoothing=s) for z, y, s in each]))


def test_distributions_as_targets():
    soft = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(2)).double().softmax(-1)
    ours = cross_entropy(LOGITS, soft, torch.tensor(SMOOTHING).double().unsqueeze(1))
    each = zip(LOGITS, soft, SMOOTHING, strict=True)
    torch.testing.assert_close(ours, torch.stack([peer(z, y, label_smoothing=s) for z, y, s in each]))


def test_one_hot_distributions_are_class_numbers():
    smoothing = torch.full((3, 1), 0.2, dtype=torch.float64)
    hard, soft = (cross_entropy(LOGITS, y, smoothing) for y in (LABELS, one_hot(LABELS, 4).double()))
    torch.testing.assert_close(hard, soft)


SOFT = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(3)).double().softmax(-1)
NONE = torch.zeros(3, 1, dtype=torch.float64)


def test_cross_entropy_is_entropy_plus_divergence():
    divergence = kl_div(LOGITS.log_softmax(-1), SOFT, reduction="none").sum(-1)
    entropy = torch.special.entr(SOFT).sum(-1)
    torch.testing.assert_close(cross_entropy(LOGITS, SOFT, NONE), (entropy + divergence).mean(1))


PARTS = {"whole": SOFT, "labels of three classes": SOFT * torch.tensor([1.0, 1, 1, 0]), "half": SOFT / 2, "none": SOFT * 0}


@pytest.mark.parametrize("part", PARTS)
def test_targets_that_lack_mass_agree_with_torch_and_are_not_renormalised(part):
    torch.testing.assert_close(
        cross_entropy(LOGITS, PARTS[part], NONE), torch.stack([peer(z, q) for z, q in zip(LOGITS, PARTS[part], strict=True)])
    )


@pytest.mark.parametrize("part", PARTS)
def test_gradient_in_logits_is_mass_times_p_minus_q_over_rows(part):
    """Oracle, in float64: the closed form, autograd and central differences."""
    z, q, h = LOGITS.clone().requires_grad_(), PARTS[part], 1e-6
    slope = torch.autograd.grad(cross_entropy(z, q, NONE).sum(), z)[0]
    torch.testing.assert_close(slope, (q.sum(-1, keepdim=True) * LOGITS.softmax(-1) - q) / LOGITS.shape[1])
    for place in [(0, 0, 0), (1, 3, 2), (2, 5, 3)]:
        step = torch.zeros_like(LOGITS)
        step[place] = h
        ends = [cross_entropy(LOGITS + sign * step, q, NONE).sum() for sign in (1, -1)]
        torch.testing.assert_close((ends[0] - ends[1]) / (2 * h), slope[place], rtol=1e-6, atol=1e-9)
