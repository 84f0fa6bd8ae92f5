"""One schema, five faces: parameters cell, YAML files, command-line help, explorer controls and sweep axes agree."""

import json
import subprocess
import sys

import papermill
import pytest
import yaml

from lib.studies import SIZES, find, slugs
from lib.studies.faces import parameters_cell, size_title, yaml_text
from lib.studies.params import allowed, choices, limits, type_name

ALL = slugs()


def cells(entry):
    return json.loads(entry.notebook.read_text())["cells"]


@pytest.mark.parametrize("slug", ALL)
def test_parameters_cell_is_the_schema(slug):
    entry = find(slug)
    tagged = [c for c in cells(entry) if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1
    assert "".join(tagged[0]["source"]) == parameters_cell(entry.study.params)
    namespace: dict[str, object] = {}
    exec("".join(tagged[0]["source"]), namespace)
    given = {name: namespace[name] for name in entry.study.params.model_fields}
    assert entry.study.params.parse(given) == entry.size_params("quick")


@pytest.mark.parametrize("slug", ALL)
def test_papermill_sees_the_same_parameters(slug):
    entry = find(slug)
    seen = papermill.inspect_notebook(str(entry.notebook))
    assert list(seen) == list(entry.study.params.model_fields)
    for name, field in entry.study.params.model_fields.items():
        assert seen[name]["inferred_type_name"] == type_name(field)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("slug", ALL)
def test_yaml_files_are_the_schema(slug, size):
    entry = find(slug)
    params = entry.size_params(size)
    assert yaml.safe_load(entry.size_file(size).read_text()) == params.model_dump()
    assert entry.size_file(size).read_text() == yaml_text(entry.study.params, params, size_title(entry, size))


@pytest.mark.parametrize("slug", ALL)
def test_show_names_every_field_and_what_it_takes(slug):
    done = subprocess.run([sys.executable, "-m", "lib.runs.cli", "show", slug], capture_output=True, text=True, check=True)
    for name, field in find(slug).study.params.model_fields.items():
        assert f"  {name}  " in done.stdout
        assert allowed(field) in done.stdout


@pytest.mark.parametrize("slug", ALL)
def test_every_field_is_described_and_bounded(slug):
    """What a sweep axis and an explorer control need to know: a meaning, and either choices or bounds."""
    for name, field in find(slug).study.params.model_fields.items():
        assert field.description, name
        kind = type_name(field)
        assert kind in ("bool", "list", "str") or choices(field) or None not in limits(field), f"{name} has open bounds"


@pytest.mark.parametrize("slug", ALL)
def test_declaration_is_complete(slug):
    study = find(slug).study
    assert set(study.minutes) == set(SIZES)
    assert len(study.claims) >= 4
    assert len({claim.key for claim in study.claims}) == len(study.claims)
    assert study.question.endswith("?")
    assert study.headline in {e.metric for e in study.expected}
