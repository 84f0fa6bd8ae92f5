"""Histograms and kernel densities of shares, on bins and with a bandwidth that are the same at all scales, and their modes."""

import numpy as np
from jaxtyping import Float64, Int64

from lib.emergence.checks import Values, check_least, checked_sample

BINS = 20
BANDWIDTH = 0.05
GRID = np.arange(201) / 200  # where the density's mode is looked for
IMAGES = np.arange(-2, 3) * 2.0  # reflections in 0 and 1 that a bandwidth up to 0.5 can feel


def bin_edges(bins: int = BINS) -> Float64[np.ndarray, "_"]:
    """Edges 0, 1 / bins, ..., 1, as quotients, so that a share on an edge is equal to it. ValueError for fewer than one bin."""
    check_least(bins=(bins, 1))
    return np.arange(bins + 1) / bins


def level_edges(levels: int, bins: int = BINS) -> Float64[np.ndarray, "_"]:
    """Edges for the picture of a histogram of shares 0, 1 / levels, ..., 1 of so many examples.

    Fewer than 2 * bins levels have a bin each, with its level in the middle: equal bins would hold one level here, none or two
    there, and an empty bin would look like a gap in the sample. More levels have the equal `bins`. Errors: ValueError for
    fewer than one level or bin.
    """
    check_least(levels=(levels, 1))
    return (np.arange(levels + 2) - 0.5) / levels if levels < 2 * bins else bin_edges(bins)


def bin_of(values: Float64[np.ndarray, "n"], bins: int = BINS) -> Int64[np.ndarray, "n"]:
    """The bin of each share: [left, right), the last one with its right end."""
    return np.minimum(np.searchsorted(bin_edges(bins), values, side="right") - 1, bins - 1)


def histogram(values: Values, bins: int = BINS) -> Int64[np.ndarray, "_"]:
    """Counts of shares in equal bins over [0, 1]. ValueError for values that are no shares, and fewer than one bin."""
    return np.bincount(bin_of(_shares("values", values), bins), minlength=bins)


def kernels(
    values: Float64[np.ndarray, "n"], at: Float64[np.ndarray, "G"], bandwidth: float = BANDWIDTH
) -> Float64[np.ndarray, "n G"]:
    """Each share's Gaussian with this standard deviation, reflected at 0 and 1, so that it integrates to 1 [silverman1986].

    Errors: ValueError for a bandwidth that is not within 0 < h <= 0.5.
    """
    if not 0 < bandwidth <= 0.5:
        raise ValueError(f"bandwidth: got {bandwidth}, allowed is 0 < bandwidth <= 0.5")
    centres = np.concatenate([values[:, None] + IMAGES, -values[:, None] + IMAGES], axis=1)
    bells = np.exp(-0.5 * ((at[:, None] - centres[:, None, :]) / bandwidth) ** 2)
    return bells.sum(-1) / (bandwidth * np.sqrt(2 * np.pi))


def kde(values: Values, at: Values, bandwidth: float = BANDWIDTH) -> Float64[np.ndarray, "G"]:
    """Kernel density of shares at the points `at`: the mean of `kernels`. ValueError for values or points outside 0..1."""
    return kernels(_shares("values", values), _shares("at", at), bandwidth).mean(0)


def histogram_mode(counts: Float64[np.ndarray, "*R bins"]) -> Float64[np.ndarray, "*R"]:
    """Centre of the fullest bin over [0, 1], the lowest of equally full ones."""
    return (counts.argmax(-1) + 0.5) / counts.shape[-1]


def density_mode(density: Float64[np.ndarray, "*R G"]) -> Float64[np.ndarray, "*R"]:
    """The point of GRID with the highest density, the lowest of points that are equally high up to rounding."""
    return GRID[(density >= density.max(-1, keepdims=True) * (1 - 1e-12)).argmax(-1)]


def _shares(name: str, values: Values) -> Float64[np.ndarray, "n"]:
    x = checked_sample(name, values)
    if x.min() < 0 or x.max() > 1:
        raise ValueError(f"{name}: got {x.min()} to {x.max()}, allowed are shares from 0 to 1")
    return x
