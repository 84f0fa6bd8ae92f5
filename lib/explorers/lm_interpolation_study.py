"""The scene of the lm-interpolation explorer, out of the study's own results."""

import pandas as pd

from lib.explorers.lm_interpolation_scene import COLUMNS, Scene, scene_of
from lib.language.materials import Materials
from lib.language.outcome import Outcome
from lib.language.setup import Setup
from lib.language.weights import SIGNS
from lib.seeds import Seeds

PROMPTS = 5  # of each kind


def study_scene(materials: Materials, outcome: Outcome, setup: Setup, seeds: Seeds) -> Scene:
    """The study's attributes with the anchors of its first repeat, the judge that counts, and the curves of single sliders.

    Errors as `scene_of`'s.
    """
    judge = setup.judges[0]
    return scene_of(
        materials.backbone,
        {(name, sign): outcome.anchors[0][name, sign] for name in setup.attributes for sign in SIGNS},
        {name: materials.styles[name].judges[judge] for name in setup.attributes},
        {name: outcome.ends(name, judge) for name in setup.attributes},
        measured_curves(outcome, setup),
        [prompt for kind in materials.prompts.values() for prompt in kind[:PROMPTS]],
        seeds=seeds,
        tokens=setup.tokens,
        temperature=setup.temperature,
        measured=f"judge: {judge}; {setup.prompts} prompts, {setup.tokens} tokens, temperature {setup.temperature:g}",
    )


def measured_curves(outcome: Outcome, setup: Setup) -> pd.DataFrame:
    """moved, scored, alpha, score: means over the first repeat's texts, by the judge that counts; moved is empty for the base."""
    scores, points = outcome.scores, outcome.points
    chosen = scores[(scores["repeat"] == 0) & (scores["judge"] == setup.judges[0])].rename(columns={"attribute": "scored"})
    means = chosen.groupby(["mix", "scored"], as_index=False)["score"].mean()
    alone = points[points["group"].isin(["alpha", "base"])].rename(columns={"attribute": "moved", "value": "alpha"})
    return means.merge(alone, on="mix")[list(COLUMNS)]
