"""Claims, and the measured numbers that decide them."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["held", "not held", "not tested at this size"]
HELD: Verdict = "held"
NOT_HELD: Verdict = "not held"
NOT_TESTED: Verdict = "not tested at this size"


@dataclass(frozen=True)
class Metric:
    """A measured number: mean over `n` independent repeats, with a 95 % Student t interval where n > 1, or one of its own."""

    mean: float
    low: float | None
    high: float | None
    n: int
    unit: str = ""

    @classmethod
    def of(cls, values: Iterable[float] | float, unit: str = "", confidence: float = 0.95) -> "Metric":
        """Mean and interval, mean +- t s / sqrt(n). Raises ValueError for no value or a value that is not finite."""
        sample = [float(v) for v in values] if isinstance(values, Iterable) else [float(values)]
        if not sample or not all(math.isfinite(v) for v in sample):
            raise ValueError(f"metric values: got {sample}, allowed: at least one number, all finite")
        n, mean = len(sample), math.fsum(sample) / len(sample)
        if n == 1:
            return cls(mean, None, None, 1, unit)
        from scipy.stats import t

        spread = math.sqrt(math.fsum((v - mean) ** 2 for v in sample) / (n - 1) / n)
        half = float(t.ppf((1 + confidence) / 2, n - 1)) * spread
        return cls(mean, mean - half, mean + half, n, unit)

    @classmethod
    def measured(cls, value: float, low: float, high: float, n: int, unit: str = "") -> "Metric":
        """A number of all `n` repeats at once with a 95 % interval of its own, such as a bootstrap's; ends that are NaN: none.

        Raises ValueError for a value that is not finite, one end without the other, ends in the wrong order, and n below 1.
        """
        ends = (float(low), float(high))
        none = all(math.isnan(end) for end in ends)
        if not math.isfinite(value):
            raise ValueError(f"value: got {value}, allowed: a finite number")
        if not none and not (math.isfinite(ends[0]) and math.isfinite(ends[1]) and ends[0] <= ends[1]):
            raise ValueError(f"low, high: got {ends[0]} and {ends[1]}, allowed: low <= high, or NaN for both")
        if n < 1:
            raise ValueError(f"n: got {n}, allowed: whole numbers >= 1")
        return cls(float(value), *((None, None) if none else ends), int(n), unit)

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.mean:.4g}{interval}{' ' + self.unit if self.unit else ''} (n={self.n})"


Evidence = Mapping[str, Metric]
Test = Callable[[Evidence], bool]


def above(*names: str, bound: float = 0.0) -> Test:
    """A criterion: the whole interval of each of these metrics lies above the bound."""
    return lambda m: all((low := m[name].low) is not None and low > bound for name in names)


def below(*names: str, bound: float = 0.0) -> Test:
    """A criterion: the whole interval of each of these metrics lies below the bound."""
    return lambda m: all((high := m[name].high) is not None and high < bound for name in names)


def within(name: str, bound: float) -> Test:
    """A criterion: the whole interval lies within +- bound."""
    return lambda m: above(name, bound=-bound)(m) and below(name, bound=bound)(m)


@dataclass(frozen=True)
class Claim:
    """One sentence that a run can support or contradict.

    `source` says where the sentence comes from (abstract, a table, "ours"); `paper_number` is the paper's own number
    where it is known, else None; `criterion` says in words what `test` checks on the metrics named in `needs`.
    With fewer than `min_n` repeats behind any of them, the claim is not tested.
    """

    key: str
    statement: str
    source: str
    criterion: str
    needs: tuple[str, ...]
    test: Test
    min_n: int = 3
    paper_number: str | None = None

    def judge(self, evidence: Evidence) -> dict[str, Any]:
        """The verdict of one run, with the numbers that decided it."""
        known = {name: evidence[name] for name in self.needs if name in evidence}
        tested = len(known) == len(self.needs) and all(metric.n >= self.min_n for metric in known.values())
        verdict = NOT_TESTED if not tested else HELD if self.test(evidence) else NOT_HELD
        return {
            "key": self.key,
            "statement": self.statement,
            "source": self.source,
            "paper_number": self.paper_number,
            "criterion": self.criterion,
            "min_n": self.min_n,
            "verdict": verdict,
            "evidence": {name: asdict(metric) for name, metric in known.items()},
        }
