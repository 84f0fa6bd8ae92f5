"""The numbers that the claims on language models rest on. The seeds are the repeats: the bootstrap resamples them, 1000 times.

The share of the two clusters is chosen once, on all seeds, and kept in the resamples.
"""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64

from lib.emergence.dip import LEAST_VALUES, dip_test
from lib.emergence.intervals import NAN, Drawn, Measured, Runs, bare, draws, rank_correlations, resampled, success
from lib.emergence.measures import shape_measurements
from lib.emergence.questions import CHANCE, Corpus, commonest, exams_of
from lib.emergence.reinitialised import TEXT_METRICS, Base, TextOutcome
from lib.emergence.shapes import two_means
from lib.emergence.text_setup import TextSetup
from lib.seeds import Seeds

Measurements = dict[str, Measured]
NEAR_CHANCE = 2.0  # standard errors of an exam of guesses


def sound_texts(outcome: TextOutcome) -> TextOutcome:
    """The outcome of the seeds that did not diverge at any share. ValueError if there is no such seed."""
    whole = ~_lost(outcome)
    if not whole.any():
        raise ValueError(f"outcome: got {len(whole)} seeds, all of which diverged at some share, allowed are some that did not")
    return TextOutcome(outcome.grades[outcome.grades["seed"].isin(np.flatnonzero(whole))])


def failing_below(setup: TextSetup) -> float:
    """An accuracy that guessing, 1/4, would pass in fewer than 3 of 100 exams: chance and two standard errors."""
    return CHANCE + NEAR_CHANCE * np.sqrt(CHANCE * (1 - CHANCE) / setup.questions)


def clustered_share(runs: Runs, setup: TextSetup) -> int:
    """The place of the share whose smaller cluster is largest: the smaller of the shares of seeds that guess (`failing_below`)
    and that succeed (above tau); of equal ones, the first.
    """
    return int(np.minimum((runs < failing_below(setup)).mean(1), (runs > setup.tau).mean(1)).argmax())


def text_measurements(outcome: TextOutcome, setup: TextSetup, base: Base, corpus: Corpus, seeds: Seeds) -> Measurements:
    """All numbers by name; seeds that diverged at some share are left out at all of them.

    `text/diverged`: share of runs that did. `text/base_accuracy`, `text/base_lm`: of the pretrained network. `text/commonest`:
    accuracy without reading, by the commonest sign. At `text/share`, the `clustered_share`: `text/below`, `/between`, `/above`,
    the shares of seeds that guess, that lie between, that succeed; `text/dip_p`, ... of accuracy, `text_nll/...` of the choices'
    nll, `text_lm/...` of the language-model loss: as in `shape_measurements`; `text/dip_p_any`: p times the number of shares, as
    one was chosen. `text_lm/gap_over_mean`: distance of the loss's two centres over its mean. `text/change_p_success`: from the
    first to the last share; `text/monotone_p_success`: its rank correlation with the share. `text/p_success_at_<share>`.
    Errors: ValueError where every seed diverged at some share.
    """
    sound = sound_texts(outcome)
    runs = sound.final()
    place, count = clustered_share(runs, setup), runs.shape[1]
    drawn = draws(count, seeds.child("resamples"))
    found = {"text/diverged": bare(_lost(outcome).mean(), len(_lost(outcome)))}
    found |= {"text/base_accuracy": bare(base.accuracy, setup.questions), "text/base_lm": bare(base.lm, setup.questions)}
    exam = exams_of(corpus, setup.questions, setup.passage, seeds.child("commonest"))
    found["text/commonest"] = bare(commonest(corpus, exam.questions), setup.questions)
    found["text/share"] = bare(sound.shares[place], count)
    found |= _clusters(runs[place], setup, drawn)
    for name, metric in (("text", "accuracy"), ("text_nll", "nll"), ("text_lm", "lm")):
        values = sound.final(metric)[place]
        levels = _levels(values, setup) if metric == "accuracy" else None
        found |= {f"{name}/{key}": value for key, value in shape_measurements(values, drawn, seeds, levels).items()}
    found["text/dip_p_any"] = bare(np.minimum(1.0, found["text/dip_p"].value * len(runs)), count)
    found["text_lm/gap_over_mean"] = _relative_gap(sound.final("lm")[place], drawn)
    return found | _trends(runs, sound.shares, setup, drawn)


def text_table(outcome: TextOutcome, setup: TextSetup, seeds: Seeds) -> pd.DataFrame:
    """A row for each share: share, n, below, between, above (of seeds, as in `text_measurements`), mean accuracy, and Hartigan's
    dip and p-value of the accuracy (dip, p_value) and of the language-model loss (lm_dip, lm_p_value), NaN for fewer than four.
    """
    sound, rows = sound_texts(outcome), []
    accuracy, lm = sound.final(), sound.final("lm")
    drawn = draws(accuracy.shape[1], seeds.child("resamples"))
    for share, runs, losses in zip(sound.shares, accuracy, lm, strict=True):
        clusters = {name.removeprefix("text/"): value.value for name, value in _clusters(runs, setup, drawn).items()}
        dip, p_value = _dip(runs, seeds, _levels(runs, setup))
        lm_dip, lm_p_value = _dip(losses, seeds, None)
        dips = {"dip": dip, "p_value": p_value, "lm_dip": lm_dip, "lm_p_value": lm_p_value}
        rows.append({"share": share, "n": len(runs), **clusters, "mean": runs.mean(), **dips})
    return pd.DataFrame(rows)


def _clusters(row: Float64[np.ndarray, "K"], setup: TextSetup, drawn: Drawn) -> Measurements:
    each, guess = row[drawn], failing_below(setup)
    parts = {"below": each < guess, "between": (each >= guess) & (each <= setup.tau), "above": each > setup.tau}
    return {f"text/{name}": resampled(part.mean(1), len(row)) for name, part in parts.items()}


def _levels(row: Float64[np.ndarray, "K"], setup: TextSetup) -> int:
    """How many steps of one question there are between the worst and the best seed, as the dip knows no more of the exam."""
    return max(1, round(float(np.ptp(row)) * setup.questions))


def _dip(values: Float64[np.ndarray, "K"], seeds: Seeds, levels: int | None) -> tuple[float, float]:
    if len(values) < LEAST_VALUES:
        return NAN, NAN
    test = dip_test(values, seeds, levels=levels)
    return test.dip, test.p_value


def _relative_gap(losses: Float64[np.ndarray, "K"], drawn: Drawn) -> Measured:
    if len(losses) < 2:
        return bare(NAN, len(losses))
    return resampled(np.array([two_means(each).gap / each.mean() for each in losses[drawn]]), len(losses))


def _trends(runs: Runs, shares: tuple[float, ...], setup: TextSetup, drawn: Drawn) -> Measurements:
    p, count = success(runs, setup.tau, drawn)[0], runs.shape[1]
    found = {f"text/p_success_at_{share:g}": resampled(values, count) for share, values in zip(shares, p, strict=True)}
    found["text/change_p_success"] = resampled(p[-1] - p[0], count) if len(p) > 1 else bare(NAN, count)
    return found | {"text/monotone_p_success": resampled(rank_correlations(p), count)}


def _lost(outcome: TextOutcome) -> Bool[np.ndarray, "K"]:
    """Whether a seed has no number somewhere, by its number."""
    return outcome.grades.groupby("seed")[list(TEXT_METRICS)].apply(lambda rows: rows.isna().to_numpy().any()).to_numpy()
