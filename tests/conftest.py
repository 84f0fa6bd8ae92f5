"""Fixtures that all rooms share. Outputs are a test's own; the data cache is the user's, so that nothing is fetched twice."""

import os
import signal
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.runs.sweeping")  # a check that fails there says what it found

HOME = Path(__file__).parent / "home"


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """An empty outputs folder that runs of this test write to."""
    folder = tmp_path / "outputs"
    monkeypatch.setenv("STUDIES_OUTPUTS", str(folder))
    return folder


@pytest.fixture
def tiny(monkeypatch):
    """The study that exists only in the tests."""
    monkeypatch.setenv("STUDIES_PATH", str(HOME))
    from lib.studies import find

    return find("tiny")


def pytest_configure(config):
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers side by side, a core each
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell; what tests start would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
