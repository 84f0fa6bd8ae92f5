"""A sweep before it starts: the grid and its laws, refusals, what it will cost, its plan on disk, and what Slurm is asked for."""

import io
import json
import math
import shlex
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from lib.runs.job import Job
from lib.runs.launch import RUNNING
from lib.runs.sweeps import planning
from lib.runs.sweeps.board import Board
from lib.runs.sweeps.grid import parse_axes, points, size
from lib.runs.sweeps.planning import MANY, cost
from lib.runs.sweeps.slurm import SlurmFile, read_slurm_file, slurm_cluster
from lib.studies import ParamError, find
from lib.studies.registry import HOME as SUITE
from lib.studies.registry import SLUGS
from tests.conftest import HOME

NO_LIMITS = {"max_seconds": None, "max_memory_mb": None}


@pytest.fixture(scope="module", autouse=True)
def home():
    """The tests' own study, for every test and every example of a law."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIES_PATH", str(HOME))
        yield


def plan(*grid, slug="tiny", size="quick", file=None, yes=False, limits=NO_LIMITS, **pairs):
    return planning.plan(slug, size, grid, pairs, file, limits, yes)


def refusal(*grid, **given):
    """The one line that refuses a sweep."""
    with pytest.raises(ParamError) as error:
        plan(*grid, **given)
    assert "\n" not in str(error.value)
    return str(error.value)


def axes(*texts):
    return parse_axes(find("tiny"), texts, {})


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 60))
def test_a_range_is_half_open_with_a_step(first, length, step):
    text = f"seed={first}:{first + length}"
    if not length:
        assert refusal(text).startswith("seed: got no values")
        return
    assert list(axes(text)["seed"]) == list(range(first, first + length))
    assert list(axes(f"{text}:{step}")["seed"]) == list(range(first, first + length, step))


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8, unique=True))
def test_a_list_of_numbers_is_taken_as_it_stands(values):
    assert axes(f"seed={','.join(map(str, values))}") == {"seed": values}


def test_values_have_the_type_of_their_field():
    grid = axes("scale=1, 2.5e-1", "fail=true,False", "law=uniform,normal", "parts=a,b/c/b , a", "n=2:4")
    assert {name: list(values) for name, values in grid.items()} == {
        "scale": [1.0, 0.25], "fail": [True, False], "law": ["uniform", "normal"], "parts": [["a", "b"], ["c"], ["b", "a"]],
        "n": [2, 3],
    }  # fmt: skip


GRIDS = st.permutations(
    ["seed=0:{}", "n=2:{}:3", "scale=0.5,1,2", "law=normal,uniform", "parts=a/b/a,b", "fail=true,false", "repeats=1,2"]
)


@settings(max_examples=25)
@given(GRIDS, st.integers(1, 4), st.integers(3, 9), st.integers(3, 8))
def test_a_grid_is_the_product_of_its_axes_and_every_run_is_another(order, axis_count, seeds, end):
    grid = [text.format(seeds if text.startswith("seed") else end) for text in order[:axis_count]]
    spanned = axes(*grid)
    jobs = plan(*grid).jobs
    assert len(jobs) == size(spanned) == math.prod(len(values) for values in spanned.values())
    assert len({job.run_id for job in jobs}) == len(jobs)
    assert {tuple(map(str, (job.params[name] for name in spanned))) for job in jobs} == {
        tuple(map(str, (p[name] for name in spanned))) for p in (dict(point) for point in points(find("tiny"), {}, spanned))
    }


@settings(max_examples=25)
@given(GRIDS, st.data())
def test_the_order_of_the_axes_changes_the_order_of_the_runs_and_nothing_else(order, data):
    grid = [text.format(3) for text in order[:3]]
    turned = data.draw(st.permutations(grid))
    here, there = plan(*grid), plan(*turned)
    assert {job.run_id: job.params for job in here.jobs} == {job.run_id: job.params for job in there.jobs}
    same_order = [job.run_id for job in here.jobs] == [job.run_id for job in there.jobs]
    assert (here.sweep_id == there.sweep_id) == same_order


def test_the_last_axis_turns_fastest():
    jobs = plan("n=2,3", "law=normal,uniform", "seed=0:2").jobs
    assert [(job.params["n"], job.params["law"], job.params["seed"]) for job in jobs] == [
        (n, law, seed) for n in (2, 3) for law in ("normal", "uniform") for seed in (0, 1)
    ]


def test_a_run_of_a_sweep_is_the_run_that_studies_run_makes():
    (job,) = plan("seed=3:4", n="50").jobs
    assert job.run_id == Job.of("tiny", find("tiny").study.params.parse({"seed": 3, "n": 50})).run_id
    assert job.size == "test"
    assert not job.patient, "it goes on with another run while somebody else makes this one"


def test_the_same_command_has_the_same_id_however_it_is_written():
    first = plan("seed=0:4", "n=50", size="quick")
    assert plan("seed=0:4", "n=50").sweep_id == first.sweep_id
    assert plan("seed=0,1,2,3", n="50").sweep_id == first.sweep_id
    assert plan("seed=0:4", size="test").sweep_id == first.sweep_id
    assert plan("seed=0:4", file={"n": 50, "seed": 9}).sweep_id == first.sweep_id
    assert plan("seed=0:4", n="50", limits={"max_seconds": 5.0, "max_memory_mb": 900}).sweep_id == first.sweep_id
    assert len({plan(grid, n="50").sweep_id for grid in ("seed=0:4", "seed=0:5", "seed=1:5", "seed=0:4:2")}) == 4


def test_limits_and_size_come_with_every_job():
    sweep = plan("seed=0:2", "n=50,100", limits={"max_seconds": 5.0, "max_memory_mb": 900})
    assert sweep.size == "custom"
    assert [job.size for job in sweep.jobs] == ["test", "quick", "test", "quick"]
    assert {(job.max_seconds, job.max_memory_mb) for job in sweep.jobs} == {(5.0, 900)}
    assert "seed" not in sweep.base
    assert "n" not in sweep.base


SEEDS = "whole numbers >= 0 and <= 4294967295"


@pytest.mark.parametrize(
    ("grid", "answer"),
    [
        ([], "-g: got no axis, allowed: name=values, as in -g seed=0:64"),
        (["seed"], "-g: got 'seed', allowed: name=values, as in seed=0:64 or width=16,32,64"),
        (["=1,2"], "-g: got '=1,2', allowed: name=values, as in seed=0:64 or width=16,32,64"),
        (["sede=0:4"], "sede: there is no such parameter to sweep over; allowed: seed, n, scale, law, "),
        (["seed="], f"seed: got no values in '', allowed: {SEEDS}"),
        (["seed= "], f"seed: got no values in ' ', allowed: {SEEDS}"),
        (["parts="], "parts: got no values in '', allowed: a list out of a, b, c, length >= 1"),
        (["seed=5:5"], f"seed: got no values in '5:5', allowed: {SEEDS}"),
        (["seed=5:4"], f"seed: got no values in '5:4', allowed: {SEEDS}"),
        (["seed=1,,2"], f"seed: got an empty value in '1,,2', allowed: {SEEDS}"),
        (["seed=1,2,"], f"seed: got an empty value in '1,2,', allowed: {SEEDS}"),
        (["parts=a//b"], "parts: got an empty value in 'a//b', allowed: a list out of a, b, c, length >= 1"),
        (["seed=0:4:0"], "seed: got '0:4:0', allowed: a step of at least 1"),
        (["seed=0:4:-1"], f"seed: got '0:4:-1', allowed: {SEEDS}"),
        (["seed=0:4,9"], f"seed: got '0:4', allowed: {SEEDS}"),
        (["seed=-1:4"], f"seed: got -1, allowed: {SEEDS}"),
        (["seed=4294967290:4294967299"], f"seed: got 4294967298, allowed: {SEEDS}"),
        (["n=2,1,3"], "n: got 1, allowed: whole numbers >= 2 and <= 10000"),
        (["n=9990:10005:7"], "n: got 10004, allowed: whole numbers >= 2 and <= 10000"),
        (["scale=1,0"], "scale: got 0.0, allowed: finite numbers > 0 and <= 10"),
        (["scale=1,nan"], "scale: got nan, allowed: finite numbers > 0 and <= 10"),
        (["scale=0:4"], "scale: got '0:4', allowed: finite numbers > 0 and <= 10"),
        (["seed=1.0"], f"seed: got '1.0', allowed: {SEEDS}"),
        (["seed=many"], f"seed: got 'many', allowed: {SEEDS}"),
        (["fail=true,yes"], "fail: got 'yes', allowed: true or false"),
        (["law=normal,cauchy"], "law: got 'cauchy', allowed: normal, uniform"),
        (["parts=a/d"], "parts: got ['d'], allowed: a list out of a, b, c, length >= 1"),
        (["seed=0:4", "seed=4:8"], "seed: given twice with -g, allowed: once"),
        (["seed=3,4,3"], "seed: got 3 twice, allowed: each value once"),
        (["scale=1,1.0"], "scale: got 1.0 twice, allowed: each value once"),
        (["fail=true,TRUE"], "fail: got True twice, allowed: each value once"),
        (["parts=a,b/c/a,b"], "parts: got ['a', 'b'] twice, allowed: each value once"),
        (["seed=0:10001"], "-g: got a grid of 10,001 runs, allowed: up to 10,000, or more with --yes"),
        (["seed=0:101", "n=2:102"], "-g: got a grid of 10,100 runs, allowed: up to 10,000, or more with --yes"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_a_bad_axis_is_refused_in_one_line(grid, answer):
    told = refusal(*grid)
    assert told.startswith(answer)
    assert len(told) < len(answer) + 60


def test_an_axis_cannot_be_fixed_as_well():
    assert refusal("seed=0:4", seed="3") == "seed: given with -g and with -p, allowed: one of them"
    assert plan("seed=0:4", file={"seed": 9}).axes["seed"] == range(4), "but it may stand in a file, which lists everything"


def test_what_is_fixed_is_checked_too():
    assert refusal("seed=0:4", n="1") == "n: got 1, allowed: whole numbers >= 2 and <= 10000"
    assert refusal("seed=0:4", file={"sede": 1}).startswith("sede: got 1, but there is no such parameter; allowed: seed, ")
    assert refusal("seed=0:4", size="huge") == "size: got 'huge', allowed: test, quick, laptop, paper"
    assert refusal("seed=0:4", slug="no-such") == f"study: got 'no-such', allowed: {', '.join(SLUGS)}, tiny"


@pytest.mark.parametrize(
    ("grid", "count"),
    [(["seed=0:10000000"], "10,000,000"), (["seed=0:4000000000", "n=2:9002", "fail=true,false"], "72,000,000,000,000")],
)
def test_a_huge_grid_is_refused_without_being_spanned(grid, count):
    """The second one could not be spanned in a life-time."""
    assert refusal(*grid) == f"-g: got a grid of {count} runs, allowed: up to 10,000, or more with --yes"


def test_the_largest_grid_that_needs_no_yes():
    assert len({job.run_id for job in plan(f"seed=0:{MANY}").jobs}) == MANY == 10_000
    assert len(plan(f"seed=0:{MANY + 1}", yes=True).jobs) == MANY + 1


ENSEMBLES = "weight-ensembles"


@pytest.mark.parametrize(
    ("grid", "answer"),
    [
        (["n_models=16,2"], "at n_models 2: subset_size: got 4, allowed: <= n_models = 2"),
        (
            ["net=mlp,convnet", "activation=relu,gelu"],
            "at net convnet, activation gelu: activation: got 'gelu', allowed with net 'convnet': relu",
        ),
        (["seed=0:3", "held_out=noise/clean"], "at seed 0, held_out ['clean']: held_out: got ['clean'], allowed: not clean, "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_combination_that_a_study_refuses_is_named(grid, answer):
    assert refusal(*grid, slug=ENSEMBLES).startswith(answer)


def test_a_value_that_goes_with_the_sweep_is_not_refused_for_what_the_quick_size_says():
    assert len(plan("subset_size=4,20", slug=ENSEMBLES, n_models="32").jobs) == 2
    assert len(plan("n_models=20,32", "subset_size=4,20", slug=ENSEMBLES).jobs) == 4


def test_what_is_fixed_need_only_go_with_the_axes():
    assert len(plan("n_models=32,64", slug=ENSEMBLES, subset_size="20").jobs) == 2
    assert len(plan("held_out=invert/blur", slug=ENSEMBLES, domains="clean,invert,blur").jobs) == 2


def store(outputs, name, wall, cpu=None, memory=100.0, **changes):
    """A finished run of the tiny study, as far as an estimate needs it."""
    params = find("tiny").study.params.parse(changes).model_dump()
    folder = outputs / "tiny" / name
    folder.mkdir(parents=True)
    facts = {"params": params, "wall_s": wall, "cpu_s": wall / 2 if cpu is None else cpu, "peak_rss_mb": memory}
    (folder / "provenance.json").write_text(json.dumps(facts))
    return folder


def expected(*grid, **fixed):
    sweep = plan(*grid, **fixed)
    return cost(sweep, sweep.unfinished())


def test_without_stored_runs_the_study_itself_says_what_a_run_takes(outputs):
    found = expected("seed=0:10")
    assert (found.wall_s, found.memory_mb, found.stored) == (pytest.approx(10 * 0.05 * 60), 0.0, 0)
    assert expected("seed=0:10", scale="3").wall_s == 0, "a size that nobody declared"


def test_the_estimate_is_the_median_of_stored_runs_with_these_parameters_whatever_their_seeds(outputs):
    for seed, wall in enumerate([1.0, 2.0, 9.0]):
        store(outputs, f"same{seed}", wall, seed=seed, memory=100.0 + seed)
    store(outputs, "other", 1000.0, n=9999, memory=9999.0)
    found = expected("seed=50:60")
    assert (found.wall_s, found.cpu_s, found.memory_mb, found.stored) == (20.0, 10.0, 101.0, 4)


def test_each_point_is_estimated_from_the_stored_runs_nearest_to_it(outputs):
    store(outputs, "small", 1.0, n=10, memory=10.0)
    store(outputs, "large", 8.0, n=1000, memory=900.0)
    store(outputs, "large-uniform", 32.0, n=1000, law="uniform", memory=400.0)
    assert expected("n=10,1000").wall_s == 1.0 + 8.0
    assert expected("n=10,1000").memory_mb == 900.0, "of the largest"
    assert expected("n=1000", "law=normal,uniform", "seed=1:3").wall_s == 2 * (8.0 + 32.0)
    assert expected("n=500").wall_s == 4.5, "equally near: the median of both"


def test_what_is_finished_costs_nothing_and_damaged_records_are_passed_over(outputs):
    sweep = plan("seed=0:3")
    for job in sweep.jobs[:2]:
        store(outputs, job.run_id, 3.0, seed=job.params["seed"])
    (store(outputs, "torn", 1.0) / "provenance.json").write_text("{")
    (store(outputs, "old", 1.0) / "provenance.json").write_text(json.dumps({"wall_s": 1.0}))
    assert sweep.unfinished() == [sweep.jobs[2]]
    found = cost(sweep, sweep.unfinished())
    assert (found.wall_s, found.stored) == (3.0, 2)
    assert cost(sweep, []).wall_s == 0


def test_the_board_counts_no_runs_of_other_sweeps_that_the_same_scheduler_tells_of():
    sweep, said = plan("seed=0:2"), io.StringIO()
    board = Board(sweep, 2, cost(sweep, sweep.jobs), Console(file=said, width=100))
    for run_id in (sweep.jobs[0].run_id, "f" * 12):
        board.heard(run_id, {"state": RUNNING, "cell": "wait", "position": "1/9"})
    board.console.print(board._draw())
    assert "0 of 2 finished, 1 running" in said.getvalue()
    assert "f" * 12 not in said.getvalue()


def test_the_plan_is_written_once(outputs):
    sweep = plan("n=2,3", "seed=0:3", law="uniform")
    sweep.write()
    facts = json.loads((sweep.folder / "plan.json").read_text())
    assert sweep.folder == outputs / "tiny" / "sweeps" / sweep.sweep_id
    assert facts["axes"] == {"n": [2, 3], "seed": [0, 1, 2]}
    assert facts["runs"] == [job.run_id for job in sweep.jobs]
    assert facts["base"] == {name: value for name, value in sweep.jobs[0].params.items() if name not in ("n", "seed")}
    before = (sweep.folder / "plan.json").stat()
    plan("n=2,3", "seed=0:3", law="uniform").write()
    after = (sweep.folder / "plan.json").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert [f.name for f in sweep.folder.iterdir()] == ["plan.json"]


GOOD = {"jobs": 3, "cores": 8, "runs_per_job": 4, "memory": "12GB", "walltime": "1-02:30:00"}


@pytest.fixture
def slurm_file(tmp_path):
    """Write a file for --slurm: the good one with changes (None takes an entry out), or a text."""

    def write(text=None, **changes):
        file = tmp_path / "slurm.yaml"
        values = {name: value for name, value in (GOOD | changes).items() if value is not None}
        file.write_text(yaml.safe_dump(values) if text is None else text)
        return file

    return write


def test_the_suites_own_slurm_file_is_valid():
    asked = read_slurm_file(SUITE / "params" / "slurm.yaml")
    assert asked.seconds == 4 * 3600
    told = (SUITE / "params" / "slurm.yaml").read_text()
    assert all(f"{name}:" in told for name in SlurmFile.model_fields), "it explains every entry"


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        *(({name: None}, f"{name}: got nothing, allowed: ") for name in GOOD),
        ({"queue": "cpu"}, "queue: got 'cpu', allowed: jobs, cores, runs_per_job, memory, walltime, partition, account, "),
        ({"jobs": 0}, "jobs: got 0, allowed: "),
        ({"jobs": 1001}, "jobs: got 1001, allowed: "),
        ({"jobs": "many"}, "jobs: got 'many', allowed: "),
        ({"jobs": 1.5}, "jobs: got 1.5, allowed: "),
        ({"cores": 0}, "cores: got 0, allowed: "),
        ({"runs_per_job": 0}, "runs_per_job: got 0, allowed: "),
        ({"runs_per_job": 9}, "runs_per_job: got 9, allowed: up to cores, which is 8"),
        ({"memory": "12"}, "memory: got '12', allowed: "),
        ({"memory": 12}, "memory: got 12, allowed: "),
        ({"memory": "lots"}, "memory: got 'lots', allowed: "),
        ({"memory": "-1GB"}, "memory: got '-1GB', allowed: "),
        ({"walltime": "4h"}, "walltime: got '4h', allowed: "),
        ({"walltime": 1.5}, "walltime: got 1.5, allowed: "),
        ({"walltime": "00:10:00"}, "walltime: got 00:10:00, allowed: more than 10 minutes"),
        ({"partition": 5}, "partition: got 5, allowed: "),
        ({"options": "--constraint=avx2"}, "options: got '--constraint=avx2', allowed: "),
        ({"before": [1]}, "before: got [1], allowed: "),
    ],
    ids=lambda value: " ".join(f"{name}={given}" for name, given in value.items()) if isinstance(value, dict) else "",
)
def test_a_bad_entry_for_slurm_is_refused_in_one_line(slurm_file, changes, answer):
    file = slurm_file(**changes)
    with pytest.raises(ParamError) as error:
        read_slurm_file(file)
    assert str(error.value).startswith(f"{file}: {answer}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [{"jobs": True}, {"memory": "0GB"}, {"walltime": "00:99:99"}],
    ids=lambda value: " ".join(f"{name}={given}" for name, given in value.items()),
)
def test_an_entry_for_slurm_that_makes_no_sense_is_refused(slurm_file, changes):
    with pytest.raises(ParamError):
        read_slurm_file(slurm_file(**changes))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("jobs: 1\njobs: 2\n", "jobs: stands 2 times, allowed: once"),
        ("- jobs\n", "got list, allowed: a flat mapping"),
        ("", "got NoneType, allowed: a flat mapping"),
        ("jobs: [\n", "not readable as YAML: "),
    ],
)
def test_a_bad_file_for_slurm_is_refused_in_one_line(slurm_file, text, answer):
    file = slurm_file(text)
    with pytest.raises(ParamError) as error:
        read_slurm_file(file)
    assert str(error.value).startswith(f"{file}: {answer}")
    assert "\n" not in str(error.value)


def test_a_file_for_slurm_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ParamError, match=r"nowhere\.yaml: not readable as YAML: .*No such file"):
        read_slurm_file(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("walltime", "seconds"),
    [
        ("00:10:01", 601),
        ("4:00:00", 14400),
        ("99:59:59", 359_999),
        ("7-00:00:00", 604_800),
        (14_400, 14_400),
        (86_400, 86_400),
        (400_000, 400_000),
    ],
)
def test_wall_times_as_slurm_writes_them(slurm_file, walltime, seconds):
    assert read_slurm_file(slurm_file(walltime=walltime)).seconds == seconds


@pytest.fixture
def script(slurm_file, tmp_path, monkeypatch):
    """The job script for a file: its #SBATCH lines as a mapping, its other lines, and its last one as words."""
    monkeypatch.chdir(tmp_path)

    def write(**changes):
        with slurm_cluster(read_slurm_file(slurm_file(interface="lo", **changes))) as cluster:
            lines = cluster.job_script().strip().splitlines()
            address = cluster.scheduler_address
        asked = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]
        rest = [line for line in lines if line.strip() and not line.startswith("#")]
        return (
            {words[0]: words[1] if len(words) > 1 else "" for words in (line.split(maxsplit=1) for line in asked)},
            rest,
            address,
        )

    return write


def option(words, name):
    return words[words.index(name) + 1]


def test_the_job_script_asks_slurm_for_what_the_file_says(script):
    asked, rest, _ = script(
        partition="gpu", account="my-project", options=["--constraint=avx2", "--exclusive"], logs="some/logs",
        before=["module load python", "date"],
    )  # fmt: skip
    assert asked == {
        "-J": "studies", "-e": "some/logs/studies-%J.err", "-o": "some/logs/studies-%J.out", "-p": "gpu", "-A": "my-project",
        "-n": "1", "--cpus-per-task=8": "", "--mem=12G": "", "-t": "1-02:30:00", "--constraint=avx2": "", "--exclusive": "",
    }  # fmt: skip
    assert rest[:2] == ["module load python", "date"]
    assert len(rest) == 3


def test_the_job_script_starts_one_worker_of_this_environment_that_ends_before_its_time(script):
    asked, rest, address = script()
    assert {"-p", "-A"} & asked.keys() == set()
    (line,) = rest
    words = shlex.split(line)
    assert words[:3] == [sys.executable, "-m", "distributed.cli.dask_worker"]
    assert words[3] == address
    assert option(words, "--nthreads") == "4", "runs at a time, not cores"
    assert option(words, "--interface") == "lo"
    assert "--nworkers" not in words
    lifetime, stagger = (int(option(words, name).removesuffix("s")) for name in ("--lifetime", "--lifetime-stagger"))
    assert lifetime == 26.5 * 3600 - 300
    assert lifetime + stagger < 26.5 * 3600
