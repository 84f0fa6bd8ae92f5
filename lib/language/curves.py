"""Tidy tables of what figures show: a row for each point, with its 95 % interval (`lib.language.intervals`).

What is measured on the same texts under every mix (margins, nats, bits) has the interval of its change from the negative anchor,
alpha 0: how easy these texts are at all is not in it. Scores have their own.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd
import torch

from lib.language import measures
from lib.language.generation import next_tokens
from lib.language.geometry import Map, draw_map, path
from lib.language.intervals import Drawn, Numbers, draws, means, measured
from lib.language.materials import Materials
from lib.language.measures_of_anchors import study_gram
from lib.language.mixing import Mixer
from lib.language.outcome import Outcome, distinct, repetition
from lib.language.plan import MIXTURE, SHUFFLED, SWAPPED, slider
from lib.language.setup import Setup
from lib.language.weights import NEGATIVE, POSITIVE, SIGNS, STABLE
from lib.seeds import Seeds


def _rows(sets: Iterable[dict[float, Numbers]], n: int, **facts: object) -> Iterator[dict[str, object]]:
    """A row for each value on the axis: the sets of anchors give one number each."""
    held = list(sets)
    for place in held[0]:
        yield {**facts, "at": place, **measured([one[place] for one in held], n)._asdict()}


def _changes(found: dict[float, Numbers]) -> dict[float, Numbers]:
    """Each resample set off so that all begin at one value."""
    return {at: row - found[0.0] + found[0.0][0] for at, row in found.items()}


def curve_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """Along each slider (`at`, alpha): `quantity` score (by `judge`), margin, positive, negative (nats per token) and neutral
    (bits per byte) of each `attribute`, with value, low, high, n.
    """
    of_texts, of_prompts, of_prose = _draws(setup, seeds)
    rows: list[dict[str, object]] = []
    for name in setup.attributes:
        for judge in setup.judges:
            if np.subtract(*outcome.ends(name, judge)):
                sets = [measures.scores(outcome, setup, name, repeat, of_prompts, judge) for repeat in outcome.repeats]
                rows += _rows(sets, setup.prompts, quantity="score", attribute=name, judge=judge)
        margins = [_changes(measures.slider(outcome, setup, name, repeat, of_texts)) for repeat in outcome.repeats]
        rows += _rows(margins, setup.held_out, quantity="margin", attribute=name, judge="")
        for side, quantity in ((POSITIVE, "positive"), (NEGATIVE, "negative")):
            sets = [_changes(_side(outcome, name, side, repeat, of_texts)) for repeat in outcome.repeats]
            rows += _rows(sets, setup.held_out, quantity=quantity, attribute=name, judge="")
        sets = [_changes(measures.bits(outcome, name, repeat, of_prose)) for repeat in outcome.repeats]
        rows += _rows(sets, setup.neutral, quantity="neutral", attribute=name, judge="")
    return pd.DataFrame(rows).rename(columns={"at": "alpha"})


def _draws(setup: Setup, seeds: Seeds) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counts = {"texts": setup.held_out, "prompts": setup.prompts, "neutral": setup.neutral}
    of_texts, of_prompts, of_prose = (draws(count, seeds.child(name)) for name, count in counts.items())
    return of_texts, of_prompts, of_prose


def _side(outcome: Outcome, attribute: str, side: str, repeat: int, drawn: Drawn) -> dict[float, Numbers]:
    curve = outcome.curve("alpha", attribute)
    return dict(zip(curve, means(outcome.side(list(curve.values()), attribute, side, repeat), drawn), strict=True))


def base_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """The model without anchors: `attribute`, `quantity` score and margin, value, low, high, n."""
    of_texts, of_prompts, _ = _draws(setup, seeds)
    (mix,) = outcome.curve("base", "").values()
    rows: list[dict[str, object]] = []
    for name in setup.attributes:
        found = {
            "score": (outcome.shares([mix], name, setup.judges[0], 0, setup.prompts), of_prompts, setup.prompts),
            "margin": (outcome.margins([mix], name, 0), of_texts, setup.held_out),
        }
        for quantity, (values, drawn, n) in found.items():
            rows += _rows([{0.0: means(values, drawn)[0]}], n, quantity=quantity, attribute=name)
    return pd.DataFrame(rows).drop(columns="at")


def lambda_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """Over lambda: the margin of the attribute that is weighed, as a share of its slider's change: 0 and 1 are its anchors."""
    of_texts, _, _ = _draws(setup, seeds)
    rows: list[dict[str, object]] = []
    for name in setup.attributes:
        sets = [_shares_of_slider(outcome, setup, "lambda", name, repeat, of_texts) for repeat in outcome.repeats]
        rows += _rows(sets, setup.held_out, attribute=name)
    return pd.DataFrame(rows).rename(columns={"at": "lambda"})


def control_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """The first attribute's margin over alpha, as a share of its slider's change, of every control that was run."""
    of_texts, _, _ = _draws(setup, seeds)
    rows: list[dict[str, object]] = []
    first = setup.attributes[0]
    for control in ("alpha", SHUFFLED, SWAPPED, MIXTURE):
        if outcome.curve(control, first):
            sets = [_shares_of_slider(outcome, setup, control, first, repeat, of_texts) for repeat in outcome.repeats]
            rows += _rows(sets, setup.held_out, control=control)
    return pd.DataFrame(rows).rename(columns={"at": "alpha"})


def _shares_of_slider(outcome: Outcome, setup: Setup, group: str, name: str, repeat: int, drawn: Drawn) -> dict[float, Numbers]:
    m, curve = measures.slider(outcome, setup, name, repeat, drawn), outcome.curve(group, name)
    values = means(outcome.margins(list(curve.values()), name, repeat), drawn)
    change = m[1.0][0] - m[0.0][0]  # one scale for all resamples
    return {at: (row - m[0.0]) / change for at, row in zip(curve, values, strict=True)}


def entanglement_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """E[i, j] by margin and, where joint mixes wrote, by score: columns by, moved, read, value, low, high, n."""
    counts = {"margin": setup.held_out} | ({"score": setup.joint_prompts} if setup.joint_prompts else {})
    rows: list[dict[str, object]] = []
    for by, n in counts.items():
        drawn = draws(n, seeds.child(by))
        sets = [measures.entanglement(outcome, setup, repeat, drawn, by) for repeat in outcome.repeats]
        for i, moved in enumerate(setup.attributes):
            for j, read in enumerate(setup.attributes):
                rows.append({"by": by, "moved": moved, "read": read, **measured([one[i, j] for one in sets], n)._asdict()})
    return pd.DataFrame(rows)


def turn_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """Scores of second halves, as shares of the first judge's gap: columns before, after (alphas), value, low, high, n."""
    _, of_prompts, _ = _draws(setup, seeds)
    sets = [means(outcome.turn(setup.judges[0], repeat), of_prompts) for repeat in outcome.repeats]
    return pd.DataFrame(
        [
            {"before": before, "after": after, **measured([one[before, after] for one in sets], setup.prompts)._asdict()}
            for before in (0, 1)
            for after in (0, 1)
        ]
    )


def fluency_table(outcome: Outcome, setup: Setup) -> pd.DataFrame:
    """Along each slider: `distinct` (share of different pairs of words) and `repetition`, mean over sets of anchors."""
    statistics: dict[str, Callable[[list[str]], float]] = {"distinct": distinct, "repetition": repetition}
    rows = []
    for name in setup.attributes:
        for alpha, mix in outcome.curve("alpha", name).items():
            written = [outcome.written(mix, repeat) for repeat in outcome.repeats]
            found = {key: float(np.mean([statistic(texts) for texts in written])) for key, statistic in statistics.items()}
            rows.append({"attribute": name, "alpha": alpha, **found})
    return pd.DataFrame(rows)


def token_table(
    outcome: Outcome, materials: Materials, attribute: str, prefix: str, alphas: Iterable[float], top: int = 4
) -> pd.DataFrame:
    """P(next token | prefix) along a slider, without any sampling: columns alpha, token, probability.

    The tokens are the likeliest ones at any of the alphas.
    """
    alphas, backbone = list(alphas), materials.backbone
    with Mixer(backbone, outcome.anchors[0]) as mixer:
        chosen: set[int] = set()
        for alpha in alphas:
            mixer.apply(slider(attribute, alpha))
            chosen |= set(next_tokens(backbone, prefix, top)["id"])
        rows = []
        for alpha in alphas:
            mixer.apply(slider(attribute, alpha))
            table = next_tokens(backbone, prefix, 1, also=sorted(chosen))
            rows.append(table[table["id"].isin(chosen)].assign(alpha=alpha))
    return pd.concat(rows, ignore_index=True)[["alpha", "token", "id", "probability"]]


def map_of(outcome: Outcome, setup: Setup, repeat: int = 0) -> tuple[pd.DataFrame, Map]:
    """A map in the plane of the base, all anchors and the mixes between them: columns attribute, alpha, x, y; the base, whose
    attribute is empty, stands at the origin.
    """
    products = study_gram(outcome, setup, repeat)
    alphas = [alpha for alpha in setup.path if STABLE[0] <= alpha <= STABLE[1]]  # farther ones would make the anchors tiny
    places = [("", 0.0)] + [(name, alpha) for name in setup.attributes for alpha in alphas]
    rows = [path(products.names, (name, SIGNS[1]), (name, SIGNS[0]), alphas) for name in setup.attributes]
    base = torch.zeros(1, len(products.names), dtype=torch.float64)
    found = draw_map(products.distances(torch.cat([base, *rows])))
    points = found.points - found.points[0]
    table = pd.DataFrame(places, columns=["attribute", "alpha"]).assign(x=points[:, 0], y=points[:, 1])
    return table, found
