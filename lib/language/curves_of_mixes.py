"""Tidy tables of mixes of several attributes and of controls: a row for each point, with its 95 % interval."""

import pandas as pd

from lib.language.intervals import NAN, Drawn, Share, draws, means, rows_of
from lib.language.margins import change, margins
from lib.language.measures_of_anchors import geometry_measurements
from lib.language.measures_of_mixes import entanglement, tied_numbers
from lib.language.outcome import Outcome
from lib.language.plan import MIXTURE, SHUFFLED, SWAPPED, simplex
from lib.language.setup import Setup
from lib.seeds import Seeds


def lambda_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """Over lambda: how near the margin of the attribute that is weighed has come to that of its positive anchor, lambda 1, as a
    share of its slider's change; the negative anchor is at 0.
    """
    of_texts = draws(setup.held_out, seeds.child("texts"))
    rows: list[dict[str, object]] = []
    for name in setup.attributes:
        sets = [_near_anchor(outcome, name, repeat, of_texts) for repeat in outcome.repeats]
        rows += rows_of(sets, setup.held_out, attribute=name)
    return pd.DataFrame(rows).rename(columns={"at": "lambda"})


def _near_anchor(outcome: Outcome, name: str, repeat: int, drawn: Drawn) -> dict[float, Share]:
    unit, anchor = change(outcome, name, repeat, drawn), margins(outcome, "alpha", name, repeat, drawn)[1.0]
    found = margins(outcome, "lambda", name, repeat, drawn)
    return {at: Share(row - anchor + unit, unit) for at, row in found.items()}


def control_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """The first attribute's margin over alpha, from 0 at alpha 0 on, as a share of its slider's change: its own slider (`control`
    alpha), every control that was run, each from its own start, and anchors trained on mixtures and the base (no alpha), from
    the slider's.
    """
    of_texts = draws(setup.held_out, seeds.child("texts"))
    rows: list[dict[str, object]] = []
    first = setup.attributes[0]
    for control, own in (("alpha", "alpha"), (SHUFFLED, SHUFFLED), (SWAPPED, SWAPPED), (MIXTURE, "alpha"), ("base", "alpha")):
        if outcome.curve(control, first if control != "base" else ""):
            sets = [_from_start(outcome, control, own, first, repeat, of_texts) for repeat in outcome.repeats]
            rows += rows_of(sets, setup.held_out, control=control)
    return pd.DataFrame(rows).rename(columns={"at": "alpha"})


def _from_start(outcome: Outcome, group: str, own: str, name: str, repeat: int, drawn: Drawn) -> dict[float, Share]:
    """A curve from where the curve `own` has alpha 0."""
    unit, start = change(outcome, name, repeat, drawn), margins(outcome, own, name, repeat, drawn)[0.0]
    if group == "base":
        (mix,) = outcome.curve("base", "").values()
        return {NAN: Share(means(outcome.margins([mix], name, repeat), drawn)[0] - start, unit)}
    return {at: Share(row - start, unit) for at, row in margins(outcome, group, name, repeat, drawn).items()}


def simplex_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """Mixes of the positive anchors alone: a column for the lambda of each attribute, `read`, whose margin is told as a share of
    its own slider's change (0 its negative, 1 its positive anchor), value, low, high, n. Empty without such mixes.
    """
    of_texts = draws(setup.held_out, seeds.child("texts"))
    rows: list[dict[str, object]] = []
    curve = outcome.curve("simplex", "")
    places = simplex(len(setup.attributes), setup.simplex_steps) if curve else []
    for name in setup.attributes:
        sets = [_over_simplex(outcome, name, repeat, of_texts) for repeat in outcome.repeats]
        for k, row in enumerate(rows_of(sets, setup.held_out, read=name)):
            rows.append(dict(zip(setup.attributes, places[k], strict=True)) | row)
    return pd.DataFrame(rows).drop(columns="at", errors="ignore")


def _over_simplex(outcome: Outcome, name: str, repeat: int, drawn: Drawn) -> dict[float, Share]:
    curve, m = outcome.curve("simplex", ""), margins(outcome, "alpha", name, repeat, drawn)
    if not curve:
        return {}
    values = means(outcome.margins(list(curve.values()), name, repeat), drawn)
    return {at: Share(row - m[0.0], m[1.0] - m[0.0]) for at, row in zip(curve, values, strict=True)}


def entanglement_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """E[i, j] by margin and, where joint mixes wrote, by score: columns by, moved, read, value, low, high, n; NaN: undefined."""
    counts = {"margin": setup.held_out} | ({"score": setup.joint_prompts} if setup.joint_prompts else {})
    rows: list[dict[str, object]] = []
    for by, n in counts.items():
        found = entanglement(outcome, setup, draws(n, seeds.child({"margin": "texts", "score": "joint"}[by])), by)
        rows += [{"by": by, "moved": i, "read": j, **one.numbers()} for (i, j), one in found.items()]
    return pd.DataFrame(rows)


def tied_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """How far formality moves with politeness (`quantity` share) and the cosine of their directions, in the two families of
    generated requests and their `difference`: columns quantity, group, value, low, high, n.
    """
    of_texts = draws(setup.held_out, seeds.child("texts"))
    found = tied_numbers(outcome, setup, of_texts) | geometry_measurements(outcome, setup)
    names = {"apart": "apart", "tied": "tied", "difference": "tied-apart"}
    return pd.DataFrame(
        [
            {"quantity": quantity, "group": group, **found[f"{name}/{quantity}"].numbers()}
            for quantity in ("share", "cosine")
            for group, name in names.items()
        ]
    )
