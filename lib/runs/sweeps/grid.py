"""The axes of a sweep: text to checked values, and the runs they span."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lib.studies import Entry, ParamError, StudyParams
from lib.studies.params import allowed, from_text, type_name

RANGE = re.compile(r"(-?\d+):(-?\d+)(?::(\d+))?")
Axes = Mapping[str, Sequence[Any]]


def parse_axes(entry: Entry, texts: Sequence[str], fixed: Mapping[str, str]) -> Axes:
    """Axes from texts like "seed=0:64" (from 0 up to, not including, 64), "seed=0:64:8" or "width=16,32,64".

    Values of a list field are separated by "/": "domains=noise,shift/blur". Raises ParamError for an axis that is unknown,
    empty, out of bounds, given twice, or also fixed with -p, and for a value that stands twice.
    """
    axes: dict[str, Sequence[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or not name:
            raise ParamError(f"-g: got {text!r}, allowed: name=values, as in seed=0:64 or width=16,32,64")
        if name in axes:
            raise ParamError(f"{name}: given twice with -g, allowed: once")
        if name in fixed:
            raise ParamError(f"{name}: given with -g and with -p, allowed: one of them")
        axes[name] = _values(entry, name, values)
    if not axes:
        raise ParamError("-g: got no axis, allowed: name=values, as in -g seed=0:64")
    return axes


def _values(entry: Entry, name: str, text: str) -> Sequence[Any]:
    fields = entry.study.params.model_fields
    if name not in fields:
        raise ParamError(f"{name}: there is no such parameter to sweep over; allowed: {', '.join(fields)}")
    field, empty = fields[name], f"{name}: got no values in {text!r}, allowed: {allowed(fields[name])}"
    if type_name(field) == "int" and (found := RANGE.fullmatch(text.strip())):
        first, end, step = (int(part) if part else 1 for part in found.groups())
        if step == 0:
            raise ParamError(f"{name}: got {text!r}, allowed: a step of at least 1")
        values: Sequence[Any] = range(first, end, step)
        ends = [values[0], values[-1]] if values else []
    else:
        parts = text.split("/" if type_name(field) == "list" else ",") if text.strip() else []
        if not all(part.strip() for part in parts):
            raise ParamError(f"{name}: got an empty value in {text!r}, allowed: {allowed(field)}")
        values = ends = [from_text(field, part.strip()) for part in parts]
    if not values:
        raise ParamError(empty)
    base = entry.size_params("quick").model_dump()
    for value in ends:
        check_value(entry, base, name, value)
    if repeated := next((v for i, v in enumerate(ends) if v in ends[:i] and len(values) > 1), None):
        raise ParamError(f"{name}: got {repeated!r} twice, allowed: each value once")
    return values


def check_value(entry: Entry, base: Mapping[str, Any], name: str, value: Any) -> None:
    """Refuse a name that is no parameter, and a value that its field refuses whatever the others are. Raises ParamError.

    `base` is a complete set of values that the study takes.
    """
    fields = entry.study.params.model_fields
    try:
        entry.study.params.parse({**base, name: value})
    except ParamError as error:
        own = f"{name}: got {value!r}, allowed: {allowed(fields[name])}" if name in fields else str(error)
        if own in str(error).splitlines():  # else: it does not go with the quick size's other values, which are not the sweep's
            raise ParamError(own) from None


def size(axes: Axes) -> int:
    """How many runs the axes span."""
    return math.prod(len(values) for values in axes.values())


def points(entry: Entry, base: Mapping[str, Any], axes: Axes) -> Iterator[StudyParams]:
    """The parameters of every run, last axis fastest. Raises ParamError that names the combination a study refuses."""
    for values in itertools.product(*axes.values()):
        here = dict(zip(axes, values, strict=True))
        try:
            yield entry.study.params.parse({**base, **here})
        except ParamError as error:
            told = ", ".join(f"{name} {value}" for name, value in here.items())
            raise ParamError(f"at {told}: {error}") from None
