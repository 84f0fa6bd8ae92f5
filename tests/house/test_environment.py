"""One environment: pyproject names it, the lock pins it, conda and make install it, and it is what runs here."""

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distributions, entry_points, requires

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from lib.studies.registry import HOME

PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (HOME / "requirements.lock").read_text(encoding="utf-8").splitlines()
PINS = {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in LOCK}
DEPENDENCIES = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
TARGETS = ("setup", "run", "test", "lab", "demo", "bench")
READY = ".venv/.ready"


def test_lock_is_exact_pins_only():
    """No address, hash, option, comment, marker or local version label: nothing that ties it to a machine or an index."""
    pin = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9]+(\.[0-9]+)*((a|b|rc|\.post|\.dev)[0-9]+)*")
    assert [line for line in LOCK if not pin.fullmatch(line)] == []


def test_lock_is_sorted_and_each_package_stands_once():
    names = [line.partition("==")[0].lower() for line in LOCK]
    assert names == sorted(names)
    assert len(PINS) == len(LOCK)


def test_lock_pins_what_pyproject_asks_for():
    wanted = {canonicalize_name(need.name): need for need in map(Requirement, DEPENDENCIES)}
    assert wanted.keys() - PINS.keys() == set()
    assert {name: PINS[name] for name, need in wanted.items() if Version(PINS[name]) not in need.specifier} == {}


def test_lock_is_what_is_installed():
    """Local labels aside: a build of torch for the processor calls itself 2.x+cpu."""
    installed = {canonicalize_name(d.name): d.version.partition("+")[0] for d in distributions()}
    assert {name: installed.get(name, "missing") for name in PINS} == PINS


def test_lock_is_closed():
    """Whatever the dependencies need on this machine is pinned too.

    Left out: GPU libraries, which come with torch's own build, and setuptools, which comes with the virtual environment.
    """
    given = re.compile(r"nvidia-|cuda-|triton|setuptools$")
    waiting, seen, loose = [(Requirement(text), "") for text in DEPENDENCIES], set(), set()
    while waiting:
        wanted, parent = waiting.pop()
        name = canonicalize_name(wanted.name)
        if given.match(name) or (name, frozenset(wanted.extras)) in seen:
            continue
        seen.add((name, frozenset(wanted.extras)))
        if name not in PINS:
            loose.add(f"{name} (for {parent})")
        for text in _needs(name):
            need = Requirement(text)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)):
                waiting.append((need, name))
    assert loose == set()


def _needs(name):
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def test_conda_environment_installs_the_lock_and_the_package():
    conda = yaml.safe_load((HOME / "environment.yml").read_text(encoding="utf-8"))
    plain = [item for item in conda["dependencies"] if isinstance(item, str)]
    (by_pip,) = [item["pip"] for item in conda["dependencies"] if isinstance(item, dict)]
    assert plain == [f"python{PROJECT['requires-python']}", "pip"]
    assert by_pip == ["-r requirements.lock", "-e ."]


def test_command_studies_is_declared_and_installed():
    assert PROJECT["scripts"] == {"studies": "lib.runs.cli:main"}
    (command,) = entry_points(group="console_scripts", name="studies")
    assert command.value == PROJECT["scripts"]["studies"]
    assert callable(command.load())


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile and what it watches; its environment was made after the last change."""
    for number, name in enumerate(("Makefile", "requirements.lock", "pyproject.toml")):
        shutil.copy(HOME / name, tmp_path / name)
        os.utime(tmp_path / name, (1000 + number, 1000 + number))
    (tmp_path / ".venv").mkdir()
    (tmp_path / READY).touch()
    os.utime(tmp_path / READY, (2000, 2000))
    return tmp_path


def dry(folder, target):
    """The commands that `make target` would run."""
    clean = os.environ | {"MAKEFLAGS": ""}  # make test itself may have started us
    done = subprocess.run(["make", "--dry-run", target], cwd=folder, capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stderr
    return done.stdout


def installs(text):
    return "pip install" in text or "-m venv" in text


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_makes_the_environment_first_where_it_is_missing(checkout, target):
    (checkout / READY).unlink()
    assert installs(dry(checkout, target))


@pytest.mark.parametrize("target", TARGETS)
def test_a_second_call_installs_nothing(checkout, target):
    assert not installs(dry(checkout, target))


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_list_of_packages_is_installed(checkout, name):
    os.utime(checkout / name, (3000, 3000))
    assert installs(dry(checkout, "run"))


def test_the_commands_of_the_readme_are_targets():
    words = (HOME / "README.md").read_text(encoding="utf-8")
    rules = re.findall(r"^([a-z-]+):", (HOME / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", words, re.DOTALL))
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)\b", code))
    assert len(named) >= 2, "the README names its two commands"
    assert named <= set(rules)


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("lib/runs/cli.py", False), ("lib/data/new.py", False), ("notebooks/new.ipynb", False), ("params/new/test.yaml", False),
        ("outputs/index.html", True), ("outputs/tiny/0123456789ab/results.json", True), ("outputs/benchmarks.json", True),
        ("outputs/published/weight-ensembles/one/results.json", False), ("outputs/published/new.png", False),
        (".venv/bin/python", True), ("lib/__pycache__/x.pyc", True),
    ],
)  # fmt: skip
def test_git_keeps_the_sources_and_leaves_out_what_is_made(path, ignored):
    if not (HOME / ".git").exists():
        pytest.skip("not a git checkout")
    words = ["git", "-c", f"core.excludesFile={os.devnull}", "check-ignore", "--quiet", "--no-index", path]
    assert subprocess.run(words, cwd=HOME).returncode == (0 if ignored else 1)


@pytest.mark.xdist_group("the-groups-are-kept")
def test_tests_of_a_group_stay_with_one_worker(request):
    """Under xdist a group's name ends the test's id; where it does not, tests that need the machine alone run side by side."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("there is one worker only")
    assert request.node.nodeid.endswith("@the-groups-are-kept")
