"""CutMix views: boxes of other images, a share of the area, and one label for each view."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.distillation.mixing import cutmix_views
from lib.seeds import Seeds

SEEDS = Seeds(0).child("mixing")


def numbered(n, c, h, w):
    """Images of one number each, so that a pixel tells where it comes from."""
    return torch.arange(1.0, n + 1)[:, None].expand(n, c * h * w).clone()


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 6), st.integers(1, 3), st.integers(2, 7), st.integers(2, 9), st.integers(1, 4))
def test_every_view_is_its_image_with_one_box_of_another(n, c, h, w, views):
    x = numbered(n, c, h, w)
    mixed = cutmix_views(x, (c, h, w), views, SEEDS).view(views, n, c, h, w)
    for view in mixed:
        others = []
        for own, image in zip(range(1, n + 1), view, strict=True):
            strange = image != own
            assert (strange == strange[:1]).all(), "all channels share the box"
            found = image[strange].unique().tolist()
            assert len(found) <= 1, "one other image"
            others += found
            rows, columns = strange[0].any(1), strange[0].any(0)
            assert (strange[0] == rows[:, None] & columns[None]).all(), "a box"
            for line in (rows, columns):
                assert (line.int().diff().abs().sum() + line[0] + line[-1]) in (0, 2), "without a gap"
        assert len(others) == len(set(others)), "a permutation: no image is pasted twice in a view"


def test_boxes_cover_what_uniform_shares_and_middles_do():
    """With a side of s^2 ~ U(0, 1), the rim leaves s - s^2 / 4 of it on average, and it misses the rim with probability 1 - s."""
    x = numbered(50, 1, 100, 100)  # of fifty images, one in fifty is mixed with itself
    mixed = cutmix_views(x, (1, 100, 100), 60, SEEDS).view(60, 50, 100, 100)
    inside = mixed != torch.arange(1.0, 51)[:, None, None]
    area = inside.double().mean((-2, -1))
    assert area.mean().item() == pytest.approx(0.98 * 77 / 240, abs=0.015)  # E (s - s^2 / 4)^2 = 1/2 - 1/5 + 1/48
    rim = inside[..., 0, :].any(-1) | inside[..., -1, :].any(-1) | inside[..., 0].any(-1) | inside[..., -1].any(-1)
    whole = area[(area > 0) & ~rim]
    assert len(whole) / area.numel() == pytest.approx(0.98 / 6, abs=0.03)  # E (1 - s)^2 = 1 - 4/3 + 1/2
    assert whole.mean().item() == pytest.approx(0.2, abs=0.03)  # E s^2 (1 - s)^2 / E (1 - s)^2
    assert area.max() > 0.9


def test_every_view_has_boxes_of_its_own():
    x = numbered(8, 1, 16, 16)
    views = cutmix_views(x, (1, 16, 16), 3, SEEDS).view(3, 8, 256)
    assert not torch.equal(views[0], views[1])
    assert len({tuple((view[i] != i + 1).tolist()) for view in views for i in range(8)}) > 12


def test_bytes_stay_bytes_and_rows_keep_their_shape():
    x = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    mixed = cutmix_views(x, (3, 8, 8), 2, SEEDS)
    assert (mixed.dtype, mixed.shape) == (torch.uint8, (6, 3, 8, 8))
    assert torch.equal(mixed, cutmix_views(x, (3, 8, 8), 2, SEEDS)), "the same seeds, the same views"
    assert torch.equal(mixed[:3], cutmix_views(x, (3, 8, 8), 1, SEEDS)), "more views leave the first ones alone"


@pytest.mark.parametrize(
    ("x", "channels", "views", "why"),
    [
        (numbered(2, 1, 2, 2), (1, 2, 2), 0, "views: got 0"),
        (numbered(2, 1, 2, 2), (1, 2, 3), 1, "x: got shape"),
        (torch.zeros(0, 4), (1, 2, 2), 1, "x: got shape"),
    ],
)
def test_bad_input(x, channels, views, why):
    with pytest.raises(ValueError, match=why):
        cutmix_views(x, channels, views, SEEDS)
