"""Tidy tables of what figures show: a row for each point, with its 95 % interval (`lib.language.intervals`).

What is measured on the same texts under every mix (margins, nats, bits) has the interval of its change from the negative anchor,
alpha 0: how easy these texts are at all is not in it, nor how far the anchors of one set are off those of another. Scores have
their own.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64

from lib.language import measures
from lib.language.generation import next_tokens
from lib.language.geometry import Map, draw_map, path
from lib.language.intervals import NAN, Drawn, Numbers, Share, draws, means, measured, rows_of
from lib.language.margins import margins
from lib.language.materials import Materials
from lib.language.measures_of_anchors import study_gram
from lib.language.mixing import Mixer
from lib.language.outcome import Outcome
from lib.language.plan import slider_weights
from lib.language.setup import Setup
from lib.language.weights import NEGATIVE, POSITIVE, SIGNS, STABLE
from lib.seeds import Seeds

Counted = Callable[[int, int, str, int], Float64[np.ndarray, "2 P"]]


def _changes(sets: list[dict[float, Numbers]]) -> list[dict[float, Numbers]]:
    """All resamples and all sets of anchors set off so that they begin at one value, the sets' mean at alpha 0."""
    start = float(np.mean([one[0.0][0] for one in sets]))
    return [{at: row - one[0.0] + start for at, row in one.items()} for one in sets]


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
                rows += rows_of(sets, setup.prompts, quantity="score", attribute=name, judge=judge)
        sets = [margins(outcome, "alpha", name, repeat, of_texts) for repeat in outcome.repeats]
        rows += rows_of(_changes(sets), setup.held_out, quantity="margin", attribute=name, judge="")
        for side, quantity in ((POSITIVE, "positive"), (NEGATIVE, "negative")):
            sets = [_side(outcome, name, side, repeat, of_texts) for repeat in outcome.repeats]
            rows += rows_of(_changes(sets), setup.held_out, quantity=quantity, attribute=name, judge="")
        sets = [measures.bits(outcome, name, repeat, of_prose) for repeat in outcome.repeats]
        rows += rows_of(_changes(sets), setup.neutral, quantity="neutral", attribute=name, judge="")
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
            rows += rows_of([{0.0: means(values, drawn)[0]}], n, quantity=quantity, attribute=name)
    return pd.DataFrame(rows).drop(columns="at")


def turn_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """Scores of second halves, as shares of the first judge's gap: columns before, after (alphas), value, low, high, n."""
    _, of_prompts, _ = _draws(setup, seeds)
    sets = [means(outcome.turn(setup.judges[0], repeat), of_prompts) for repeat in outcome.repeats]
    return pd.DataFrame(
        [
            {"before": before, "after": after, **measured([one[before, after] for one in sets], setup.prompts).numbers()}
            for before in (0, 1)
            for after in (0, 1)
        ]
    )


def fluency_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """What is written along each slider: `quantity` written, nats per token that it costs the model without anchors, given the
    prompt, and repetition, the share of words that stand among the four before them; attribute, alpha, value, low, high, n.
    The base's own texts, of the attribute's kind, have no alpha.
    """
    _, of_prompts, _ = _draws(setup, seeds)
    rows: list[dict[str, object]] = []
    (base,) = outcome.curve("base", "").values()
    for quantity, counted in (("written", outcome.costs), ("repetition", outcome.repetitions)):
        for name in setup.attributes:
            curve, kind = outcome.curve("alpha", name), setup.kind(name)
            sets = [_shares_of(counted, curve, repeat, kind, of_prompts) for repeat in outcome.repeats]
            alone = _shares_of(counted, {NAN: base}, 0, kind, of_prompts)
            for each in (sets, [alone]):
                rows += rows_of(each, setup.prompts, quantity=quantity, attribute=name)
    return pd.DataFrame(rows).rename(columns={"at": "alpha"})


def _shares_of(counted: Counted, curve: Mapping[float, int], repeat: int, kind: str, drawn: Drawn) -> dict[float, Share]:
    """What is counted of the texts at each place of a curve, as a share of what there is."""
    return {at: Share(*means(counted(mix, repeat, kind, drawn.shape[1]), drawn)) for at, mix in curve.items()}


def text_table(outcome: Outcome, materials: Materials) -> pd.DataFrame:
    """Everything that whole prompts were continued with: set, group, attribute, value (where the slider stood), opening, text."""
    first = outcome.points.drop_duplicates("mix")
    table = outcome.texts.merge(first, on="mix")
    openings = [materials.prompts[kind][prompt] for kind, prompt in zip(table["kind"], table["prompt"], strict=True)]
    table = table.assign(set=table["repeat"], opening=openings)
    table["value"] = table["value"].mask(table["group"] == "base")  # there is no slider
    return table[["set", "group", "attribute", "value", "opening", "sample", "text"]]


def turned_table(outcome: Outcome, setup: Setup, materials: Materials) -> pd.DataFrame:
    """The texts whose slider was moved half way: set, alpha before and after, opening and both halves."""
    openings = materials.prompts[setup.kind(setup.attributes[0])]
    table = outcome.turned.rename(columns={"repeat": "set"})
    table = table.assign(opening=[openings[prompt] for prompt in table["prompt"]])
    return table[["set", "before", "after", "opening", "first half", "second half"]]


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
            mixer.apply(slider_weights(attribute, alpha))
            chosen |= set(next_tokens(backbone, prefix, top)["id"])
        rows = []
        for alpha in alphas:
            mixer.apply(slider_weights(attribute, alpha))
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
