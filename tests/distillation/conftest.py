"""One small task on real digits and two experts on it, shared by the tests of this room."""

import pytest
from hypothesis import settings

from lib.distillation.experts import train_experts
from lib.distillation.pool import load_task
from lib.nets import MLP
from lib.seeds import Seeds

settings.register_profile("distillation", deadline=None)  # the machine is shared: a slow example is not a failure
settings.load_profile("distillation")

EXPERTS = {"experts": 2, "epochs": [0, 1, 2, 4, 8, 16, 40], "batch_size": 64, "lr": 0.05, "momentum": 0.0}


@pytest.fixture(scope="session")
def digits():
    return load_task("digits")


@pytest.fixture(scope="session")
def net():
    return MLP((64, 64, 10))


@pytest.fixture(scope="session")
def make_experts(digits, net):
    """A function that trains the two experts, with changes."""

    def make(task=digits, net=net, seeds=Seeds(0), **changes):
        return train_experts(task, net, seeds=seeds, **(EXPERTS | changes))

    return make


@pytest.fixture(scope="session")
def experts(make_experts):
    return make_experts()
