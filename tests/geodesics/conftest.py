"""One small transfer experiment on real digits, shared by the tests of this room."""

import pytest
import torch
from hypothesis import settings

from lib.geodesics.transfer import Setup, make_trial, run_transfer
from lib.seeds import Seeds

settings.register_profile("geodesics", deadline=None)  # the machine is shared: a slow example is not a failure
settings.load_profile("geodesics")

SMALL = {
    "task": "mnist-from-digits", "shots": 3, "pool_size": 60, "source_size": 80, "lam_x": 1.0, "lam_y": 1.0,
    "label_method": "means", "projection": "barycentric", "neural": False, "neural_steps": 5, "width": 16, "depth": 1,
    "steps": 40, "batch_size": 32, "rate": 1e-2, "tune_steps": 40, "tune_rate": 1e-2, "segments": 2, "repeats": 2,
    "members_at_once": 64, "part": "validation", "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="session")
def small():
    """A function that gives the small setup with changes."""
    return lambda **changes: Setup.of(SMALL | changes)


@pytest.fixture(scope="session")
def transfer(small):
    return run_transfer(small(), Seeds(0))


@pytest.fixture(scope="session")
def trial(small):
    return make_trial(small(), Seeds(0).child("repeat", 0), torch.device("cpu"))
