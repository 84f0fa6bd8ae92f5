"""Known counts and values of the real datasets, and tensors out of any of them."""

import shutil
import subprocess

import datasets
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from lib.data import entries, load, status, tensors
from lib.data.cache import cache_root
from lib.data.columns import content_sha256, numbers


def test_digits_are_those_of_scikit_learn():
    images, labels = tensors("digits")
    assert images.shape == (1797, 8, 8)
    assert images.dtype == torch.float32
    original = load_digits()
    assert torch.equal(images * 16, torch.from_numpy(original.images).float())
    assert labels.dtype == torch.int64
    assert labels.tolist() == original.target.tolist()


def test_loaded_data_is_memory_mapped_from_the_cache():
    digits = load("digits", "train")
    assert digits.cache_files[0]["filename"].startswith(str(cache_root()))
    assert digits.features["label"].names == list("0123456789")
    assert np.shape(digits[0]["image"]) == (8, 8)


@pytest.mark.network
def test_mnist_5k_has_500_of_each_digit():
    images, labels = tensors("mnist-5k", dtype=torch.float64)
    assert images.shape == (5000, 28, 28)
    assert images.dtype == torch.float64
    assert labels.bincount().tolist() == [500] * 10
    assert (images.min(), images.max()) == (0, 1)
    # The second image of MNIST's training set, a zero: its first inked row.
    assert (images[0, 4, 15:20] * 255).round().tolist() == [51, 159, 253, 159, 50]
    assert labels[0] == 0


def _archive_has(package: str) -> bool:
    known = shutil.which("apt-cache") and subprocess.run(["apt-cache", "show", package], capture_output=True)
    return bool(known) and known.returncode == 0


@pytest.mark.network
def test_fashion_mnist_is_balanced_in_both_splits():
    if not status("fashion-mnist").present and not _archive_has("dataset-fashion-mnist"):
        pytest.skip("Fashion-MNIST is not in the cache and apt-get does not know its package")
    images, labels = tensors("fashion-mnist", "test")
    assert images.shape == (10000, 28, 28)
    assert labels.bincount().tolist() == [1000] * 10
    garments = load("fashion-mnist", "train")
    assert np.bincount(numbers(garments, "label")).tolist() == [6000] * 10
    # The first garment of each split is an ankle boot, as in the data's own documentation.
    assert garments.features["label"].int2str([garments[0]["label"], int(labels[0])]) == ["Ankle boot"] * 2


def test_half_precision_rounds_the_same_numbers():
    exact, _ = tensors("digits", dtype=torch.float64)
    assert torch.equal(tensors("digits", dtype=torch.bfloat16)[0], exact.to(torch.bfloat16))


def test_whole_number_dtypes_are_refused():
    with pytest.raises(ValueError, match=r"dtype: got torch.int64, allowed are floating-point types"):
        tensors("digits", dtype=torch.int64)


def test_feature_tables_become_tensors_too(cache, package_folder, three_rows, monkeypatch):
    three_rows.wheel(package_folder)
    monkeypatch.setitem(entries._BY_NAME, "tiny", three_rows.entry())
    features, labels = tensors("tiny")
    assert features.tolist() == [[0.25, 0.5], [0.75, 1.0], [0.0, 0.125]]
    assert labels.tolist() == [1, 0, 1]


def _table(**columns):
    return datasets.Dataset.from_dict(columns)


@pytest.mark.parametrize("column", [["a", "b"], [[1.0], [2.0, 3.0]], [True, False]])
def test_columns_without_numbers_of_one_shape_are_refused(column):
    with pytest.raises(ValueError, match=r"column 'x': got .* allowed are numbers or arrays of one shape"):
        numbers(_table(x=column), "x")


def test_the_content_hash_sees_every_change_but_not_the_layout():
    pixels = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)
    features = datasets.Features(image=datasets.Array2D((2, 2), "uint8"), label=datasets.Value("int64"))

    def build(images, labels):
        return datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)

    whole = build(pixels, range(6))
    reference = content_sha256(datasets.DatasetDict(train=whole))
    pieces = datasets.concatenate_datasets([build(pixels[:2], range(2)), build(pixels[2:], range(2, 6))])
    assert content_sha256(datasets.DatasetDict(train=pieces)) == reference
    changed = pixels.copy()
    changed[5, 1, 1] ^= 1
    for other in (build(changed, range(6)), build(pixels, [0, 1, 2, 3, 5, 4]), build(pixels[::-1].copy(), range(6))):
        assert content_sha256(datasets.DatasetDict(train=other)) != reference
    assert content_sha256(datasets.DatasetDict(test=whole)) != reference
