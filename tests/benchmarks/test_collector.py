"""The collector of the benchmarks: what it keeps, replaces and refuses. Nothing here looks at how long anything took."""

import importlib
import json
import shutil
import subprocess
import sys

import pytest

from lib.runs.stored import read_shelf
from lib.studies.registry import HOME
from tests.benchmarks.collector import collect, names

BENCHMARKS = HOME / "tests" / "benchmarks"
BENCH = """
import time

def timed(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began

def rows(device="cpu"):
    ours, peer = timed(lambda: sum(range(1000))), timed(lambda: sum(i for i in range(100_000)))
    return [{"name": "sum %s", "ours_s": ours, "peer": "a loop", "peer_s": peer, "ratio": peer / ours, "repeats": 1,
             "device": device, "size": 1000, "threads": 1, "mark": %s}]
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with two tiny benchmarks."""
    (tmp_path / "benches").mkdir()
    for name in ("one", "two"):
        change(tmp_path / "benches", name, 1)
    return tmp_path / "benches"


def change(folder, name, mark):
    (folder / f"bench_{name}.py").write_text(BENCH % (name, mark))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outputs" / "benchmarks.json"


def run(folder, path, **options):
    return dict(collect(folder, path, **options))


def kept(path):
    return [(row["name"], row["device"], row["mark"]) for row in json.loads(path.read_text())]


def test_rows_are_written_as_the_gallery_reads_them(folder, path):
    seen = run(folder, path)
    assert list(seen) == ["one", "two"]
    (row,) = seen["one"]
    assert row["ratio"] == row["peer_s"] / row["ours_s"]
    assert json.loads(path.read_text()) == [*seen["one"], *seen["two"]]
    assert [f.name for f in path.parent.iterdir()] == ["benchmarks.json"]
    shelf = read_shelf(path.parent)
    assert [bench.name for bench in shelf.benchmarks] == ["sum one", "sum two"]
    assert shelf.damages == []


def test_rows_of_another_device_are_kept(folder, path):
    run(folder, path, device="cuda")
    for name in ("one", "two"):
        change(folder, name, 2)
    run(folder, path, device="cpu")
    assert sorted(kept(path)) == [("sum one", "cpu", 2), ("sum one", "cuda", 1), ("sum two", "cpu", 2), ("sum two", "cuda", 1)]


def test_a_new_measurement_replaces_the_old_one_and_no_other(folder, path):
    run(folder, path)
    for name in ("one", "two"):
        change(folder, name, 2)
    assert list(run(folder, path, only=["two"])) == ["two"]
    assert kept(path) == [("sum one", "cpu", 1), ("sum two", "cpu", 2)]


def test_rows_of_a_benchmark_that_is_gone_go_too(folder, path):
    run(folder, path)
    (folder / "bench_one.py").unlink()
    run(folder, path)
    assert kept(path) == [("sum two", "cpu", 1)]


def test_a_benchmark_that_fails_costs_neither_its_old_rows_nor_those_before_it(folder, path):
    run(folder, path)
    change(folder, "one", 2)
    (folder / "bench_two.py").write_text("def rows(device):\n    raise RuntimeError('asked to fail')\n")
    with pytest.raises(RuntimeError, match="asked to fail"):
        run(folder, path)
    assert kept(path) == [("sum two", "cpu", 1), ("sum one", "cpu", 2)]


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        ('"peer": "a loop"', '"pear": "a loop"', "bench_one.py: peer: Field required"),
        ('"ratio": peer / ours', '"ratio": float("nan")', "bench_one.py: ratio: Input should be a finite number"),
        ('"ours_s": ours', '"ours_s": 0.0', "ours_s, peer_s, ratio: got .* allowed: positive numbers"),
    ],
)
def test_a_malformed_row_is_refused(folder, path, old, new, answer):
    bench = folder / "bench_one.py"
    bench.write_text(bench.read_text().replace(old, new))
    with pytest.raises(ValueError, match=answer):
        run(folder, path)
    assert not path.exists()


def test_an_unknown_name_is_refused(folder, path):
    with pytest.raises(ValueError, match="--only: got 'three', allowed: one, two"):
        run(folder, path, only=["one", "three"])
    assert not path.exists()


@pytest.mark.parametrize("text", ["{", "{}", "[1]", ""])
def test_a_damaged_file_is_refused_before_the_work_and_stays(folder, path, tmp_path, text):
    path.parent.mkdir()
    path.write_text(text)
    change(folder, "one", f"open({str(tmp_path / 'worked')!r}, 'w')")
    with pytest.raises(ValueError, match=r"benchmarks.json: .* move it away"):
        run(folder, path)
    assert path.read_text() == text
    assert not (tmp_path / "worked").exists()


def bench(home, *words):
    """What `make bench` calls, in a checkout."""
    return subprocess.run([sys.executable, "-m", "tests.benchmarks", *words], cwd=home, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--only", "nothing"], f"--only: got 'nothing', allowed: {', '.join(names(BENCHMARKS))}"),
        (["--device", "abacus"], "device: got 'abacus', allowed: auto, cpu, cuda"),
    ],
)
def test_make_bench_refuses_bad_input_in_one_line(outputs, words, answer):
    done = bench(HOME, *words)
    assert (done.returncode, done.stderr) == (2, f"benchmarks: {answer}\n")
    assert not outputs.exists()


def test_make_bench_shows_and_keeps_the_rows(folder, tmp_path, outputs):
    home = tmp_path / "checkout" / "tests" / "benchmarks"
    shutil.copytree(folder, home)
    for name in ("__main__.py", "collector.py"):
        shutil.copy(BENCHMARKS / name, home)
    done = bench(tmp_path / "checkout", "--only", "two")
    assert done.returncode == 0, done.stderr
    assert "sum two" in done.stdout
    assert "sum one" not in done.stdout
    assert kept(outputs / "benchmarks.json") == [("sum two", "cpu", 1)]


@pytest.mark.parametrize("name", names(BENCHMARKS))
def test_every_benchmark_of_the_suite_has_rows(name):
    """Imported, not run: that is for `make bench`."""
    assert callable(importlib.import_module(f"tests.benchmarks.bench_{name}").rows)
