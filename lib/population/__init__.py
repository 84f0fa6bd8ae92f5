"""Train and evaluate K networks as one tensor program."""

from lib.population.evaluation import evaluate, predict
from lib.population.hyperparameters import Hyperparameters
from lib.population.layout import check_finite, check_same_layout, flatten, stack, unflatten, unstack
from lib.population.losses import IGNORED
from lib.population.streams import Augment
from lib.population.training import Population, Progress, Schedule, train

__all__ = [
    "IGNORED",
    "Augment",
    "Hyperparameters",
    "Population",
    "Progress",
    "Schedule",
    "check_finite",
    "check_same_layout",
    "evaluate",
    "flatten",
    "predict",
    "stack",
    "train",
    "unflatten",
    "unstack",
]
