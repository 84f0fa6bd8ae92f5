"""The same work has the same id; a change that matters changes it, a change elsewhere does not."""

import json
import shutil

import pytest

from lib.runs import identity
from lib.runs.identity import reachable, run_id
from lib.studies import find


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the tests' home folder that a test may change."""
    from tests.conftest import HOME

    shutil.copytree(HOME, tmp_path / "home", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("STUDIES_PATH", str(tmp_path / "home"))
    return find("tiny")


def quick_id(entry):
    return run_id(entry, entry.size_params("quick"))


def test_parameters_decide(copy):
    ids = {run_id(copy, copy.study.params(seed=seed)) for seed in range(5)}
    assert len(ids) == 5
    assert quick_id(copy) == run_id(copy, copy.study.params())


def test_outputs_and_metadata_of_the_notebook_do_not_matter_but_its_sources_do(copy):
    before = quick_id(copy)
    notebook = json.loads(copy.notebook.read_text())
    notebook["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["hello"]}]
    notebook["cells"][1]["execution_count"] = 7
    copy.notebook.write_text(json.dumps(notebook))
    assert quick_id(copy) == before
    notebook["cells"][-1]["source"] = [*notebook["cells"][-1]["source"], "\n# a remark"]
    copy.notebook.write_text(json.dumps(notebook))
    assert quick_id(copy) != before


def test_the_declaration_matters(copy):
    before = quick_id(copy)
    copy.source.write_text(copy.source.read_text() + "\n# a remark\n")
    assert quick_id(copy) != before


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of lib whose files a test may change."""
    shutil.copytree(identity.PACKAGE, tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(identity, "PACKAGE", tmp_path / "lib")
    return tmp_path / "lib"


def test_reached_modules_matter_and_others_do_not(tiny, package):
    before = quick_id(tiny)
    (package / "runs" / "cli.py").write_text("# changed\n")
    assert quick_id(tiny) == before
    seeds = package / "seeds.py"
    seeds.write_text(seeds.read_text() + "\n# changed\n")
    assert quick_id(tiny) != before


def test_imports_are_followed_transitively_and_lazily(package):
    (package / "a.py").write_text("def f():\n    from lib.b import g\n")
    (package / "b.py").write_text("import lib.c as c\n")
    (package / "c.py").write_text("x = 1\n")
    assert {"lib.a", "lib.b", "lib.c"} <= reachable(["from lib import a"]).keys()
    assert "lib.c" not in reachable(["import torch"])


def test_ids_do_not_depend_on_where_the_folder_lies(copy, tiny):
    assert quick_id(copy) == quick_id(tiny)
