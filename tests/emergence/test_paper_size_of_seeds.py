"""The paper's own size: everything is built, and its first steps run on a processor, at the smallest width, for two seeds."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from lib.emergence.populations import run_scale
from lib.emergence.setup import Setup
from lib.seeds import Seeds
from lib.studies.registry import HOME


@pytest.fixture(scope="module")
def paper():
    """The setup of params/random-scaling/paper.yaml, but for the device."""
    params = yaml.safe_load((HOME / "params" / "random-scaling" / "paper.yaml").read_text(encoding="utf-8"))
    return Setup.of(params | {"device": "cpu"})


def test_the_paper_size_is_the_papers(paper):
    assert paper.members >= 200
    assert paper.steps == 50_000
    assert (paper.longest, paper.lengths[-1]) == (30, 60)
    assert [paper.net(scale).width // paper.head_width for scale in paper.scales] == [1, 2, 4, 8]
    exam = paper.make_task().evaluation(paper.lengths[-1])
    assert len(exam.inputs) == paper.numbers - 60 + 1


@pytest.mark.parametrize(
    "changes",
    [{}, {"task": "addition", "longest": 35, "lengths": (36, 40)}, {"scale": "layers", "width": 64, "scales": (2, 4)}],
    ids=["count", "addition", "layers"],
)
def test_its_first_steps_run(paper, changes):
    first = replace(paper, **changes, members=2, steps=2, checkpoints=1, rows=64, batch_size=4)
    outcome = run_scale(first.scales[0], first, Seeds(0))
    exact = outcome.final(first.lengths[-1])
    assert exact.shape == (1, 2)
    assert (exact == 0).all()
    classes = len(first.make_task().tokens)
    assert np.abs(outcome.losses["loss"] - np.log(classes)).max() < 1  # it has only just begun
