"""Tasks: real images, parts that never meet, small draws that nest."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.data import status, tensors
from lib.distillation.pool import TASKS, fingerprint, load_task, nested_draw
from lib.seeds import Seeds

WITHOUT_GARMENTS = pytest.mark.skipif(not status("fashion-mnist").present, reason="fashion-mnist is not on this machine")
NAMES = [
    pytest.param(name, marks=[WITHOUT_GARMENTS] if "fashion-mnist" in source.collections else [])
    for name, source in TASKS.items()
]
EXPECTED = {  # shape, classes, rows of train, validation and test
    "digits": ((8, 8), 10, (1000, 297, 500)),
    "mnist": ((14, 14), 10, (3000, 1000, 1000)),
    "fashion": ((14, 14), 10, (10000, 2000, 5000)),
    "pairs": ((14, 28), 100, (20000, 2000, 5000)),
    "digit-pairs": ((8, 16), 100, (20000, 2000, 5000)),
    "pairs-4": ((14, 28), 4, (800, 2000, 5000)),
    "pairs-9": ((14, 28), 9, (1800, 1998, 4995)),
    "pairs-25": ((14, 28), 25, (5000, 2000, 5000)),
    "pairs-49": ((14, 28), 49, (9800, 1960, 4998)),
}


@pytest.fixture(scope="module", params=NAMES)
def task(request):
    return load_task(request.param)


def parts(task):
    return {part: (getattr(task, f"x_{part}"), getattr(task, f"y_{part}")) for part in ("train", "validation", "test")}


def halves(task, x):
    """Every image a row is made of, as a set of bytes on either side."""
    images = task.pictures(x).mul(4096).round().int().split(task.shape[0], dim=2)  # 8 x 8 or 14 x 14: one or two squares
    return [{image.numpy().tobytes() for image in side.contiguous()} for side in images]


class TestTask:
    def test_sizes_shapes_and_types(self, task):
        shape, classes, rows = EXPECTED[task.name]
        assert (task.shape, task.classes, len(task.class_names)) == (shape, classes, classes)
        assert tuple(len(y) for _, y in parts(task).values()) == rows
        for x, y in parts(task).values():
            assert x.shape == (len(y), shape[0] * shape[1])
            assert (x.dtype, y.dtype) == (torch.float32, torch.int64)

    def test_the_training_part_is_standardised_and_the_others_by_it(self, task):
        assert task.x_train.double().mean().item() == pytest.approx(0, abs=1e-5)
        assert task.x_train.double().std().item() == pytest.approx(1, abs=1e-5)
        for x, _ in parts(task).values():
            assert abs(x.mean()) < 0.05
            pictures = task.pictures(x)
            assert -1e-6 <= pictures.min() <= 1e-6  # the darkest pixel of each part is black
            assert 0.9 < pictures.max() <= 1 + 1e-6

    def test_every_part_has_every_class_in_proportion(self, task):
        for _, y in parts(task).values():
            shares = y.bincount(minlength=task.classes) / len(y)
            assert len(shares) == task.classes
            assert shares.max() < 1.15 * shares.min()

    def test_no_image_and_no_half_of_a_pair_is_in_two_parts(self, task):
        train, validation, test = (halves(task, x) for x, _ in parts(task).values())
        for side in range(len(train)):
            assert not train[side] & validation[side]
            assert not train[side] & test[side]
            assert not validation[side] & test[side]

    def test_the_same_images_for_everybody(self, task):
        again = load_task(task.name)
        assert torch.equal(task.x_train, again.x_train)
        assert torch.equal(task.y_test, again.y_test)

    def test_another_training_size_leaves_the_held_out_images_alone(self, task):
        size = 500 // task.classes * task.classes
        few = load_task(task.name, train_size=size)
        assert len(few.y_train) == size
        for part in ("validation", "test"):
            (mine, y), (theirs, also) = parts(task)[part], parts(few)[part]
            assert torch.equal(y, also)
            torch.testing.assert_close(task.pictures(mine), few.pictures(theirs))
        if task.classes == 10:
            assert halves(few, few.x_train)[0] <= halves(task, task.x_train)[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [0, 3, 10**8])
def test_training_sizes_that_are_not_there(name, size):
    with pytest.raises(ValueError, match=rf"train_size: got {size}, allowed for task '{name}' are"):
        load_task(name, train_size=size)


def test_pairs_come_in_equal_numbers_of_each_class():
    with pytest.raises(ValueError, match="train_size: got 250, allowed for task 'digit-pairs' are multiples of 100 from 100"):
        load_task("digit-pairs", train_size=250)


def test_unknown_tasks_are_named():
    with pytest.raises(ValueError, match="task: got 'cifar', allowed are digits, mnist, fashion, pairs, pairs-4"):
        load_task("cifar")


@pytest.fixture(scope="module")
def pairs():
    return load_task("digit-pairs")


class TestPairs:
    def test_class_ab_is_digit_a_beside_digit_b(self, pairs):
        images, labels = tensors("digits")
        known = {image.mul(16).round().byte().numpy().tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
        assert pairs.class_names[37] == "3, 7"
        for x, y in parts(pairs).values():
            pictures = pairs.pictures(x[::17]).mul(16).round().byte()
            for picture, label in zip(pictures, y[::17].tolist(), strict=True):
                sides = [known[side.contiguous().numpy().tobytes()] for side in picture.split(8, dim=1)]
                assert sides == [label // 10, label % 10]

    def test_no_pair_comes_twice(self, pairs):
        assert len(pairs.x_train.unique(dim=0)) == len(pairs.x_train)


LABELS = torch.arange(10).repeat_interleave(torch.arange(7, 17))[torch.randperm(115, generator=torch.Generator().manual_seed(0))]


class TestNestedDraw:
    @given(seed=st.integers(0, 2**32), ipcs=st.lists(st.integers(1, 7), min_size=1, max_size=4, unique=True))
    def test_sets_are_of_the_asked_size_grouped_by_class_without_repeats_and_nested(self, seed, ipcs):
        drawn = nested_draw(LABELS, ipcs, Seeds(seed))
        assert list(drawn) == ipcs
        for ipc, rows in drawn.items():
            assert LABELS[rows].tolist() == [c for c in range(10) for _ in range(ipc)]
            assert len(rows.unique()) == len(rows)
            for larger in (other for other in ipcs if other > ipc):
                assert set(rows.tolist()) <= set(drawn[larger].tolist())

    def test_a_size_has_the_same_images_whatever_other_sizes_are_asked_for(self):
        alone, among = nested_draw(LABELS, [3], Seeds(0)), nested_draw(LABELS, [1, 3, 7], Seeds(0))
        assert fingerprint(alone[3]) == fingerprint(among[3])

    def test_seeds_choose(self):
        one, same, other = (fingerprint(nested_draw(LABELS, [5], Seeds(seed))[5]) for seed in (0, 0, 1))
        assert one == same != other

    def test_every_image_of_a_class_comes_as_often(self):
        counts = torch.zeros(len(LABELS))
        for seed in range(400):
            counts[nested_draw(LABELS, [2], Seeds(seed))[2]] += 1
        expected = 400 * 2 / LABELS.bincount()[LABELS]
        assert ((counts - expected).abs() < 5 * expected.sqrt()).all()

    @pytest.mark.parametrize("ipc", [0, -1, 8])
    def test_more_than_the_smallest_class_or_less_than_one(self, ipc):
        with pytest.raises(ValueError, match=rf"ipc: got {ipc}, allowed are 1 to 7, the images of class 0 \(the smallest\)"):
            nested_draw(LABELS, [1, ipc], Seeds(0))

    def test_an_empty_class(self):
        with pytest.raises(ValueError, match="ipc: got 1, allowed are 1 to 0, the images of class 4"):
            nested_draw(LABELS[LABELS != 4], [1], Seeds(0))

    @pytest.mark.parametrize("labels", [LABELS.float(), LABELS - 1, LABELS[:0], LABELS > 3])
    def test_labels_that_are_no_classes(self, labels):
        with pytest.raises(ValueError, match=r"labels: got \d+ of dtype torch.*, allowed are whole numbers >= 0"):
            nested_draw(labels, [1], Seeds(0))


class TestFingerprint:
    def test_it_is_of_the_numbers_and_their_order(self):
        rows = torch.tensor([3, 1, 2])
        assert fingerprint(rows) == fingerprint(rows.int()) == fingerprint(rows.repeat_interleave(2)[::2])
        assert len({fingerprint(rows), fingerprint(rows.sort().values), fingerprint(rows[:2])}) == 3
        assert len(fingerprint(rows)) == 12
