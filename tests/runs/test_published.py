"""The stored run of a study, as notebooks open it."""

import pandas as pd
import pytest

import lib.runs.published
from lib.runs.published import published_run
from tests.runs.stored_runs import patch, shelve


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """The folder of published results of a suite of our own."""
    monkeypatch.setattr(lib.runs.published, "HOME", tmp_path)
    return tmp_path / "outputs" / "published"


def test_the_largest_then_the_latest_run_of_the_study_is_opened(stored):
    shelve(stored / "alpha" / "small", size="quick", hours=2)
    shelve(stored / "alpha" / "old", size="laptop")
    shelve(stored / "alpha" / "new", size="laptop", hours=1)
    shelve(stored / "beta" / "other", study="beta", size="paper")
    assert published_run("alpha").folder.name == "new"


def test_its_tables_are_read_by_name(stored):
    shelve(stored / "alpha" / "run")
    folder = stored / "alpha" / "run"
    (folder / "tables").mkdir(exist_ok=True)
    frame = pd.DataFrame({"scale": [8, 16], "exact": [0.25, 0.5]})
    frame.to_parquet(folder / "tables" / "seeds.parquet")
    pd.testing.assert_frame_equal(published_run("alpha").table("seeds"), frame)
    with pytest.raises(ValueError, match=r"table: got 'sedes', but .* has seeds"):
        published_run("alpha").table("sedes")


def test_a_study_without_one_is_told_who_has_one(stored):
    with pytest.raises(ValueError, match="study: got 'alpha', which has no published run; there is none at all"):
        published_run("alpha")
    shelve(stored / "beta" / "run", study="beta")
    (stored / "alpha" / "sweeps" / "0123").mkdir(parents=True)
    with pytest.raises(ValueError, match="which has no published run; there are runs of beta"):
        published_run("alpha")


def test_a_damaged_one_is_named(stored):
    shelve(stored / "alpha" / "run")
    patch(stored / "alpha" / "run" / "results.json", schema=7)
    with pytest.raises(ValueError, match=r"study: .*results.json: schema"):
        published_run("alpha")
