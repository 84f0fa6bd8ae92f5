"""The cache: whole or not there, damage is named and mended, two processes may fill it at once."""

import os
import shutil
import subprocess
import sys
import warnings

import pytest

from lib.data import DataUnavailable, load, status, tensors
from lib.data.cache import folder_of, open_entry
from lib.data.entries import find_entry
from lib.data.loading import load_entry

ARROW = "train/data-00000-of-00001.arrow"


def _flip(path):
    """Change one byte in the middle."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)


def _age(path):
    """Another time of change, as after a write or a copy."""
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))


@pytest.fixture
def digits(cache):
    """The folder of freshly cached digits."""
    load("digits")
    return folder_of(find_entry("digits"))


def _damages(folder):
    arrow, manifest = folder / ARROW, folder / "manifest.json"
    return {
        "a changed byte": (lambda: (_flip(arrow), _age(arrow)), ARROW),
        "a truncated file": (lambda: arrow.write_bytes(arrow.read_bytes()[:-100]), ARROW),
        "a missing file": (arrow.unlink, ARROW),
        "changed metadata": (lambda: (folder / "train/dataset_info.json").write_text("{}"), "dataset_info.json"),
        "an unreadable manifest": (lambda: manifest.write_text("{"), "manifest.json"),
        "a missing manifest": (manifest.unlink, "manifest.json"),
    }


@pytest.mark.parametrize(
    "kind",
    ["a changed byte", "a truncated file", "a missing file", "changed metadata", "an unreadable manifest", "a missing manifest"],
)
def test_damage_is_named_and_rebuilt_from_the_source(digits, kind):
    before, _ = tensors("digits")
    damage, named = _damages(digits)[kind]
    damage()
    with pytest.warns(UserWarning, match=f"'digits' is damaged: .*{named}.*Rebuilding"):
        after, _ = tensors("digits")
    assert before.equal(after)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load("digits")


def test_status_reports_damage_it_can_see_without_reading(digits):
    (digits / ARROW).write_bytes(b"")
    assert "damaged" in status("digits").note
    assert (digits / ARROW).read_bytes() == b""


def test_damage_that_cannot_be_mended_is_one_clear_error(cache, package_folder, three_rows):
    wheel, entry = three_rows.wheel(package_folder), three_rows.entry()
    folder = open_entry(entry)
    wheel.unlink()
    (folder / ARROW).write_bytes(b"no arrow")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(DataUnavailable) as caught:
        load_entry(entry, "train")
    assert f"is damaged in the cache ({ARROW} has 8 bytes" in str(caught.value)
    assert "PyPI wheel tinydata==1.0" in str(caught.value)
    assert (folder / ARROW).read_bytes() == b"no arrow"  # the evidence stays
    three_rows.wheel(package_folder)
    with pytest.warns(UserWarning, match="damaged"):
        assert load_entry(entry, "train").num_rows == 3


def test_unchanged_size_and_time_are_trusted_anything_else_is_hashed(digits):
    arrow = digits / ARROW
    stat = arrow.stat()
    _flip(arrow)
    os.utime(arrow, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load("digits")
    _age(arrow)
    with pytest.warns(UserWarning, match="sha256"):
        load("digits")


def test_a_copied_cache_is_checked_once_and_used_offline(cache, package_folder, three_rows, tmp_path, monkeypatch):
    wheel = three_rows.wheel(package_folder)
    open_entry(three_rows.entry())
    wheel.unlink()
    monkeypatch.setenv("STUDIES_CACHE", str(tmp_path / "copy"))
    shutil.copytree(cache, tmp_path / "copy", copy_function=shutil.copyfile)  # copyfile gives new times of change
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_entry(three_rows.entry(), "train").num_rows == 3
    stamps = folder_of(three_rows.entry()) / "stamps.json"
    assert str((folder_of(three_rows.entry()) / ARROW).stat().st_mtime_ns) in stamps.read_text()


def test_without_stamps_every_load_checks_and_works(digits):
    (digits / "stamps.json").write_text("[1]")
    assert load("digits").num_rows == 1797


def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("STUDIES_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataUnavailable, match=r"cannot be filled .* set STUDIES_CACHE to a folder"):
        load("digits")


def test_another_version_lives_beside_the_old_one(cache, package_folder, three_rows):
    three_rows.wheel(package_folder)
    one, two = three_rows.entry(), three_rows.entry(sha256="0" * 64)
    assert folder_of(one) != folder_of(two)


def test_leftovers_of_a_killed_process_are_swept(cache):
    folder = folder_of(find_entry("digits"))
    stale = folder.with_name(f".{folder.name}.scratch-dead")
    stale.mkdir(parents=True)
    load("digits")
    assert not stale.exists()


def test_two_processes_fill_one_cache_once(cache, package_folder, three_rows):
    code = "from lib.data import load; d = load('digits'); print('rows', d.num_rows, sum(d['label']))"
    children = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0, 0], said
    assert all("rows 1797 8070" in out for out, _ in said)
    assert sum("digits from library" in out for out, _ in said) == 1  # one fetched, the other waited
    assert [path.name for path in (cache / "datasets").iterdir() if not path.name.endswith(".lock")] == [
        folder_of(find_entry("digits")).name
    ]
