"""What a study declares about itself: question, paper, schema, claims, cost, and the numbers to expect."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.studies.claims import Claim
from lib.studies.params import SIZES, ParamError, StudyParams, read_yaml


@dataclass(frozen=True)
class Expected:
    """A number the quick size is expected to give, within `tolerance`."""

    metric: str
    value: float
    tolerance: float


@dataclass(frozen=True)
class Study:
    """A declaration; it knows no method. `minutes` maps each size to its expected wall time on two idle cores
    (for paper: on one large GPU, a rough estimate), `reference` is a key of references.bib."""

    slug: str
    title: str
    question: str
    paper: str
    reference: str
    params: type[StudyParams]
    claims: tuple[Claim, ...]
    minutes: Mapping[str, float]
    expected: tuple[Expected, ...]
    headline: str
    cover: str


@dataclass(frozen=True)
class Entry:
    """A study found in a home folder: its declaration and where its notebook, sizes and outputs lie."""

    study: Study
    home: Path
    module: str
    source: Path

    @property
    def notebook(self) -> Path:
        """The notebook, notebooks/<slug>.ipynb."""
        return self.home / "notebooks" / f"{self.study.slug}.ipynb"

    def size_file(self, size: str) -> Path:
        """The flat YAML file of a size. Raises ParamError for an unknown size."""
        if size not in SIZES:
            raise ParamError(f"size: got {size!r}, allowed: {', '.join(SIZES)}")
        return self.home / "params" / self.study.slug / f"{size}.yaml"

    def size_params(self, size: str) -> StudyParams:
        """The checked parameters of a size. Raises ParamError that names the file."""
        path = self.size_file(size)
        try:
            return self.study.params.parse(read_yaml(path))
        except ParamError as error:
            text = str(error)
            raise ParamError(text if text.startswith(str(path)) else f"{path}: {text}") from None

    def size_of(self, params: StudyParams) -> str:
        """The size whose file gives `params` up to the seed, else "custom"."""
        return next(self.sizes_of([params]))

    def sizes_of(self, many: Iterable[StudyParams]) -> Iterator[str]:
        """`size_of` for each of many parameters; the files are read once."""
        known = {size: self.size_params(size).model_dump(exclude={"seed"}) for size in SIZES}
        for params in many:
            wanted = params.model_dump(exclude={"seed"})
            yield next((size for size, values in known.items() if values == wanted), "custom")


def resolve(entry: Entry, size: str, overrides: Mapping[str, str], base: Mapping[str, Any] | None = None) -> StudyParams:
    """Parameters of a run: the size's file, then a parameter file `base`, then `name=value` texts. Raises ParamError."""
    start = entry.size_params(size).model_dump()
    return entry.study.params.parse_strings(overrides, start | dict(base or {}))
