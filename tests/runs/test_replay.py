"""A stored run done again: what agrees, how much, and that the stored run is only read."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.runs.job import Job
from lib.runs.launch import DONE, run_jobs
from lib.runs.provenance import describe
from lib.runs.replay import DIFFERENT, ROUNDING, SAME, WITHIN, compare, grade, locate, read, replay, todays_params
from lib.studies import Metric, ParamError

HOME = Path(__file__).parents[1] / "home"
pytestmark = pytest.mark.xdist_group("runs")

numbers = st.floats(-1e12, 1e12)
metrics = st.builds(Metric.of, st.lists(numbers, min_size=1, max_size=6), st.sampled_from(["", "s"]))
repeated = st.builds(Metric.of, st.lists(numbers, min_size=2, max_size=6, unique=True)).filter(lambda m: m.low < m.mean < m.high)


def up(number):
    """The next number that a float can hold."""
    return math.nextafter(number, math.inf)


@given(metrics)
def test_every_metric_is_bitwise_itself(metric):
    assert grade(metric, replace(metric)) == SAME


@given(metrics)
def test_a_metric_is_bitwise_itself_after_it_was_stored(metric):
    assert grade(metric, Metric(**json.loads(json.dumps(vars(metric))))) == SAME


@given(repeated)
def test_the_last_bit_of_any_number_is_seen_and_the_interval_forgives_it(metric):
    for field in ("mean", "low", "high"):
        assert grade(metric, replace(metric, **{field: up(getattr(metric, field))})) == WITHIN


@given(repeated, st.floats(0, 1))
def test_the_stored_interval_decides_and_its_ends_belong_to_it(metric, part):
    inside = min(metric.low + part * (metric.high - metric.low), metric.high)
    for mean in (inside, metric.low, metric.high):
        assert grade(metric, replace(metric, mean=mean, low=mean - 1, high=mean + 1)) == WITHIN
    beyond = metric.high + (metric.high - metric.low) + 1e-3 * abs(metric.high)
    assert grade(metric, replace(metric, mean=beyond, low=-math.inf, high=math.inf)) == DIFFERENT


@given(numbers.filter(lambda x: abs(x) > 1e-100), st.floats(-1, 1), st.sampled_from([-1, 1]))
def test_a_single_number_is_the_same_bitwise_or_to_rounding_or_different(value, part, sign):
    one = Metric.of(value)
    moved = Metric.of(value * (1 + part * 0.99e-6))
    assert grade(one, moved) == (SAME if moved == one else ROUNDING)
    assert grade(one, Metric.of(value * (1 + sign * 1.01e-6))) == DIFFERENT


@given(metrics, metrics)
def test_without_a_stored_interval_nothing_is_within_it(stored, again):
    assert grade(stored, again) != WITHIN or stored.n > 1


def test_known_grades():
    four = Metric(2.0, 1.0, 3.0, 4)
    assert grade(four, None) == grade(None, four) == DIFFERENT
    assert grade(four, replace(four, unit="s")) == DIFFERENT, "the same number of something else"
    assert grade(four, replace(four, mean=3.1)) == DIFFERENT
    assert grade(four, replace(four, n=5)) == WITHIN
    assert grade(Metric.of(2.0), Metric(2.0, None, None, 2)) == DIFFERENT, "a number of repeats is no rounding"
    assert grade(Metric.of(0.0), replace(Metric.of(0.0), mean=-0.0)) == ROUNDING, "equal, yet not the same bits"
    assert grade(Metric.of(0.0), Metric.of(1e-300)) == DIFFERENT
    point = Metric.of([0.1] * 3)
    assert grade(point, replace(point, mean=up(up(point.high)))) == ROUNDING, "an interval without width forgives rounding"


@pytest.fixture
def stored(tiny, outputs):
    """Put a run of the tiny study on disk, written by hand and not executed; changes go to results.json."""

    def put(folder=None, metrics=None, **changes):
        job = Job.of("tiny", tiny.study.params.parse({}))
        found = metrics or {"mean": Metric.of([0.1, 0.2, 0.3]), "single": Metric.of(1.0)}
        results = {
            "schema": 1, "study": "tiny", "title": "T", "question": "Q", "paper": "P", "cover": "draws", "size": job.size,
            "params": dict(job.params), "device": "cpu", "metrics": {name: vars(m) for name, m in found.items()},
            "claims": [claim.judge(found) for claim in tiny.study.claims], "expected": [], "certificates": [], "tables": [],
            "figures": [],
        }  # fmt: skip
        cost = {"started_utc": "2026-03-01T12:00:00+00:00", "wall_s": 2.5, "cpu_s": 2.0, "peak_rss_mb": 200.0, "device": "cpu"}
        folder = folder or outputs / "tiny" / job.run_id
        folder.mkdir(parents=True)
        (folder / "results.json").write_text(json.dumps(results | changes))
        (folder / "provenance.json").write_text(json.dumps(describe(tiny, job) | cost))
        return folder

    return put


def tamper(file, change):
    """Change a stored file: `change` gets its content and alters it in place."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_a_record_agrees_with_itself(stored):
    record = read(stored())
    same = compare(record, record)
    assert same.circumstances == same.verdicts == []
    assert same.summary() == f"replay of tiny {record.origin.run_id}: 2 bitwise the same, 0 within the interval, 0 different"


def test_all_that_differs_is_named_and_nothing_else(stored, tmp_path):
    again, folder = read(stored()), stored(tmp_path / "old", device="cuda")

    def provenance(facts):
        facts["hashes"]["lib"] = "0123456789abcdef"
        facts["versions"] |= {"torch": "1.0", "POT": None, "vanished": "1.2"}
        facts["machine"]["processor"], facts["threads"] = "an abacus", 77

    def results(facts):
        del facts["params"]["n"], facts["claims"][2]
        facts["claims"][0]["verdict"] = "not held"
        facts["metrics"]["old"] = facts["metrics"].pop("single")
        facts["metrics"]["mean"]["mean"] += 1e-9

    tamper(folder / "provenance.json", provenance)
    tamper(folder / "results.json", results)
    found, here = compare(read(folder), again), again.origin
    assert sorted(found.circumstances) == sorted([
        f"hash of lib: 0123456789ab -> {here.hashes['lib'][:12]}", f"torch: 1.0 -> {here.versions['torch']}",
        f"POT: missing -> {here.versions['POT']}", "vanished: 1.2 -> absent", "device: cuda -> cpu",
        f"threads: 77 -> {here.threads}", f"processor: an abacus -> {here.machine.processor}", "parameter n: absent -> 100",
    ])  # fmt: skip
    assert found.verdicts == ["claim centred: not held -> held", "claim many: absent -> not tested at this size"]
    assert {row.name: row.grade for row in found.rows} == {"mean": WITHIN, "old": DIFFERENT, "single": DIFFERENT}
    assert found.summary().endswith(": 0 bitwise the same, 1 within the interval, 2 different; changed verdicts: 2")


def test_rounding_is_counted_where_there_is_some(stored, tmp_path):
    again, folder = read(stored()), stored(tmp_path / "old", metrics={"single": Metric.of(1.0 + 1e-9)})
    wanted = "0 bitwise the same, 0 within the interval, 1 same to rounding, 1 different"
    assert wanted in compare(read(folder), again).summary()


def test_a_run_is_found_by_id_prefix_or_path(stored, outputs, tmp_path, monkeypatch):
    folder = stored()
    published = stored(outputs / "published" / "tiny" / f"{folder.name[:6]}-laptop")
    for name in (folder.name, folder.name[:4], folder.name[:11], str(folder), f"{folder}/"):
        assert locate(name) == folder
    assert locate(str(published)) == published
    monkeypatch.chdir(published.parent)
    assert locate(published.name) == published
    other = stored(outputs / "tiny" / f"{folder.name}b")
    assert locate(folder.name) == folder, "the whole id names one run, whatever begins like it"
    assert locate(other.name) == other


ids = ["aaaa00000000", "aaaabbbb0000", "failed", "sweeps"]


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("", "got '', but there is no such run in"),
        ("aaa", "got 'aaa', but there is no such run in"),
        ("****", "got '****', but there is no such run in"),
        ("cccc", "got 'cccc', but there is no such run in"),
        ("failed", "got 'failed', but there is no such run in"),
        ("sweeps", "got 'sweeps', but there is no such run in"),
        ("no/such/folder", "got 'no/such/folder', but there is no such run in"),
        ("x" * 5000, "but there is no such run in"),
        ("aaaa", "got 'aaaa', but 2 runs match: tiny/aaaa00000000, tiny/aaaabbbb0000"),
    ],
    ids=lambda value: value[:20],
)
def test_a_run_that_cannot_be_found_is_one_line(stored, outputs, given, answer):
    for name in ids:
        (outputs / "tiny" / name).mkdir(parents=True)
    with pytest.raises(ParamError) as refused:
        replay(given)
    assert str(refused.value).startswith("RUN: got ")
    assert answer in str(refused.value)
    assert "; allowed: a run id, enough of its first characters (at least 4) to name one, or the path" in str(refused.value)
    assert "\n" not in str(refused.value)


BROKEN = [
    # the file, what happens to it (None: it vanishes), what the answer says
    ("results.json", None, "results.json: is missing"),
    ("provenance.json", None, "provenance.json: is missing"),
    ("results.json", lambda text: "", "results.json: Invalid JSON"),
    ("results.json", lambda text: text[:200], "results.json: Invalid JSON"),
    ("results.json", lambda text: text.replace('"mean": 1.0', '"mean": NaN'), "metrics.single.mean: Input should be a finite"),
    ("results.json", lambda text: text.replace('"mean": 1.0', '"mean": "big"'), "metrics.single.mean: Input should be a valid"),
    ("results.json", lambda text: text.replace('"schema": 1', '"schema": 2'), "results.json: schema: Input should be 1"),
    ("provenance.json", lambda text: text.replace('"hashes"', '"hushes"'), "provenance.json: hashes: Field required"),
    ("results.json", lambda text: text.replace('"study": "tiny"', '"study": "gone"'), "study: got 'gone', allowed: weight-ens"),
    ("results.json", lambda text: text.replace('"n": 100', '"n": 1'), "n: got 1, allowed: whole numbers >= 2 and <= 10000"),
    ("results.json", lambda text: text.replace('"scale": 1.0', '"span": 1.0'), "span: got 1.0, but there is no such parameter"),
    (
        "results.json",
        lambda text: text.replace('"n": 100', '"n": 1').replace('"scale": 1.0', '"scale": 0.0'),
        "n: got 1, allowed: whole numbers >= 2 and <= 10000; scale: got 0.0, allowed: finite numbers > 0",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "answer"), BROKEN, ids=[answer[:40] for *_, answer in BROKEN])
def test_a_run_that_cannot_be_run_again_is_one_line(stored, name, change, answer):
    folder = stored()
    if change is None:
        (folder / name).unlink()
    else:
        before = (folder / name).read_text()
        (folder / name).write_text(change(before))
        assert change(before) != before
    with pytest.raises(ParamError) as refused:
        replay(folder.name)
    assert str(refused.value).startswith(f"RUN: {folder}")
    assert answer in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_parameter_that_is_new_takes_its_default(stored):
    folder = stored()
    tamper(folder / "results.json", lambda facts: facts["params"].pop("n"))
    assert todays_params(read(folder)).n == 100


@pytest.fixture
def scratch(monkeypatch):
    """The only place for temporary files, of this process and of those it starts; short, as sockets want it."""
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def state(root):
    """Every file and folder under `root` with its time of change and content."""
    return {f: (f.stat().st_mtime_ns, f.read_bytes() if f.is_file() else b"") for f in [root, *root.rglob("*")]}


def test_replay_of_an_untouched_and_of_a_tampered_run(tiny, outputs, scratch, capsys, monkeypatch):
    (made,) = run_jobs([Job.of("tiny", tiny.study.params.parse({"n": 50}))], 1, lambda p: None)
    assert made.state == DONE, made.error
    folder, before = made.job.folder, state(outputs)
    assert replay(folder.name[:8]) is True
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"replay of tiny {folder.name}: 1 bitwise the same, 0 within the interval, 0 different"
    assert lines[-2].startswith("mean: bitwise the same, ")
    assert "tiny: started again, test size, about 0:0" in lines[0]
    assert [line.split()[-1] for line in lines[1:-2]][-2:] == ["figure", "finish"], "a line per cell, and no difference"
    assert state(outputs) == before
    assert os.environ["STUDIES_OUTPUTS"] == str(outputs)
    assert list(scratch.iterdir()) == []

    tampered = outputs / "published" / "tiny" / "tampered"
    shutil.copytree(folder, tampered)
    ghost = {"mean": 1.0, "low": None, "high": None, "n": 1, "unit": ""}
    tamper(tampered / "results.json", lambda facts: facts["metrics"]["mean"].update(mean=facts["metrics"]["mean"]["mean"] + 1e-3))
    tamper(tampered / "results.json", lambda facts: facts["metrics"].update({"[red]ghost": ghost}))
    before = state(outputs)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal: a live line, and a table
    monkeypatch.setenv("COLUMNS", "140")
    assert replay(str(tampered)) is False
    *table, last = capsys.readouterr().out.splitlines()[-4:]
    assert all(word in table[0] for word in ("metric", "stored", "replayed", "change"))
    assert "-0.001" in table[1]
    assert "within the interval" in table[1]
    assert all(word in table[2] for word in ("[red]ghost", "1 (n=1)", "absent", "different"))
    assert last == f"replay of tiny {folder.name}: 0 bitwise the same, 1 within the interval, 1 different"
    assert state(outputs) == before
    assert list(scratch.iterdir()) == []


def test_a_study_that_fails_this_time_is_said_and_leaves_nothing(stored, outputs, scratch, capsys, tmp_path, monkeypatch):
    """The notebook is of no known format, so that this needs no kernel."""
    shutil.copytree(HOME, tmp_path / "home")
    tamper(tmp_path / "home" / "notebooks" / "tiny.ipynb", lambda notebook: notebook.update(nbformat="four"))
    monkeypatch.setenv("STUDIES_PATH", str(tmp_path / "home"))
    folder = stored()
    before = state(outputs)
    assert replay(folder.name) is False
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"replay of tiny {folder.name}: failed: ")
    assert "four" in last
    assert state(outputs) == before
    assert list(scratch.iterdir()) == []


def test_ctrl_c_leaves_nothing(stored, outputs, scratch):
    folder = stored()
    before = state(outputs)
    code = f"from lib.runs.replay import replay\nreplay({folder.name!r})"
    process = subprocess.Popen([sys.executable, "-uc", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "started again" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=20)
    assert process.returncode != 0
    assert complaint.rstrip().endswith("KeyboardInterrupt")
    assert state(outputs) == before
    assert list(scratch.iterdir()) == []
