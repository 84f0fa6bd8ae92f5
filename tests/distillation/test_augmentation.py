"""Random changes of images: known answers for each change, and streams that belong to one member alone."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.distillation import augmentation as change
from lib.seeds import Seeds

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPE = (3, 8, 8)
X = torch.randn(5, *SHAPE, generator=Seeds(0).torch())
ONES, NONE, ZERO = torch.ones(5), torch.zeros(5), torch.zeros(5, dtype=torch.int64)
STAY = torch.eye(2, 3).expand(5, 2, 3)
NODES = [Seeds(1).child("member", k) for k in range(6)]


def run(make, nodes, x, steps=12):
    """[steps, K, B, ...] of what the members of these nodes see of x."""
    apply = make(SHAPE)(nodes)
    return torch.stack([apply(x.expand(len(nodes), *x.shape), step) for step in range(steps)])


@pytest.mark.parametrize(
    "same",
    [
        change.brightened(X, NONE), change.saturated(X, ONES), change.contrasted(X, ONES), change.moved(X, ZERO, ZERO),
        change.cut_out(X, ZERO, ZERO, (0, 4)), change.flipped(X, NONE.bool()), change.warped(X, STAY),
        change.warped(X, change.turn(NONE)),
    ],
    ids=["brightened", "saturated", "contrasted", "moved", "cut out", "flipped", "scaled", "turned"],
)  # fmt: skip
def test_the_neutral_parameter_gives_the_image(same):
    torch.testing.assert_close(same, X, rtol=1e-5, atol=1e-6)


def test_colour_changes():
    torch.testing.assert_close(change.brightened(X, ONES * 0.3) - X, torch.full_like(X, 0.3))
    grey = change.saturated(X, NONE)
    torch.testing.assert_close(grey, X.mean(1, keepdim=True).expand_as(X))
    torch.testing.assert_close(change.saturated(X, 2 * ONES), 2 * X - grey)
    torch.testing.assert_close(change.contrasted(X, NONE), X.mean((1, 2, 3), keepdim=True).expand_as(X))


def test_each_image_has_its_own_parameter():
    mixed = change.brightened(X, torch.arange(5.0))
    assert torch.equal(mixed[0], X[0])
    torch.testing.assert_close(mixed[3], X[3] + 3)


class TestMoved:
    @given(down=st.integers(-8, 8), right=st.integers(-8, 8))
    def test_pixels_go_there_and_zeros_enter(self, down, right):
        found = change.moved(X, ZERO + down, ZERO + right)
        wanted = torch.zeros_like(X)
        for i in range(8):
            for j in range(8):
                if 0 <= i - down < 8 and 0 <= j - right < 8:
                    wanted[..., i, j] = X[..., i - down, j - right]
        assert torch.equal(found, wanted)


class TestCutOut:
    @given(top=st.integers(-8, 8), left=st.integers(-8, 8), height=st.integers(0, 8), width=st.integers(0, 8))
    def test_exactly_the_box_is_zero(self, top, left, height, width):
        found = change.cut_out(X, ZERO + top, ZERO + left, (height, width))
        box = torch.zeros(8, 8, dtype=torch.bool)
        box[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = True
        assert (found[..., box] == 0).all()
        assert torch.equal(found[..., ~box], X[..., ~box])


def test_mirroring_twice_gives_the_image():
    which = torch.tensor([True, False, True, False, False])
    once = change.flipped(X, which)
    assert torch.equal(once[0], X[0].flip(2))
    assert torch.equal(once[1], X[1])
    assert torch.equal(change.flipped(once, which), X)


def test_a_quarter_turn_moves_every_pixel_there():
    found = change.warped(X, change.turn(torch.full((5,), math.pi / 2)))
    turned = [torch.rot90(X, times, (2, 3)) for times in (1, -1)]
    assert any(torch.allclose(found, each, atol=1e-5) for each in turned)
    back = change.warped(found, change.turn(torch.full((5,), -math.pi / 2)))
    torch.testing.assert_close(back, X, rtol=1e-4, atol=1e-5)


def test_half_the_coordinates_enlarge_the_middle_and_twice_bring_zeros():
    near = change.warped(X, 0.5 * STAY)
    assert near.abs().max() <= X.abs().max() + 1e-6
    far = change.warped(X, 2 * STAY)
    assert (far[..., 0, :] == 0).all()
    assert (far[..., :, -1] == 0).all()


@pytest.mark.parametrize("make", [change.dsa, change.crops])
class TestStreams:
    def test_a_member_is_alone_in_any_company(self, make):
        together = run(make, NODES, X)
        assert torch.equal(run(make, NODES[2:3], X)[:, 0], together[:, 2])
        assert torch.equal(run(make, NODES[::-1], X).flip(1), together)

    def test_members_differ_and_equal_nodes_see_the_same(self, make):
        seen = run(make, [*NODES[:2], NODES[0]], X)
        assert torch.equal(seen[:, 0], seen[:, 2])
        assert not torch.equal(seen[:, 0], seen[:, 1])

    def test_flat_rows_are_changed_as_images(self, make):
        flat = run(make, NODES[:2], X.flatten(1))
        assert torch.equal(flat.unflatten(3, SHAPE), run(make, NODES[:2], X))

    def test_values_stay_finite_and_the_input_as_it_was(self, make):
        before = X.clone()
        assert run(make, NODES, X).isfinite().all()
        assert torch.equal(X, before)


def test_every_family_comes_about_as_often():
    """A flip keeps each image's pixels; only one family in six does, and half of its images stay as they are."""
    seen = run(change.dsa, NODES[:1], X, steps=600)[:, 0]
    kept = (seen.flatten(2).sort(-1).values == X.flatten(1).sort(-1).values).all(-1)
    assert 60 < kept.all(1).sum() < 145


def test_each_familys_strengths_are_within_bounds():
    generator = Seeds(2).torch()
    many = torch.zeros(400, 1, 8, 8)
    shift = change._colour(many, generator)[:, 0, 0, 0]  # of grey zeros only brightness shows
    assert shift.abs().max() <= change.BRIGHTNESS / 2 * (change.CONTRAST + 1)
    boxes = (change._cutout(many + 1, generator) == 0).flatten(1).sum(1)
    assert boxes.max() == 16  # half of each side, whole
    assert boxes.min() < 16  # cut at the border
    marked = many.clone()
    marked[..., 4, 4] = 1.0
    places = change._crop(marked, generator)[:, 0].flatten(1).argmax(1)
    assert {(p // 8, p % 8) for p in places.tolist()} == {(i, j) for i in (3, 4, 5) for j in (3, 4, 5)}


def test_random_crops_stay_within_the_image():
    """An image of ones stays one everywhere: no crop reaches outside."""
    seen = run(change.crops, NODES[:1], torch.ones(64, *SHAPE), steps=4)
    torch.testing.assert_close(seen, torch.ones_like(seen), rtol=1e-5, atol=1e-5)
