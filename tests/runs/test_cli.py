"""The command `studies` as a user meets it: in a process of its own, by exit code, streams and what is on disk."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pexpect
import psutil
import pytest

from lib.runs.job import Job
from lib.studies import SIZES, find, slugs
from lib.studies.registry import SLUGS

pytestmark = pytest.mark.xdist_group("runs")

STUDIES = [sys.executable, "-m", "lib.runs.cli"]
WHOLE = {"notebook.ipynb", "notebook.html", "results.json", "provenance.json", "tables", "figures"}


@pytest.fixture
def sockets(monkeypatch):
    """The only place where a kernel can leave anything; its path is short, as sockets want it."""
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", f"{folder}/jupyter")
        yield Path(folder)


@pytest.fixture
def studies(tiny, outputs, sockets):
    """Run the command to its end, with the tests' own study beside the suite's."""
    return lambda *words: subprocess.run([*STUDIES, *map(str, words)], capture_output=True, text=True)


@pytest.fixture
def begin(tiny, outputs, sockets):
    """Start the command and leave it running; what it says on stdout can be read line by line."""
    started = []

    def start(*words):
        started.append(subprocess.Popen([*STUDIES, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def whole_runs(outputs):
    """The finished run folders; fails on anything torn or left over beside them."""
    root = outputs / "tiny"
    runs = [f for f in (root.iterdir() if root.exists() else ()) if f.name not in (".partial", "failed")]
    assert all({f.name for f in run.iterdir()} == WHOLE for run in runs)
    assert [f for f in root.glob(".partial/*") if f.is_dir()] == []
    return runs


def test_list(studies, outputs):
    done = studies("list")
    assert done.returncode == 0
    for slug in slugs():
        assert f"{slug}  {find(slug).study.title}" in done.stdout
        assert find(slug).study.question in done.stdout
    assert not outputs.exists()


def test_list_as_json(studies):
    rows = {row["slug"]: row for row in json.loads(studies("list", "--json").stdout)}
    assert list(rows) == slugs()
    for slug, row in rows.items():
        study = find(slug).study
        assert row == {
            "slug": slug, "title": study.title, "question": study.question, "paper": study.paper,
            "minutes": dict(study.minutes), "claims": len(study.claims),
        }  # fmt: skip


def test_show_tells_bounds_sizes_and_claims(studies, outputs):
    done = studies("show", "tiny")
    assert done.returncode == 0
    assert "whole numbers >= 2 and <= 10000" in done.stdout
    assert "test: 50 | quick: 100 | laptop: 100 | paper: 100" in done.stdout
    assert "The mean is near zero." in done.stdout
    assert "needs n >= 50" in done.stdout
    assert not outputs.exists()


REFUSALS = [
    # words after `run`, the field that the answer names, and a part of what it says
    (["no-such"], "study", f"got 'no-such', allowed: {', '.join(SLUGS)}, tiny"),
    (["tiny", "no-such"], "study", "got 'no-such'"),
    ([], "STUDY", "got none"),
    (["{study}", "--size", "huge"], "size", f"got 'huge', allowed: {', '.join(SIZES)}"),
    (["{study}", "-p", "no_such=1"], "no_such", "got '1', but there is no such parameter; allowed: seed, "),
    (["{study}", "-p", "seed=abc"], "seed", "got 'abc', allowed: whole numbers >= 0"),
    (["{study}", "-p", "seed=nan"], "seed", "got 'nan', allowed: whole numbers >= 0"),
    (["{study}", "-p", "seed=1.0"], "seed", "got '1.0', allowed: whole numbers >= 0"),
    (["{study}", "-p", "seed="], "seed", "got '', allowed: whole numbers >= 0"),
    (["{study}", "-p", "{whole}=-3"], "{whole}", "got -3, allowed: whole numbers >= 2"),
    (["{study}", "-p", "{real}=nan"], "{real}", "got nan, allowed: finite numbers"),
    (["{study}", "-p", "{real}=-inf"], "{real}", "got -inf, allowed: finite numbers"),
    (["{study}", "-p", "{real}=0"], "{real}", "got 0.0, allowed: finite numbers > 0"),
    (["{study}", "-p", "{flag}=yes"], "{flag}", "got 'yes', allowed: true or false"),
    (["{study}", "-p", "{choice}=cauchy"], "{choice}", "got 'cauchy', allowed: "),
    (["{study}", "-p", "{many}="], "{many}", "got [], allowed: a list"),
    (["{study}", "-p", "{many}=nowhere"], "{many}", "got ['nowhere'], allowed: a list"),
    (["{study}", "-p", "seed"], "-p", "got 'seed', allowed: name=value"),
    (["{study}", "-p", "=3"], "-p", "got '=3', allowed: name=value"),
    (["{study}", "-p", "seed=1", "-p", "seed=1"], "seed", "given twice with -p, allowed: once"),
    (["{study}", "-f", "{file}:seed: 1\nseed: 2\n"], "seed", "stands 2 times, allowed: once"),
    (["{study}", "-f", "{file}:no_such: 1\n"], "no_such", "got 1, but there is no such parameter"),
    (["{study}", "-f", "{file}:seed: '1'\n"], "seed", "got '1', allowed: whole numbers"),
    (["{study}", "-f", "{file}:{real}: .nan\n"], "{real}", "got nan, allowed: finite numbers"),
    (["{study}", "-f", "{file}:- seed\n"], "params.yaml", "got list, allowed: a flat mapping"),
    (["{study}", "-f", "{file}:seed: [1\n"], "params.yaml", "not readable as YAML"),
    (["{study}", "-f", "nowhere.yaml"], "nowhere.yaml", "not readable as YAML"),
]
FIELDS = {
    "tiny": {"whole": "n", "real": "scale", "flag": "fail", "choice": "law", "many": "parts"},
    "weight-ensembles": {"whole": "n_models", "real": "bag", "flag": "rerank", "choice": "net", "many": "domains"},
}


@pytest.mark.parametrize(
    ("slug", "words", "field", "answer"),
    [(slug, *row) for slug in FIELDS for row in REFUSALS if slug == "tiny" or row[0][:1] == ["{study}"]],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_nothing_starts(studies, outputs, sockets, tmp_path, slug, words, field, answer):
    def fill(text):
        for name, value in {"study": slug, **FIELDS[slug]}.items():
            text = text.replace(f"{{{name}}}", value)
        if text.startswith("{file}:"):
            (tmp_path / "params.yaml").write_text(text.removeprefix("{file}:"))
            return str(tmp_path / "params.yaml")
        return text

    done = studies("run", *map(fill, words))
    assert done.returncode == 2
    assert done.stderr.startswith("studies: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("\n")
    assert f"{fill(field)}: " in done.stderr
    assert fill(answer) in done.stderr
    assert done.stdout == ""
    assert not outputs.exists(), "nothing is written"
    assert list(sockets.iterdir()) == [], "no kernel was started"


@pytest.mark.parametrize(
    ("pair", "answer"),
    [
        ("subset_size=17", "subset_size: got 17, allowed: <= n_models = 16"),
        ("held_out=clean", "held_out: got ['clean'], allowed: not clean"),
        ("held_out=invert", "held_out: got ['invert'], allowed: some of domains"),
        ("net=resnet50", "net: got 'resnet50', allowed: resnet50 with office-home"),
        ("rates=0.001,7", "rates: got [0.001, 7.0], allowed: a list out of finite numbers > 0 and <= 1"),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(studies, outputs, pair, answer):
    done = studies("run", "weight-ensembles", "-p", pair)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"studies: {answer}")
    assert not outputs.exists()


@pytest.mark.parametrize("words", [["show", "no-such"], ["lab", "no-such"], ["demo", "no-such"]], ids=" ".join)
def test_every_command_refuses_an_unknown_study(studies, words):
    done = studies(*words)
    assert done.returncode == 2
    assert done.stderr == f"studies: study: got 'no-such', allowed: {', '.join(slugs())}\n"


def test_a_failing_run_is_1_and_says_where(studies, outputs):
    done = studies("run", "tiny", "-p", "fail=true")
    assert done.returncode == 1
    assert "tiny: failed in cell trouble: RuntimeError: asked to fail; the notebook is kept in " in done.stdout
    assert "1 study: 1 failed" in done.stdout
    assert whole_runs(outputs) == []


def read_until(process, text):
    """Read what the command says up to a line with `text`."""
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"the command ended without saying {text!r}: {process.stderr.read()}")


@pytest.mark.parametrize("moment", ["tiny: started", "cell 1/9", "wait"])
def test_ctrl_c_is_130_and_leaves_nothing(begin, outputs, sockets, moment):
    process = begin("run", "tiny", "-p", "sleep_s=5")
    read_until(process, moment)
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=20)
    assert process.returncode == 130
    assert complaint == "studies: stopped; finished runs are kept, the same command goes on with the rest\n"
    assert psutil.wait_procs(below, timeout=10)[1] == [], "the run and its kernel are gone"
    assert whole_runs(outputs) == []
    assert list(sockets.iterdir()) == []


def test_a_stopped_command_succeeds_the_next_time_and_is_then_already_finished(begin, studies, outputs, sockets):
    words = ("run", "tiny", "-p", "seed=3", "-p", "sleep_s=2")
    process = begin(*words)
    read_until(process, "wait")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130

    done = studies(*words)
    assert done.returncode == 0, done.stderr
    assert "1 study: 1 done" in done.stdout
    assert (outputs / "index.html").exists()
    (run,) = whole_runs(outputs)
    assert list(sockets.iterdir()) == [], "the kernel has cleared up"

    stamp = (run / "provenance.json").stat().st_mtime_ns
    again = studies(*words)
    assert again.returncode == 0
    assert "tiny: already finished" in again.stdout
    assert (run / "provenance.json").stat().st_mtime_ns == stamp


@pytest.mark.skipif(os.name != "posix", reason="terminals are POSIX's")
def test_ctrl_c_in_a_terminal_stops_the_live_table(tiny, outputs, sockets):
    """The terminal sends the interruption itself, and the table shows the cell that runs."""
    words = ["-m", "lib.runs.cli", "run", "tiny", "-p", "sleep_s=30"]
    env = os.environ | {"TERM": "xterm-256color"}
    terminal = pexpect.spawn(sys.executable, words, env=env, dimensions=(24, 120), encoding="utf-8", timeout=30)
    terminal.expect(r"tiny .*running.*/9 wait")
    terminal.sendintr()
    terminal.expect("studies: stopped; finished runs are kept")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert whole_runs(outputs) == []
    assert list(sockets.iterdir()) == []


def test_two_commands_with_the_same_work_give_one_run(begin, outputs):
    both = [begin("run", "tiny", "--size", "test", "-p", "seed=7") for _ in range(2)]
    for process in both:
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 0, complaint
    (run,) = whole_runs(outputs)
    facts = json.loads((run / "results.json").read_text())
    assert (facts["size"], facts["params"]["seed"], facts["params"]["n"]) == ("test", 7, 50)
    assert list((outputs / "tiny").glob(".partial/*")) == []


def test_gallery_draws_the_page(studies, outputs):
    done = studies("gallery")
    assert done.returncode == 0
    assert done.stdout == f"{outputs / 'index.html'}\n"
    assert (outputs / "index.html").read_text(encoding="utf-8").lower().startswith("<!doctype html>")


def test_a_gallery_that_cannot_be_drawn_is_said_in_a_line_and_is_no_fault_of_the_run(studies, tiny, outputs):
    folder = Job.of("tiny", tiny.size_params("quick")).folder
    folder.mkdir(parents=True)
    (folder / "provenance.json").write_text("{}")
    (outputs / "index.html").mkdir()
    told = "studies: the gallery could not be drawn: Is a directory\n"
    ran, drew = studies("run", "tiny"), studies("gallery")
    assert (ran.returncode, ran.stderr) == (0, told)
    assert "1 study: 1 already finished" in ran.stdout
    assert (drew.returncode, drew.stdout, drew.stderr) == (1, "", told)


def test_doctor_names_environment_and_data(studies, outputs):
    done = studies("doctor")
    assert done.returncode == 0, done.stdout
    for word in ("environment", "as locked", "processor", "accelerator", "disk", *slugs(), "data", "digits", "office-home"):
        assert word in done.stdout
    assert not outputs.exists()
