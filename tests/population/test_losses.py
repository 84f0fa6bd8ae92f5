"""Cross-entropy is torch's, member by member."""

import torch
from torch.nn.functional import cross_entropy as peer
from torch.nn.functional import one_hot

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
