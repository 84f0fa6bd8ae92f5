"""A small scene for the tests of the lm-interpolation explorer: the tiny model, anchors trained for seconds, real judges.

Run as a script by the tests in Python, and as a notebook's cell by those in the browser; both use `scene`.
"""

from itertools import product

import numpy as np
import pandas as pd

from lib.explorers.lm_interpolation_scene import scene_of
from lib.language.attributes import load_attribute
from lib.language.backbone import tiny_backbone
from lib.language.scorers import NgramScorer
from lib.language.training import Recipe, train_anchors
from lib.seeds import Seeds

SEEDS, NAMES = Seeds(11), ("generated-sentiment", "generated-politeness")
SIZES = {"anchors": 60, "scorer": 60, "held_out": 5}
PROMPTS = ("The old farmer", "Anna went to see the bridge", "My sister could not find")

backbone = tiny_backbone()
data = {name: load_attribute(name, SEEDS.child(name), SIZES) for name in NAMES}
corpora = {}
for name, each in data.items():
    corpora |= {(name, "+"): each.anchors.positive, (name, "-"): each.anchors.negative}
recipe = Recipe(rank=4, lr=2e-2, steps=25, batch=8, block=32, precision="full")
adapters = train_anchors(backbone, corpora, recipe, SEEDS.child("anchors"))
scorers = {name: NgramScorer.fit(each.scorer, SEEDS.child("scorer", name)) for name, each in data.items()}
# Made up, since the tiny model writes no words; the other attribute rises a little along.
alphas = np.linspace(-0.5, 1.5, 9)
curves = pd.DataFrame(
    [
        {"moved": moved, "scored": scored, "alpha": alpha, "score": 0.5 + (0.3 if moved == scored else 0.05) * (alpha - 0.5)}
        for moved, scored, alpha in product(NAMES, NAMES, alphas)
    ]
)
ends = {}
for name, each in data.items():
    ends[name] = tuple(float(scorers[name].score(side).mean()) for side in (each.held_out.negative, each.held_out.positive))
scene = scene_of(
    backbone, adapters, scorers, ends, curves, PROMPTS, seeds=SEEDS.child("explorer"), tokens=16, measured="made up for the tests"
)
