"""Fresh seeds for the random-scaling explorer, trained by the study's own recipe."""

from dataclasses import replace

from numpy.typing import ArrayLike

from lib.emergence.populations import run_scale
from lib.emergence.setup import Setup
from lib.explorers.random_scaling_state import FRESH, Train
from lib.seeds import Seeds


def fresh_seeds(setup: Setup, seeds: Seeds, length: int) -> Train:
    """Trains eight seeds more at the smallest scale, other ones in every batch: their exact match at an exam length.

    Their pool of examples is drawn anew as well. A batch depends on `seeds` and its number alone.
    """

    def train(batch: int) -> ArrayLike:
        few = replace(setup, members=FRESH, checkpoints=1)
        return run_scale(setup.scales[0], few, seeds.child("fresh", batch)).final(length)[0]

    return train
