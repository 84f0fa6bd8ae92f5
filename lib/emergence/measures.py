"""The numbers that the study's claims rest on. They are of one population, and its seeds are the repeats: the bootstrap resamples
them, 1000 times.

The exam length and the scale of the two clusters are chosen once, on all seeds, and kept in the resamples. The largest of several
values is too large on average, which no interval here corrects.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64

from lib.emergence.companion import Companion
from lib.emergence.curves import affordable_seeds, looks_emergent, pick_seeds
from lib.emergence.dip import LEAST_VALUES
from lib.emergence.distances import scale_distances
from lib.emergence.intervals import (
    NAN,
    Drawn,
    Measured,
    Runs,
    bare,
    changes,
    draws,
    incomplete,
    modes,
    rank_correlations,
    resampled,
    sound_seeds,
    success,
)  # fmt: skip
from lib.emergence.outcome import Outcome
from lib.emergence.setup import Setup
from lib.emergence.shapes import sarle, shape_statistics, two_means
from lib.emergence.statistics import seed_statistics
from lib.seeds import Seeds

FAILED, WON = 0.2, 0.6  # exact match below and above which a run lies in one of the two clusters
SOLVED = 0.95  # exact match on a trained length
STARTS, ENDS, MIXED = 0.15, 0.5, (0.2, 0.8)  # P(success) at the first, the last and some scale of a calibrated exam
AFFORD = (1, 3, 5)
FEWEST_SUCCESSES = 3  # of which a mean says something
CHOICES = 200  # of those seeds, within a resample

Measurements = dict[str, Measured]


class MainLength(NamedTuple):
    """An exam `length` and, in words, the `rule` that chose it."""

    length: int
    rule: str


def measurements(outcome: Outcome, setup: Setup, seeds: Seeds) -> Measurements:
    """All numbers at the `main_length`, by name; seeds that diverged at some scale are left out at all of them.

    `diverged`: share of the runs that did. `exam/length`: the main length. `trained/solved`: share of seeds with an exact match
    of 0.95 or more at the largest scale, on the longest exam within the trained lengths, `trained/length` (NaN without).
    Errors: ValueError where every seed diverged at some scale.
    """
    sound, lost = sound_seeds(outcome), incomplete(outcome)
    length, scales = main_length(sound, setup).length, sound.scales
    runs = sound.final(length)
    drawn = draws(runs.shape[1], seeds.child("resamples"))
    found = {"diverged": bare(lost.to_numpy().mean(), len(lost)), "exam/length": bare(length, runs.shape[1])}
    found |= trained_measurements(sound, setup, drawn)
    found |= bimodal_measurements(sound, setup, length, drawn, seeds.child("uniform"))
    found |= mode_measurements(runs, scales, setup.tau, drawn) | trend_measurements(runs, setup.tau, drawn)
    found |= distance_measurements(runs, scales, setup.tau, drawn) | picked_measurements(runs)
    return found | affordable_measurements(runs, scales, drawn, seeds.child("affordable"))


def main_length(outcome: Outcome, setup: Setup) -> MainLength:
    """The exam that the claims are judged at. It is calibrated if over the scales P(success) starts below 0.15, ends above 0.5
    and lies within 0.2..0.8 somewhere. Of calibrated lengths, of those beyond training if there are any, and of all lengths if
    none is calibrated, it is the one whose P(success) varies most, the shortest of equal ones.
    """
    sound = sound_seeds(outcome)
    shares = {length: (sound.final(length) > setup.tau).mean(1) for length in sound.lengths}
    calibrated = [length for length, p in shares.items() if _calibrated(p)]
    beyond = [length for length in calibrated if length > setup.longest]
    length = max(beyond or calibrated or shares, key=lambda each: np.ptp(shares[each]))
    kind = "calibrated, beyond the trained lengths" if beyond else "calibrated" if calibrated else "no length is calibrated"
    return MainLength(length, f"{kind}; P(success) varies most, by {np.ptp(shares[length]):.2f}")


def success_table(outcome: Outcome, setup: Setup, length: int, seeds: Seeds) -> pd.DataFrame:
    """`seed_statistics` of the exact match at one length, without diverged seeds."""
    return seed_statistics(sound_seeds(outcome).final(length), outcome.scales, seeds=seeds, tau=setup.tau)


def distance_table(outcome: Outcome, length: int, seeds: Seeds) -> pd.DataFrame:
    """`scale_distances` of the exact match at one length for p = 1 and 2, without diverged seeds."""
    runs = sound_seeds(outcome).final(length)
    return pd.concat([scale_distances(runs, outcome.scales, seeds=seeds, p=p) for p in (1, 2)], ignore_index=True)


def bimodal_scale(runs: Runs, tau: float | int) -> int:
    """The place of the scale whose smaller cluster is largest: the smaller of the shares below 0.2 and above 0.6; of equal ones
    the scale with P(success) nearest to 1/2, then the smaller. What lies between the clusters has no say.
    """
    smaller = np.minimum((runs < FAILED).mean(1), (runs > WON).mean(1))
    return int(np.lexsort((np.abs((runs > tau).mean(1) - 0.5), -smaller))[0])


def bimodal_measurements(outcome: Outcome, setup: Setup, length: int, drawn: Drawn, seeds: Seeds) -> Measurements:
    """Two clusters at the `bimodal_scale`, `bimodal/scale`? Also in nll, and not in the final training loss, as a control?

    `bimodal/below`, `/between`, `/above`: shares of seeds with an exact match below 0.2, within 0.2..0.6, above 0.6.
    `bimodal/...`, `nll/...`, `loss/...` of exact match, nll and loss there: as in `shape_measurements`. `bimodal/dip_p_any`: the
    p-value times the number of scales (at most 1), as the scale was chosen.
    """
    runs, levels = outcome.final(length), setup.questions(length)
    place, count = bimodal_scale(runs, setup.tau), runs.shape[1]
    exact = runs[place][drawn]
    parts = {"below": exact < FAILED, "between": (exact >= FAILED) & (exact <= WON), "above": exact > WON}
    found = {"bimodal/scale": bare(outcome.scales[place], count)}
    found |= {f"bimodal/{name}": resampled(part.mean(1), count) for name, part in parts.items()}
    loss = outcome.losses.pivot(index="scale", columns="seed", values="loss").to_numpy(np.float64)
    rows = {"bimodal": (runs, levels), "nll": (outcome.final(length, "nll"), None), "loss": (loss, None)}
    for name, (values, steps) in rows.items():
        found |= {f"{name}/{key}": value for key, value in shape_measurements(values[place], drawn, seeds, steps).items()}
    return found | {"bimodal/dip_p_any": bare(np.minimum(1.0, found["bimodal/dip_p"].value * len(runs)), count)}


def shape_measurements(values: Float64[np.ndarray, "K"], drawn: Drawn, seeds: Seeds, levels: int | None) -> Measurements:
    """`dip`, `dip_p` (`dip_test`), `sarle`, `explained` and `gap` (`two_means`: 0.64 of the variance is explained in a normal
    distribution, 0.75 in a uniform one), `spike` and `enough` (1 or 0, `shape_statistics`). NaN for fewer than four seeds.
    """
    names, count = ("dip", "dip_p", "sarle", "explained", "gap", "spike", "enough"), len(values)
    if count < LEAST_VALUES:
        return dict.fromkeys(names, bare(NAN, count))
    row = shape_statistics(values[None], [0], seeds=seeds, levels=levels).rename(columns={"p_value": "dip_p"}).iloc[0]
    found = {name: bare(row[name], count) for name in names}
    split = [two_means(each) for each in values[drawn]]
    explained = [parts.explained if parts.gap else NAN for parts in split]  # of no variance, no share
    found |= {
        "gap": resampled(np.array([parts.gap for parts in split]), count),
        "explained": resampled(np.array(explained), count),
    }
    return found | {"sarle": resampled(np.array([sarle(each) if np.ptp(each) else NAN for each in values[drawn]]), count)}


def mode_measurements(runs: Runs, scales: tuple[int, ...], tau: float | int, drawn: Drawn) -> Measurements:
    """What happens between the two neighbouring scales, `mode/from` and `mode/to`, where the mode rises most.

    `mode/jump`: by how much (fullest of 20 bins); `mode/p_change`, `mode/mean_success_change`: change of P(success) and of the
    mean of successes; `mode/jump-p_change`: jump less the size of the change of P(success). The neighbours are chosen anew in
    each resample: where the mode jumps may be uncertain though that it jumps is not.
    """
    found, (p, successes), count = modes(runs, drawn), success(runs, tau, drawn), runs.shape[1]
    place, every = np.diff(found, axis=0).argmax(0), np.arange(len(drawn))
    jump, change, better = (each[place + 1, every] - each[place, every] for each in (found, p, successes))
    sizes, fewest = np.array(scales, dtype=float), int((runs > tau).sum(1)[place[0] : place[0] + 2].min())
    values = {"jump": jump, "p_change": change, "jump-p_change": jump - np.abs(change)}
    values |= {"from": sizes[place], "to": sizes[place + 1]}
    measured = {f"mode/{name}": resampled(each, count) for name, each in values.items()}
    return measured | {"mode/mean_success_change": resampled(better, fewest)}


def trend_measurements(runs: Runs, tau: float | int, drawn: Drawn) -> Measurements:
    """`monotone/p_success`, `monotone/mean_success`: Spearman's correlation with scale of P(success) and of the mean of
    successes, the latter over the scales with three successes or more. `change/...`: from the first to the last of them.
    """
    won, (p, successes) = (runs > tau).sum(1), success(runs, tau, drawn)
    several = won >= FEWEST_SUCCESSES
    successes[~several] = NAN
    fewest = {"p_success": runs.shape[1], "mean_success": int(won[several].min()) if several.any() else 0}
    found = {}
    for (name, n), values in zip(fewest.items(), (p, successes), strict=True):
        found[f"monotone/{name}"] = resampled(rank_correlations(values), n)
        found[f"change/{name}"] = resampled(changes(values), n)
    return found


def distance_measurements(runs: Runs, scales: tuple[int, ...], tau: float | int, drawn: Drawn) -> Measurements:
    """`w2/largest`: the largest W2 to the previous scale; `w2/scale`: the scale that is so far from the one before it.

    `w2/half_scale`: the first scale with P(success) above 1/2, NaN if there is none; `w2/half_over_scale`: that over `w2/scale`,
    above 1 where the distribution changes most before most seeds succeed. All but the first are chosen anew in each resample.
    """
    w2 = np.sqrt((np.diff(np.sort(runs[:, drawn], axis=-1), axis=0) ** 2).mean(-1))
    above, sizes = success(runs, tau, drawn)[0] > 0.5, np.array(scales, dtype=float)
    half = np.where(above.any(0), sizes[above.argmax(0)], NAN)
    widest = np.where(w2.any(0), sizes[1:][w2.argmax(0)], NAN)
    found = {"largest": w2[w2[:, 0].argmax()], "scale": widest, "half_scale": half, "half_over_scale": half / widest}
    return {f"w2/{name}": resampled(values, runs.shape[1]) for name, values in found.items()}


def picked_measurements(runs: Runs) -> Measurements:
    """`picked/emergent_...` and `picked/linear_...` of the curves with the largest B and L (`pick_seeds`): `B`, at most 100 in
    size, `capped` (1 or 0) there, `L`, and `step`: the largest gain between two neighbouring scales. n: seeds to pick from.
    """
    picked, found = pick_seeds(runs.T), {}
    for name, seed in (("emergent", picked.emergent), ("linear", picked.linear)):
        row, step = picked.table.loc[seed], np.diff(runs[:, seed]).max()
        numbers = {"B": row["breakthroughness"], "capped": row["capped"], "L": row["linearity"], "step": step}
        found |= {f"picked/{name}_{key}": bare(value, runs.shape[1]) for key, value in numbers.items()}
    return found


def trained_measurements(outcome: Outcome, setup: Setup, drawn: Drawn) -> Measurements:
    """`trained/length` and `trained/solved`, as in `measurements`."""
    count, within = drawn.shape[1], [length for length in outcome.lengths if length <= setup.longest]
    if not within:
        return dict.fromkeys(("trained/length", "trained/solved"), bare(NAN, count))
    solved = outcome.final(within[-1])[-1] >= SOLVED
    return {"trained/length": bare(within[-1], count), "trained/solved": resampled(solved[drawn].mean(1), count)}


def affordable_measurements(runs: Runs, scales: tuple[int, ...], drawn: Drawn, seeds: Seeds) -> Measurements:
    """`affordable/best_m`, `affordable/median_m` for m = 1, 3, 5 seeds: how often their best, their median looks emergent
    (`affordable_seeds`). NaN for more seeds than there are.
    """
    count = runs.shape[1]
    found = {f"affordable/{report}_{m}": bare(NAN, count) for m in AFFORD for report in ("best", "median")}
    for m in [m for m in AFFORD if m <= count]:
        values = affordable_seeds(runs, scales, [m], seeds=seeds).set_index("report")["emergent"]
        chosen = seeds.child("resampled", m).numpy().permuted(np.tile(np.arange(count), (CHOICES, 1)), axis=1)[:, :m]
        reported = runs[:, drawn[1:][:, chosen]]  # [S, R, CHOICES, m]
        for report, curves in (("best", reported.max(-1)), ("median", np.median(reported, axis=-1))):
            shares = looks_emergent(np.moveaxis(curves, 0, -1)).mean(-1)
            found[f"affordable/{report}_{m}"] = resampled(np.concatenate([[values[report]], shares]), count)
    return found


def inverse_measurements(outcome: Outcome, setup: Setup, length: int, seeds: Seeds) -> Measurements:
    """`inverse/change_p_success`, `inverse/change_mean_success`: as in `trend_measurements`, of another population."""
    runs = sound_seeds(outcome).final(length)
    found = trend_measurements(runs, setup.tau, draws(runs.shape[1], seeds.child("resamples")))
    return {f"inverse/{name.replace('/', '_')}": value for name, value in found.items() if name.startswith("change")}


def companion_measurements(model: Companion, tau: float | int) -> Measurements:
    """`companion/jump`, `/p_change`, `/mean_success_change`: exact changes between the neighbouring scales where the density's
    mode rises most.
    """
    found = {"jump": model.mode(), "p_change": model.p_success(tau), "mean_success_change": model.mean_success(tau)}
    place = int(np.diff(found["jump"]).argmax())
    return {f"companion/{name}": bare(np.diff(values)[place], 1) for name, values in found.items()}


def _calibrated(p: Float64[np.ndarray, "S"]) -> bool:
    return bool(p[0] < STARTS and p[-1] > ENDS and ((p >= MIXED[0]) & (p <= MIXED[1])).any())
