"""Artefacts: built once, whole or not there, checked on every use."""

import json
import os
import subprocess
import sys
import time

import pytest

from lib.data import DataUnavailable
from lib.data.artefacts import artefact, artefact_folder

KEY = {"name": "three", "sizes": [1, 2], "rate": 0.5}


def _build(folder, progress):
    (folder / "deep").mkdir()
    (folder / "deep/numbers.txt").write_text("1 2 3")
    progress(0.5)
    (folder / "words.txt").write_text("one two three")


def _refuse(folder, progress):
    raise AssertionError("built again")


def _folders(cache):
    return [path.name for path in (cache / "artefacts").iterdir() if not path.name.endswith(".lock")]


def test_an_artefact_is_built_once_and_says_what_it_is(cache, capsys):
    def slowly(folder, progress):
        time.sleep(0.15)  # the bar draws at most ten times a second
        _build(folder, progress)

    folder = artefact("numbers", KEY, slowly, seconds=7)
    assert (folder / "deep/numbers.txt").read_text() == "1 2 3"
    shown = capsys.readouterr().out
    assert "building numbers three (about 7 s, once)" in shown
    assert "50%" in shown
    assert "100%" in shown
    assert artefact("numbers", KEY, _refuse) == folder
    assert capsys.readouterr().out == ""
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["kind"], manifest["key"]) == ("numbers", KEY)
    assert set(manifest["files"]) == {"deep/numbers.txt", "words.txt"}
    assert folder.parent == cache / "artefacts"


def test_what_is_expected_is_found_out_only_when_it_is_built_and_what_takes_no_time_is_silent(cache, capsys):
    asked = []

    def expected():
        asked.append(1)
        return 12.4

    artefact("numbers", KEY, _build, seconds=expected, what="all numbers")
    assert "building all numbers (about 12 s, once)" in capsys.readouterr().out
    artefact("numbers", KEY, _refuse, seconds=expected)
    artefact("numbers", {"name": "other"}, _build)
    assert asked == [1]
    assert capsys.readouterr().out == ""


def test_the_key_names_the_folder_and_its_order_does_not_matter(cache):
    assert artefact_folder("a", {"x": 1, "y": 2}) == artefact_folder("a", {"y": 2, "x": 1})
    different = [artefact_folder(*one) for one in [("a", {"x": 1}), ("a", {"x": 2}), ("a", {"x": "1"}), ("b", {"x": 1})]]
    assert len(set(different)) == 4
    assert not cache.exists()


@pytest.mark.parametrize(
    ("kind", "key", "said"),
    [
        ("../up", {}, "kind: got '../up'"),
        ("Upper", {}, "kind: got 'Upper'"),
        ("", {}, "kind: got ''"),
        ("a", {"x": float("nan")}, "key: got .* allowed is plain JSON"),
        ("a", {"x": {1, 2}}, "key: got .* allowed is plain JSON"),
    ],
)
def test_names_that_cannot_be_are_refused(cache, kind, key, said):
    with pytest.raises(ValueError, match=said):
        artefact(kind, key, _refuse)
    assert not cache.exists()


def _flip(path):
    raw = bytearray(path.read_bytes())
    raw[0] ^= 0xFF
    path.write_bytes(raw)
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))


DAMAGES = {
    "a changed byte": (_flip, "words.txt does not have the sha256"),
    "a truncated file": (lambda path: path.write_text("one"), "words.txt has 3 bytes, 13 were written"),
    "a missing file": (lambda path: path.unlink(), "words.txt is missing"),
    "a missing manifest": (lambda path: path.with_name("manifest.json").unlink(), "manifest.json is missing"),
    "an unreadable manifest": (
        lambda path: path.with_name("manifest.json").write_text("{"),
        "manifest.json is missing or unread",
    ),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_named_in_one_line_and_mended(cache, capsys, kind):
    folder = artefact("numbers", KEY, _build)
    capsys.readouterr()
    damage, named = DAMAGES[kind]
    damage(folder / "words.txt")
    assert artefact("numbers", KEY, _build) == folder
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"The cached numbers three is damaged ({named}")
    assert sum("damaged" in line for line in said) == 1
    assert (folder / "words.txt").read_text() == "one two three"
    assert artefact("numbers", KEY, _refuse) == folder


@pytest.mark.parametrize("raised", [RuntimeError("diverged"), FileNotFoundError("no such corpus"), KeyboardInterrupt()])
def test_a_build_that_raises_leaves_nothing_and_its_error_is_its_own(cache, raised):
    def fail(folder, progress):
        (folder / "half.txt").write_text("half")
        raise raised

    with pytest.raises(type(raised)) as caught:
        artefact("numbers", KEY, fail)
    assert caught.value is raised
    assert _folders(cache) == []
    assert (artefact("numbers", KEY, _build) / "words.txt").exists()


def test_a_rebuild_that_raises_leaves_the_evidence(cache):
    folder = artefact("numbers", KEY, _build)
    (folder / "words.txt").write_text("one")
    with pytest.raises(AssertionError, match="built again"):
        artefact("numbers", KEY, _refuse)
    assert (folder / "words.txt").read_text() == "one"


def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("STUDIES_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataUnavailable, match=r"numbers three: the cache folder .* set STUDIES_CACHE to a folder"):
        artefact("numbers", KEY, _build)


def test_leftovers_of_a_killed_run_are_swept(cache):
    folder = artefact_folder("numbers", KEY)
    stale = folder.with_name(f".{folder.name}.scratch-dead")
    stale.mkdir(parents=True)
    artefact("numbers", KEY, _build)
    assert not stale.exists()


def test_two_runs_at_once_build_it_once_and_the_second_says_that_it_waits(cache):
    code = (
        "import sys, time\nfrom lib.data.artefacts import artefact\n"
        "def build(folder, progress):\n"
        "    print('BUILT', flush=True); sys.stdin.readline(); (folder / 'a.txt').write_text('a')\n"
        "print(artefact('slow', {'name': 'one'}, build).name)"
    )
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **piped) as first:
        while "BUILT" not in first.stdout.readline():
            pass
        with subprocess.Popen([sys.executable, "-c", code], **piped) as second:
            said = second.stdout.readline()  # an end without a word is an empty line
            first.communicate("go on\n", timeout=60)
            rest, _ = second.communicate("", timeout=60)
    assert said.strip() == "Another run is building slow one: waiting for it."
    assert "BUILT" not in rest
    assert (first.returncode, second.returncode) == (0, 0)
    assert rest.strip() == artefact_folder("slow", {"name": "one"}).name
