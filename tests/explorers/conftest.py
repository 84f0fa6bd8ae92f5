"""Scenes that the tests of the dataset-geodesics explorers share: small digits, points in space and points in the plane."""

import pytest
import torch

from lib.data import make_domain, tensors
from lib.explorers.dataset_geodesics_state import Measured, Scene
from lib.geodesics.toy import toy
from lib.seeds import Seeds
from lib.transport.dataset_distance import Settings
from lib.transport.labels import labelled
from lib.transport.weights import simplex_grid

SEEDS = Seeds(5)
DOMAINS = {"base": "rotate-right", "0-4 rotated": "rotate-left", "5-9 inverted": "invert", "noisy": "noise"}
CLASSES = {"base": range(10), "0-4 rotated": range(5), "5-9 inverted": range(5, 10), "noisy": range(10)}


@pytest.fixture(scope="session")
def digits():
    """Three disjoint parts of the digits as sources, a fourth as base, of sizes that differ: no coupling is one to one."""
    images, labels = tensors("digits")
    sets = {}
    for i, (name, domain) in enumerate(DOMAINS.items()):
        rows = torch.isin(labels, torch.tensor(list(CLASSES[name]))).nonzero()[:, 0]
        rows = rows[i::4][: 60 + 7 * i]
        sets[name] = labelled(make_domain(images[rows], domain, SEEDS.child(name)).flatten(1), labels[rows])
    base, grid = sets.pop("base"), simplex_grid(3, 6)
    measured = Measured(grid, 60 + 10 * grid[:, 0] + 20 * grid[:, 2], 5)
    return Scene.of(base, sets, shape=(8, 8), measured=measured, seeds=SEEDS)


@pytest.fixture(scope="session")
def edge(digits):
    """Two sources of images, without measured accuracies."""
    return Scene.of(digits.base, dict(list(digits.sources.items())[:2]), shape=(8, 8), seeds=SEEDS)


@pytest.fixture(scope="session")
def space():
    """The authors' toy: points in space."""
    base, sources = toy(SEEDS, 40)
    return Scene.of(base, dict(zip(("P1", "P2", "P3"), sources, strict=True)), settings=Settings(lam_y=0.1), seeds=SEEDS)


@pytest.fixture(scope="session")
def translates():
    """A base in the plane and three shifted copies of it, with the same labels: f is known in closed form."""
    x = torch.tensor([[0.0, 0], [0, 2], [40, 0], [40, 2], [80, 1], [80, 3]], dtype=torch.float64)
    y = [0, 0, 1, 1, 2, 2]
    shifts = {"right": (3.0, 0.0), "up": (-1.0, 2.0), "down": (-1.0, -2.0)}
    sources = {name: labelled(x + torch.tensor(shift, dtype=torch.float64), y) for name, shift in shifts.items()}
    return Scene.of(labelled(x, y), sources, settings=Settings(lam_y=0.01), seeds=SEEDS)
