"""Laws of the generated image domains."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.data import DOMAINS, make_domain
from lib.seeds import Seeds

SIDES = st.integers(2, 14)


@st.composite
def pictures(draw):
    """Random images [n, h, w] with grey levels in sixteenths (exact in binary)."""
    shape = (draw(st.integers(1, 4)), draw(SIDES), draw(SIDES))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return torch.randint(0, 17, shape, generator=generator).to(dtype) / 16


def _bump(side=28, x=0.0, y=0.0, width=0.25):
    """A smooth bump on [-1, 1]^2, x to the right and y downwards, in double precision."""
    axis = (torch.arange(side, dtype=torch.float64) + 0.5) / side * 2 - 1
    return torch.exp(-((axis[:, None] - y) ** 2 + (axis[None] - x) ** 2) / (2 * width**2))[None]


@settings(max_examples=30, deadline=None)
@given(images=pictures(), seed=st.integers(0, 2**32), kind=st.sampled_from(DOMAINS))
def test_every_domain_keeps_shape_dtype_range_and_its_input(images, seed, kind):
    before = images.clone()
    seen = make_domain(images, kind, Seeds(seed))
    assert (seen.shape, seen.dtype) == (images.shape, images.dtype)
    assert seen.min() >= 0
    assert seen.max() <= 1
    assert torch.equal(images, before)
    assert seen.data_ptr() != images.data_ptr()
    assert torch.equal(seen, make_domain(images, kind, Seeds(seed)))  # same seed, same bits


@settings(max_examples=30, deadline=None)
@given(images=pictures(), kind=st.sampled_from(sorted(set(DOMAINS) - {"noise"})))
def test_images_do_not_depend_on_their_neighbours(images, kind):
    alone = torch.cat([make_domain(image[None], kind, Seeds(0)) for image in images])
    assert torch.allclose(make_domain(images, kind, Seeds(0)), alone, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(images=pictures())
def test_clean_is_identity_and_invert_is_an_involution(images):
    assert torch.equal(make_domain(images, "clean", Seeds(0)), images)
    inverted = make_domain(images, "invert", Seeds(0))
    assert torch.equal(inverted + images, torch.ones_like(images))
    assert torch.equal(make_domain(inverted, "invert", Seeds(0)), images)


@pytest.mark.parametrize(("side", "step"), [(5, 1), (8, 1), (16, 2), (28, 4)])
def test_shift_moves_an_eighth_of_the_side_to_the_right(side, step):
    images = torch.rand(3, side, side, generator=torch.Generator().manual_seed(0))
    shifted = make_domain(images, "shift", Seeds(0))
    assert torch.equal(shifted[:, :, step:], images[:, :, :-step])
    assert not shifted[:, :, :step].any()


# Bilinear interpolation errs by at most h^2/8 (|f_xx| + |f_yy|): here h = 2/28 and both derivatives are at most 1/0.25^2.
BILINEAR = (2 / 28) ** 2 / 8 * 2 / 0.25**2
INSIDE = (slice(None), slice(4, -4), slice(4, -4))  # where no corner is cut off


def test_rotations_turn_25_degrees_each_way():
    turn = math.radians(25)
    for kind, sign in (("rotate-left", -1), ("rotate-right", 1)):  # y runs downwards: left lifts a bump on the right
        target = _bump(x=0.5 * math.cos(turn), y=sign * 0.5 * math.sin(turn))
        assert (make_domain(_bump(x=0.5), kind, Seeds(0)) - target)[INSIDE].abs().max() < BILINEAR


def test_rotation_keeps_angles_on_oblong_images():
    oblong = torch.nn.functional.pad(_bump(x=0.4), (10, 10))
    square = make_domain(_bump(x=0.4), "rotate-left", Seeds(0))
    assert torch.allclose(make_domain(oblong, "rotate-left", Seeds(0))[:, :, 10:-10], square, atol=1e-3)


def test_left_then_right_is_nearly_the_identity_inside():
    images = torch.cat([_bump(x=0.3), _bump(y=-0.2, width=0.4), _bump(x=-0.2, y=0.3)])
    back = make_domain(make_domain(images, "rotate-left", Seeds(0)), "rotate-right", Seeds(0))
    assert (back - images)[INSIDE].abs().max() < 2 * BILINEAR
    once = make_domain(images, "rotate-left", Seeds(0))
    assert (once - images)[INSIDE].abs().max() > 0.2


def test_noise_is_gaussian_clipped_and_fresh_for_each_seed():
    grey = torch.full((200, 20, 20), 0.5)
    one, other = (make_domain(grey, "noise", Seeds(0).child(name)) for name in ("one", "other"))
    assert not torch.equal(one, other)
    # P(|0.35 z| >= 0.5) = 0.1531 of the pixels are clipped, half of them at each end.
    assert ((one == 0).float().mean() - 0.0766).abs() < 0.005
    assert ((one == 1).float().mean() - 0.0766).abs() < 0.005
    inner = one[(one > 0.325) & (one < 0.675)]
    assert len(inner) / one.numel() == pytest.approx(0.3829, abs=0.006)  # within half a standard deviation


def test_blur_spreads_a_point_like_a_gaussian_of_an_eighth_of_the_side():
    point = torch.zeros(1, 33, 33, dtype=torch.float64)
    point[0, 16, 16] = 1
    blurred = make_domain(point, "blur", Seeds(0))[0]
    offsets = torch.arange(33, dtype=torch.float64) - 16
    sigma = 33 / 8
    assert blurred.sum() == pytest.approx(1, abs=1e-3)
    assert (blurred.sum(0) * offsets**2).sum().sqrt() == pytest.approx(sigma, rel=0.01)
    assert torch.allclose(blurred, blurred.T)
    assert blurred[16, 17] / blurred[16, 16] == pytest.approx(math.exp(-1 / (2 * sigma**2)), rel=1e-6)


def test_constant_black_stays_black_and_domains_differ():
    black = torch.zeros(2, 8, 8)
    for kind in set(DOMAINS) - {"noise", "invert"}:
        assert not make_domain(black, kind, Seeds(0)).any()
    images = torch.rand(5, 8, 8, generator=torch.Generator().manual_seed(1))
    seen = [make_domain(images, kind, Seeds(0)) for kind in DOMAINS]
    assert all((a - b).abs().mean() > 0.02 for i, a in enumerate(seen) for b in seen[:i])


def test_unknown_kinds_list_the_valid_ones():
    with pytest.raises(ValueError, match=r"'rotate', allowed are clean, rotate-left, rotate-right, noise, blur, shift, invert"):
        make_domain(torch.zeros(1, 8, 8), "rotate", Seeds(0))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 8, 8), 16.0), r"values from 16 to 16, allowed are 0..1"),
        (torch.full((1, 8, 8), -0.1), r"values from -0.1"),
        (torch.full((1, 8, 8), float("nan")), r"values from nan"),
        (torch.zeros(8, 8), r"shape \(8, 8\), allowed is \[n, h, w\]"),
        (torch.zeros(2, 3, 8, 8), r"shape \(2, 3, 8, 8\)"),
        (torch.zeros(0, 8, 8), r"shape \(0, 8, 8\)"),
        (torch.zeros(1, 8, 8, dtype=torch.uint8), r"got torch.uint8, allowed are float32 and float64"),
    ],
)
def test_bad_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        make_domain(images, "clean", Seeds(0))
