"""Warm starts: a run forked from a template is the run that a cold start makes, sees nothing of others, and leaves nothing."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import nbformat
import pandas as pd
import psutil
import pytest

from lib.runs import template
from lib.runs.forked import FORKS
from lib.runs.job import Job
from lib.runs.kernel import FOLDER, SETTLED_S, sweep_sockets
from lib.runs.launch import DONE, FAILED, Progress, perform
from lib.runs.process import PATIENCE, Launcher
from lib.runs.template import Template, TemplateLost
from lib.studies import find, slugs
from tests.conftest import HOME
from tests.runs.sweeping import until

pytestmark = [
    pytest.mark.xdist_group("sweeps"),
    pytest.mark.slow,
    pytest.mark.skipif(not FORKS, reason="only Linux forks safely"),
]


@pytest.fixture(autouse=True)
def sockets(tmp_path, monkeypatch):
    """The only place where a kernel can leave anything; its path is short, as sockets want it."""
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


class House:
    """A copy of the tests' home whose notebook can be changed, an outputs folder, and a folder of modules to import."""

    def __init__(self, folder):
        self.home, self.outputs, self.modules = shutil.copytree(HOME, folder / "home"), folder / "outputs", folder / "modules"
        self.modules.mkdir()
        self.notebook, self.declaration = self.home / "notebooks" / "tiny.ipynb", self.home / "studies" / "tiny.py"

    def cell(self, cell_id, source):
        """Give one of the notebook's cells another source."""
        notebook = nbformat.read(self.notebook, as_version=4)
        next(cell for cell in notebook.cells if cell.id == cell_id).source = source
        nbformat.write(notebook, self.notebook)

    def job(self, where="outputs", **changes):
        """A job of the study as it now is; `where` names its outputs folder."""
        (job,) = Job.many("tiny", [find("tiny").study.params.parse(changes)])
        return replace(job, outputs=str(self.outputs / where))

    def launcher(self, threads=1, warm=True):
        return Launcher(["tiny"], threads, warm, env={"PYTHONPATH": f"{self.modules}:{os.environ.get('PYTHONPATH', '')}"})


@pytest.fixture
def house(tmp_path, monkeypatch):
    made = House(tmp_path)
    monkeypatch.setenv("STUDIES_PATH", str(made.home))
    monkeypatch.setenv("STUDIES_OUTPUTS", str(made.outputs))
    return made


def brought_to_its_end(launcher, job):
    return perform(Progress(job), launcher, lambda p: None, threading.Event())


def run(launcher, *jobs):
    """Run jobs one after another; each must come to its end."""
    for job in jobs:
        p = brought_to_its_end(launcher, job)
        assert p.state == DONE, p.error


def templates():
    """The living template processes of this test."""
    below = psutil.Process().children()
    return [p for p in below if p.status() != psutil.STATUS_ZOMBIE and "lib.runs.template" in p.cmdline()]


PROBE = """
import json, os, sys
import numpy, torch
from threadpoolctl import threadpool_info
pools = sorted({(pool["internal_api"], pool["num_threads"]) for pool in threadpool_info()})
environ = [os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MPLBACKEND")]
print(json.dumps([torch.get_num_threads(), pools, environ, os.getcwd(), sys.argv[0], torch.get_default_dtype().__repr__()]))
square = torch.rand(300, 300, generator=torch.Generator().manual_seed(p.seed))
print((square @ square).sum().item().hex(), numpy.linalg.norm(square.numpy() @ square.numpy()).item().hex())
"""


def outputs_of(folder):
    """What the cells of an executed notebook printed and showed, without numbers that count executions."""
    cells = [cell for cell in nbformat.read(folder / "notebook.ipynb", as_version=4).cells if cell.cell_type == "code"]
    return [(cell.source, [{k: v for k, v in out.items() if k != "execution_count"} for out in cell.outputs]) for cell in cells]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_warm_run_and_a_cold_one_give_the_same(house, threads, sockets):
    house.cell("wait", PROBE)
    for where in ("warm", "cold"):
        with contextlib.closing(house.launcher(threads, where == "warm")) as launcher:
            run(launcher, house.job(where, seed=5))
            assert launcher.cold_because == ("" if where == "warm" else "not asked for")
    warm, cold = (house.job(where, seed=5).folder for where in ("warm", "cold"))
    for name in ("results.json", "figures/draws.png", "tables/draws.parquet"):
        assert (warm / name).read_bytes() == (cold / name).read_bytes(), name
    assert pd.read_parquet(warm / "tables" / "draws.parquet").shape == (4, 1)
    assert outputs_of(warm) == outputs_of(cold)
    assert sum("image/png" in out.get("data", {}) for _, outs in outputs_of(cold) for out in outs) == 1, "the figure is seen"
    (probe,) = [json.loads(out["text"].splitlines()[0]) for source, outs in outputs_of(warm) if source == PROBE for out in outs]
    assert probe[0] == threads
    assert {count for _, count in probe[1]} == {threads}
    facts = [json.loads((folder / "provenance.json").read_text()) for folder in (warm, cold)]
    timed = ("cells", "started_utc", "wall_s", "cpu_s", "peak_rss_mb")
    assert [{k: v for k, v in fact.items() if k not in timed} for fact in facts] == [
        {k: v for k, v in facts[0].items() if k not in timed}
    ] * 2
    assert facts[0]["threads"] == threads
    assert list(sockets.iterdir()) == []


LEAK = """
import builtins, json, os, random, sys
import matplotlib, numpy, pandas, torch
import lib.seeds
seen = [hasattr(thing, "leak") for thing in (lib.seeds, numpy, builtins, torch.nn.Linear)]
seen += ["LEAK" in os.environ, "/leak" in sys.path, "leak" in sys.modules, os.getcwd(), str(torch.get_default_dtype())]
seen += [matplotlib.rcParams["font.size"], pandas.get_option("display.max_rows"), numpy.geterr()["over"], "leaked" in globals()]
with open({journal!r}, "a") as file:
    file.write(json.dumps([seen, [numpy.random.random(), random.random(), os.getpid()]]) + "\\n")
lib.seeds.leak = numpy.leak = builtins.leak = torch.nn.Linear.leak = leaked = True
os.environ["LEAK"] = "1"
os.chdir("/")
sys.path.insert(0, "/leak")
sys.modules["leak"] = sys
torch.set_default_dtype(torch.float64)
matplotlib.rcParams["font.size"] = 33
pandas.set_option("display.max_rows", 7)
numpy.seterr(over="raise")
"""


def test_nothing_leaks_from_one_run_to_the_next_and_each_draws_its_own_numbers(house, tmp_path):
    journal = tmp_path / "journal"
    house.cell("wait", LEAK.format(journal=str(journal)))
    with contextlib.closing(house.launcher()) as launcher:
        run(launcher, *(house.job(seed=seed) for seed in range(3)))
        assert launcher.cold_because == ""
    with contextlib.closing(house.launcher(warm=False)) as launcher:
        run(launcher, house.job(seed=3))
    seen, drawn = zip(*(json.loads(line) for line in journal.read_text().splitlines()), strict=True)
    assert seen == (seen[0],) * 4, "all see what a cold start sees"
    assert not any(seen[0][:7])
    assert all(len(set(numbers)) == 4 for numbers in zip(*drawn, strict=True)), "nor do two of them draw the same"


def nowhere(slug):
    """A job that a run's process refuses at once: its id is not that of the code."""
    params = find(slug).size_params("test")
    return replace(Job.of(slug, params), run_id="0" * 12)


def test_the_template_of_every_study_can_be_forked(tiny, outputs):
    with contextlib.closing(Launcher(slugs(), 1, warm=True)) as launcher:
        for slug in slugs():
            (said,) = [facts for facts in launcher.start(nowhere(slug)).events() if facts["event"] != "cell"]
            assert said["kind"] == "code"
        assert launcher.cold_because == ""
        (warm,) = templates()
        assert (warm.name(), warm.num_threads()) == ("studies-warm", 1)
    until(lambda: not templates(), "the end of the template")


def tell(module, source, house):
    """A notebook that imports a module of its own."""
    (house.modules / f"{module}.py").write_text(source)
    house.cell("wait", f"import {module}")


THREADED = "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n"


def test_a_package_that_starts_a_thread_makes_runs_start_cold_and_the_launcher_says_why(house):
    tell("threaded", THREADED, house)
    with contextlib.closing(house.launcher()) as launcher:
        run(launcher, house.job())
        assert launcher.cold_because == "a package leaves 1 thread(s) running after its import, and cannot be forked"
        until(lambda: not templates(), "the end of the template, which is of no use any more")


def test_a_package_that_ends_its_process_costs_each_run_its_kernel_and_warm_starts_are_given_up(house):
    tell("deadly", "import os\nos._exit(3)\n", house)
    with contextlib.closing(house.launcher()) as launcher:
        p = brought_to_its_end(launcher, house.job())
        assert (p.state, p.kind) == (FAILED, "kernel")
        assert p.error.startswith("RuntimeError: Kernel died before ")
        for _ in range(PATIENCE - 1):
            process = launcher.start(house.job())
            process.stop()
            assert list(process.events()) == []
        assert launcher.cold_because


def started_at_once(launcher, count, monkeypatch, meanwhile=lambda: None):
    """Start runs from several threads, do something once all have turned to a template, and bring the runs to their end.

    How many of them were forked, and all the templates that they turned to.
    """
    turned_to, warm = [], Launcher._warm

    def remember(self):
        turned_to.append(found := warm(self))
        return found

    monkeypatch.setattr(Launcher, "_warm", remember)
    with ThreadPoolExecutor(count) as pool:
        starts = [pool.submit(launcher.start, nowhere("tiny")) for _ in range(count)]
        until(lambda: len(turned_to) >= count, "all of them")
        meanwhile()
        processes = [start.result() for start in starts]
    for process in processes:
        with contextlib.closing(process):
            process.stop()
            list(process.events())
    return [process._popen for process in processes].count(None), set(turned_to)


def test_a_dead_template_is_one_loss_however_many_runs_were_waiting_for_it(house, monkeypatch):
    with contextlib.closing(house.launcher()) as launcher:
        forked, turned_to = started_at_once(launcher, PATIENCE, monkeypatch, lambda: templates()[0].kill())
        assert (forked, len(turned_to)) == (0, 1)
        assert launcher.cold_because == "", "the next run may have another one"


CHANGE_ONCE = """
import os, sys

class Change:
    def find_spec(self, name, path=None, target=None):
        if name == "lib.runs.execute" and not os.path.exists({once!r}):
            open({once!r}, "w").close()
            os.utime({file!r})

sys.meta_path.insert(0, Change())
"""


def test_code_that_changes_while_a_template_imports_costs_it_and_no_run_its_warm_start(house, monkeypatch):
    once, file = house.modules / "once", house.declaration
    (house.modules / "sitecustomize.py").write_text(CHANGE_ONCE.format(once=str(once), file=str(file)))
    with contextlib.closing(house.launcher()) as launcher:
        forked, turned_to = started_at_once(launcher, PATIENCE + 1, monkeypatch)
        assert (forked, len(turned_to)) == (PATIENCE + 1, 2)
        assert launcher.cold_because == ""


DEAF = "import os, sys, time\nos.close(int(sys.orig_argv[3]))\ntime.sleep(1000)\n"


def test_a_template_that_does_not_listen_and_does_not_end_is_lost_and_ended(house, monkeypatch):
    (house.modules / "sitecustomize.py").write_text(DEAF)
    deaf = Template(["tiny"], house.launcher().env)
    monkeypatch.setattr(template, "START_S", 0.3)
    with open(os.devnull) as null, pytest.raises(TemplateLost, match="stopped listening"):
        deaf.start("{}", *3 * [null.fileno()])
    assert deaf._process.wait(timeout=20) == -signal.SIGKILL


SEEN_BY_TWO = """
import contextlib, os, threading
from lib.runs.forked import ForkedKernel

kernel, other, waitpid, both, said = ForkedKernel(lambda: None), ForkedKernel(lambda: None), os.waitpid, threading.Barrier(2), []

def together(*words):
    with contextlib.suppress(threading.BrokenBarrierError):
        both.wait(0.5)
    return waitpid(*words)

def look():
    try:
        kernel.poll()
    except ChildProcessError as error:
        said.append(error)

kernel.kill()
os.waitid(os.P_PID, kernel.pid, os.WEXITED | os.WNOWAIT)
os.waitpid = together
threads = [threading.Thread(target=look) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
os.waitpid = waitpid
print(said, kernel.poll())
other.kill()
os.waitpid(other.pid, 0)
print(other.poll())
"""


def test_two_threads_may_see_the_end_of_a_kernel_and_so_may_somebody_else():
    done = subprocess.run([sys.executable, "-c", SEEN_BY_TWO], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"[] {-signal.SIGKILL}\n0\n", "")


def test_a_kernel_that_died_before_it_was_told_to_begin():
    lines = "k = ForkedKernel(lambda: None)", "k.kill()", "print(k.wait(), k.poll())", "k.begin([], {}, '/')"
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(("from lib.runs.forked import ForkedKernel", *lines))], capture_output=True, text=True
    )
    assert done.stdout == f"{-signal.SIGKILL} {-signal.SIGKILL}\n"
    assert done.stderr.endswith("RuntimeError: Kernel died before it was told to begin\n")


def test_a_kernel_that_nobody_needs_ends_by_itself():
    lines = "k = ForkedKernel(lambda: None)", "os.close(k._orders)", "print(k.wait())"
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(("import os", "from lib.runs.forked import ForkedKernel", *lines))],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("0\n", "")


LOOKS_FOR_A_FOLDER = """
import os, sys, tempfile
from lib.runs.forked import ForkedKernel

def tell(event, words):
    if event == "open" and str(words[0]).startswith(os.environ["TMPDIR"]):
        print(event, flush=True)

sys.addaudithook(tell)
kernel = ForkedKernel(tempfile.gettempdir)
print("forked", flush=True)
os.close(kernel._orders)
kernel.wait()
"""


def test_a_kernel_killed_while_it_looks_for_a_temporary_folder_leaves_nothing(sockets):
    """Python finds that folder by writing a file there: it does so before the fork, which anything may kill at any time."""
    done = subprocess.run([sys.executable, "-c", LOOKS_FOR_A_FOLDER], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("open\nforked\n", "")


def test_changed_code_gets_a_new_template(house):
    """Also code outside lib: the declaration of a private study."""
    with contextlib.closing(house.launcher()) as launcher:
        run(launcher, house.job(seed=0))
        (first,) = templates()
        run(launcher, house.job(seed=1))
        assert templates() == [first]
        house.declaration.write_text(house.declaration.read_text().replace("A tiny study", "A changed study"))
        job = house.job(seed=1)
        run(launcher, job)
        assert launcher.cold_because == ""
        assert json.loads((job.folder / "results.json").read_text())["title"] == "A changed study"
        until(lambda: first not in templates(), "the end of the old one")
        assert len(templates()) == 1


MANY = [sys.executable, str(Path(__file__).with_name("many_kernels.py"))]


def test_a_kernel_ends_by_itself_even_where_its_threads_wait_for_each_other():
    """ipykernel's control thread may flush after the thread that would deliver is gone: every 25th run took five seconds."""
    said = subprocess.run([*MANY, "lost-word", "4"], capture_output=True, text=True, timeout=120)
    assert said.stdout == "4\n", said


def test_200_kernels_in_a_row_beside_50_at_once(sockets):
    """Not one of them clashes with another, and none leaves anything."""
    both = [
        subprocess.Popen([*MANY, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for words in (("row", "200"), ("once", "50"))
    ]
    said = [process.communicate(timeout=280) for process in both]
    assert [out for out, _ in said] == ["200\n", "50\n"], said
    assert list(sockets.glob(f"{FOLDER}*")) == []


MANAGER = "from lib.runs.kernel import RunKernelManager\nm = RunKernelManager()\nprint(m._folder, flush=True)\ninput()\n"


def test_socket_folders_of_the_dead_go_and_those_of_the_living_stay(sockets):
    def begin():
        process = subprocess.Popen(
            [sys.executable, "-c", MANAGER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        return process, Path(process.stdout.readline().strip())

    started = [begin() for _ in range(3)]
    try:
        (dead, old), (fresh_dead, fresh), (_, alive) = started
        for process in (dead, fresh_dead):
            process.kill()
            process.wait()
        settled = time.time() - 2 * SETTLED_S
        for folder in (old, alive):
            os.utime(folder, (settled, settled))
        (other := sockets / "somebody-elses").mkdir()
        os.utime(other, (settled, settled))
        sweep_sockets()
        assert set(sockets.iterdir()) == {fresh, alive, other}, "a folder so young may not have its lock yet"
        os.utime(fresh, (settled, settled))
        sweep_sockets()
        assert set(sockets.iterdir()) == {alive, other}
    finally:
        for process, _ in started:
            process.kill()
            process.communicate()
