"""Tasks on photographs, on made-up ones: decoded once, kept as bytes, in parts that never meet."""

import numpy as np
import pytest
import torch
from PIL import Image

from lib.data import DataUnavailable
from lib.distillation.lessons import class_centres
from lib.distillation.photographs import PHOTOGRAPHS
from lib.distillation.pixels import spread_order, square, stored_pixels
from lib.distillation.pool import load_task
from lib.distillation.whitening import Whitening
from lib.seeds import Seeds

pytestmark = pytest.mark.usefixtures("one_thread")
PARTS = ("train", "validation", "test")


def rows(task, part):
    return {x.numpy().tobytes() for x in getattr(task, f"x_{part}")}


@pytest.fixture(scope="module")
def task(stand_in):
    return load_task(stand_in())


class TestTask:
    def test_bytes_in_three_parts(self, task):
        assert (task.shape, task.classes, task.channels, task.pixels) == ((3, 16, 16), 4, (3, 16, 16), 768)
        assert task.class_names == ("kind 0", "kind 1", "kind 2", "kind 3")
        sizes = [len(getattr(task, f"y_{part}")) for part in PARTS]
        assert sizes == [112, 8, 32]
        for part, size in zip(PARTS, sizes, strict=True):
            x = getattr(task, f"x_{part}")
            assert (x.shape, x.dtype) == ((size, 3, 16, 16), torch.uint8)

    def test_no_image_is_in_two_parts_and_all_are_there(self, task):
        train, validation, test = (rows(task, part) for part in PARTS)
        assert len(train | validation) == 120
        assert len(train | validation | test) == 152

    def test_labels_are_the_pictures_own(self, task, stand_in):
        pictures = {}
        for split, each in (("train", 30), ("test", 8)):
            for row in range(4 * each):
                pictures[stand_in.kind().picture(row % 4, row, split).transpose(2, 0, 1).tobytes()] = row % 4
        for part in PARTS:
            found = [pictures[x.numpy().tobytes()] for x in getattr(task, f"x_{part}")]
            assert found == getattr(task, f"y_{part}").tolist()

    def test_classes_are_in_proportion(self, task):
        assert task.y_validation.bincount().tolist() == [2] * 4
        assert task.y_train.bincount().tolist() == [28] * 4

    def test_a_training_size_leaves_the_held_out_images_alone_and_the_classes_in_proportion(self, task):
        few = load_task(task.name, train_size=40)
        assert torch.equal(few.x_train, task.x_train[:40])
        assert few.y_train.bincount().tolist() == [10] * 4
        for part in ("validation", "test"):
            assert torch.equal(getattr(few, f"x_{part}"), getattr(task, f"x_{part}"))

    @pytest.mark.parametrize("size", [0, 113])
    def test_training_sizes_that_are_not_there(self, task, size):
        with pytest.raises(ValueError, match=rf"train_size: got {size}, allowed for task 'stand-in' are 1 to 112, 8 more"):
            load_task(task.name, train_size=size)

    def test_pictures_are_the_colours(self, task):
        pictures = task.pictures(task.x_train[:3])
        assert pictures.shape == (3, 16, 16, 3)
        torch.testing.assert_close(pictures[1, 2, 5] * 255, task.x_train[1, :, 2, 5].float())

    def test_images_are_read_from_the_file_alone(self, task, stand_in):
        """The tensor is the memory map's own memory, and what is written into it never reaches the file."""
        pixels = stored_pixels(task.name, "train", side=16, resize=16)
        assert isinstance(pixels.images, np.memmap)
        mapped = torch.from_numpy(pixels.images)
        assert mapped.data_ptr() == pixels.images.ctypes.data
        before = mapped[0].clone()
        mapped[0] = 0
        assert torch.equal(torch.from_numpy(stored_pixels(task.name, "train", side=16, resize=16).images)[0], before)

    def test_prototypes_are_rounded_images(self, task):
        centres = class_centres(task, 1, Seeds(0))
        means = torch.stack([task.x_train[task.y_train == c].double().mean(0) for c in range(4)])
        assert centres.dtype == torch.uint8
        assert (centres.double() - means).abs().max() <= 0.5 + 1e-9

    def test_a_collection_that_cannot_be_had(self, task, monkeypatch, tmp_path):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setenv("STUDIES_CACHE", str(tmp_path / "empty"))
        monkeypatch.setattr("datasets.load_dataset", _no_network)
        with pytest.raises(DataUnavailable, match=r"dataset 'imagenet'(?s:.*)gated: accept its terms"):
            load_task("imagenet")


def _no_network(*_, **__):
    raise ConnectionError("no network in this test")


@pytest.fixture(scope="module")
def many(stand_in):
    pictures = stand_in.kind("many-sizes", sizes=((40, 30), (24, 33), (20, 20)))
    return pictures, load_task(stand_in(pictures, resize=20, side=16, resident=False))


class TestPicturesOfManySizes:
    """The route of ImageNet: the shorter side is brought to one size, the middle is kept, images stay in their file."""

    def test_squares_of_one_size_that_match_their_pictures(self, many):
        pictures, task = many
        known = {}
        for row in range(120):
            picture = Image.fromarray(pictures.picture(row % 4, row, "train"))
            known[square(picture, 16, 20).tobytes()] = row % 4
        assert [known[x.numpy().tobytes()] for x in task.x_train] == task.y_train.tolist()

    def test_the_middle_is_kept(self):
        ramp = np.tile(np.arange(40, dtype=np.uint8)[None, :, None], (20, 1, 3))
        found = square(Image.fromarray(ramp), 16, 20)
        assert found.shape == (3, 16, 16)
        assert found[0, 0].tolist() == list(range(12, 28))

    def test_the_shorter_side_is_resized(self):
        wide, tall = (square(Image.fromarray(np.full((h, w, 3), 7, np.uint8)), 10, 10) for h, w in ((30, 45), (45, 30)))
        assert (wide == 7).all()
        assert wide.shape == tall.shape == (3, 10, 10)

    def test_grey_pictures_get_three_channels(self):
        found = square(Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)), 8, 8)
        assert (found == found[0]).all()

    @pytest.mark.parametrize(("side", "resize"), [(0, 8), (9, 8)])
    def test_sides_that_do_not_fit(self, task, side, resize):
        with pytest.raises(ValueError, match=f"side: got {side}, allowed are 1 to resize = 8"):
            stored_pixels(task.name, "train", side=side, resize=resize)


def test_every_stretch_of_the_order_has_the_classes_in_proportion():
    labels = np.repeat([0, 1, 2], [60, 30, 30])
    order = spread_order(labels, Seeds(0))
    assert sorted(order.tolist()) == list(range(120))
    counts = np.stack([np.bincount(labels[order[i : i + 20]], minlength=3) for i in range(0, 101)])
    assert (abs(counts - [10, 5, 5]) <= 2).all()
    assert not np.array_equal(order, spread_order(labels, Seeds(1)))


@pytest.fixture(scope="module")
def whitened(stand_in):
    pictures = stand_in.kind("white", train=60)
    return load_task(stand_in(pictures, side=8, resize=8, whiten=True, colours=PHOTOGRAPHS["cifar10"].colours))


class TestWhitening:
    def test_rows_are_floats_that_need_no_more(self, whitened):
        assert (whitened.x_train.dtype, whitened.x_train.shape[1:]) == (torch.float32, (3, 8, 8))
        assert (whitened.mean, whitened.sd) == ((0.0,) * 3, (1.0,) * 3)

    def test_the_covariance_is_known(self):
        """Along an axis of variance s the whitened variance is s / (s + eps)."""
        images = torch.randint(256, (400, 3, 4, 4), dtype=torch.uint8, generator=Seeds(0).torch())
        images[:, 1] = images[:, 0] // 2  # so that pixels are correlated
        flat = images.flatten(1).double() / 255
        variances, axes = torch.linalg.eigh(flat.mT.cov())
        found = (axes.mT @ Whitening.of(images)(images).flatten(1).double().mT).cov()
        wanted = torch.diag(variances / (variances + 0.1))
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)

    def test_pictures_undo_it(self, whitened, stand_in):
        plain = load_task(stand_in(stand_in.kind("white", train=60), side=8, resize=8))
        torch.testing.assert_close(whitened.pictures(whitened.x_test), plain.pictures(plain.x_test), atol=1e-4, rtol=1e-4)

    def test_one_image_is_too_few(self):
        with pytest.raises(ValueError, match="images: got 1, allowed are two or more"):
            Whitening.of(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))


def test_the_papers_own_tasks():
    from lib.data.entries import find_entry

    for name, source in PHOTOGRAPHS.items():
        entry = find_entry(source.collection)
        assert source.held_out in entry.splits, name
        assert source.validation < entry.splits["train"]
    assert PHOTOGRAPHS["cifar10"].whiten
    assert not PHOTOGRAPHS["cifar100"].whiten
    assert not PHOTOGRAPHS["imagenet"].resident
