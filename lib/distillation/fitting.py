"""One call that trains networks of any kind, and the schedules of the recipes."""

import math
from typing import Any

from torch import Tensor

from lib.distillation.resnet import ResNet
from lib.distillation.singly import train_singly
from lib.nets import Net, Params
from lib.nets.normed_convnet import NormedConvNet
from lib.population import Augment, Population, Schedule, train

DECAY, STAGES, TENTH = 0.3, 4, 0.1


def fit(
    net: Net,
    initial: Params,
    x: Tensor,
    y: Tensor,
    *,
    augment: Augment | None = None,
    partial_targets: bool = False,
    members_at_once: int | None = None,
    **options: Any,
) -> Population:
    """`lib.population.train`; a ResNet's members one after the other (`train_singly`).

    Augmentations work on standardised floats: with one, all of a population's images are made floats at once.
    """
    if isinstance(net, ResNet):
        return train_singly(net, initial, x, y, augment=augment, **options)
    if augment is not None and isinstance(net, NormedConvNet):
        x = net.standardised(x)
    together = {"partial_targets": partial_targets, "members_at_once": members_at_once}
    return train(net, initial, x, y, augment=augment, **together, **options)


def quarterly(steps: int) -> Schedule:
    """The factor on the rate at each step of `steps`: 0.3 to the number of quarters that are over."""
    return lambda step: DECAY ** (STAGES * step // steps)


def cosine(steps: int) -> Schedule:
    """(1 + cos(pi s / steps)) / 2 at step s: from 1 down to nearly 0 [loshchilov2017]."""
    return lambda step: (1 + math.cos(math.pi * step / steps)) / 2


def tenths(every: int) -> Schedule:
    """A tenth of the rate after every so many steps. ValueError for fewer than one."""
    if every < 1:
        raise ValueError(f"every: got {every}, allowed are whole numbers >= 1")
    return lambda step: TENTH ** (step // every)
