"""One small declaration per study: parameters, claims with the paper's numbers, title, paper. Knows no other room."""

from lib.studies.claims import Claim, Evidence, Metric
from lib.studies.params import SIZES, ParamError, StudyParams, param
from lib.studies.registry import find, slugs
from lib.studies.study import Entry, Expected, Study, resolve

__all__ = [
    "SIZES", "Claim", "Entry", "Evidence", "Expected", "Metric", "ParamError", "Study", "StudyParams",
    "find", "param", "resolve", "slugs",
]  # fmt: skip
