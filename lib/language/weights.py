"""How much of each anchor a mix holds: attributes, the direction alpha of each and its importance lambda."""

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

POSITIVE, NEGATIVE = "+", "-"
SIGNS = (POSITIVE, NEGATIVE)
Anchor = tuple[str, str]  # (attribute, sign)

Number = Any  # a finite real number of any type; what is none is refused by name

SUM_TOLERANCE = 1e-6
STABLE = (-1.0, 2.0)  # beyond these alphas the paper calls extrapolation unstable


@dataclass(frozen=True)
class Attributes:
    """The attributes that have two anchors each. ValueError for no name, or for a name given twice."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"names: got {self.names!r}, allowed are one or more different attributes")

    @classmethod
    def of(cls, anchors: Iterable[Anchor]) -> "Attributes":
        """The attributes of a set of anchors (attribute, sign). ValueError where one of the two anchors is missing."""
        known = list(anchors)
        names = tuple(dict.fromkeys(name for name, _ in known))
        for name in names:
            for sign in SIGNS:
                if (name, sign) not in known:
                    raise ValueError(f"anchors: attribute {name!r} has no anchor {sign!r}, allowed are attributes with both")
        return cls(names)

    def mix_weights(
        self,
        alphas: Mapping[str, Number],
        lambdas: Mapping[str, Number] | None = None,
        *,
        extrapolate: bool = False,
        allow_unnormalised: bool = False,
    ) -> dict[Anchor, float]:
        """w(i, +) = lambda_i alpha_i and w(i, -) = lambda_i (1 - alpha_i): each anchor's share of the mix [kangaslahti2025].

        `alphas`: which way each attribute goes, 1 its positive and 0 its negative anchor. `lambdas`: how much each of
        the same attributes matters, in sum 1; by default all the same. Attributes that are not named have no share.

        Errors: KeyError listing the known attributes; ValueError for numbers that are none, for other attributes in
        `lambdas` than in `alphas`, for lambda < 0, for a sum other than 1 (unless `allow_unnormalised`) and for alpha
        outside [0, 1] (unless `extrapolate`). Warning for alpha beyond [-1, 2].
        """
        for name in (*alphas, *(lambdas or ())):
            if name not in self.names:
                raise KeyError(f"attribute {name!r} is unknown, known are {', '.join(self.names)}")
        if not alphas:
            raise ValueError("alphas: got no attribute, allowed is one or more")
        if lambdas is None:
            lambdas = dict.fromkeys(alphas, 1 / len(alphas))
        if set(lambdas) != set(alphas):
            raise ValueError(f"lambdas: got {sorted(lambdas)}, allowed are the attributes of alphas, {sorted(alphas)}")
        for name in alphas:
            _check_alpha(name, alphas[name], extrapolate)
        _check_lambdas(lambdas, allow_unnormalised)
        weights = {}
        for name in alphas:
            weight, alpha = float(lambdas[name]), float(alphas[name])
            weights |= {(name, POSITIVE): weight * alpha, (name, NEGATIVE): weight * (1 - alpha)}
        return weights


def _check_alpha(name: str, alpha: Number, extrapolate: bool) -> None:
    _check_number("alpha", name, alpha)
    if not 0 <= alpha <= 1 and not extrapolate:
        raise ValueError(f"alpha of {name!r}: got {alpha}, allowed is [0, 1], or any number with extrapolate=True")
    if not STABLE[0] <= alpha <= STABLE[1]:
        warnings.warn(f"alpha of {name!r} is {alpha}: beyond [-1, 2] extrapolation is unstable", stacklevel=3)


def _check_lambdas(lambdas: Mapping[str, Number], allow_unnormalised: bool) -> None:
    for name, value in lambdas.items():
        _check_number("lambda", name, value)
        if value < 0:
            raise ValueError(f"lambda of {name!r}: got {value}, allowed are numbers >= 0")
    total = sum(lambdas.values())
    if abs(total - 1) > SUM_TOLERANCE and not allow_unnormalised:
        raise ValueError(f"lambdas: their sum is {total:g}, allowed is 1, or any sum with allow_unnormalised=True")


def _check_number(kind: str, name: str, value: Number) -> None:
    try:
        finite = math.isfinite(value)
    except TypeError:
        finite = False
    if isinstance(value, bool) or not finite:
        raise ValueError(f"{kind} of {name!r}: got {value!r}, allowed are finite numbers")
