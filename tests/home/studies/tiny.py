"""A study that exists only in the tests: a mean of random numbers, with ways to be slow and to fail."""

from typing import Literal

from lib.studies import Claim, Expected, Study, StudyParams, param


class Params(StudyParams):
    n: int = param(100, "draws per repeat", ge=2, le=10_000)
    scale: float = param(1.0, "standard deviation of a draw", gt=0, le=10)
    law: Literal["normal", "uniform"] = param("normal", "law of the draws")
    repeats: int = param(4, "independent repeats", ge=1, le=100)
    parts: list[Literal["a", "b", "c"]] = param(["a", "b"], "parts to visit", min_length=1)
    sleep_s: float = param(0.0, "time to sleep in the middle", "s", ge=0, le=60)
    hog_mb: int = param(0, "memory to hold in the middle", "MiB", ge=0, le=4000)
    fail: bool = param(False, "raise an error in the middle")


STUDY = Study(
    slug="tiny",
    title="A tiny study",
    question="Is the mean of centred draws near zero?",
    paper="none; it exists only in the tests",
    reference="none",
    params=Params,
    claims=(
        Claim("centred", "The mean is near zero.", "ours", "|mean| < 0.5", ("mean",), lambda m: abs(m["mean"].mean) < 0.5),
        Claim("large", "The mean is above one.", "ours", "mean > 1", ("mean",), lambda m: m["mean"].mean > 1),
        Claim("many", "Needs many repeats.", "ours", "n >= 50", ("mean",), lambda m: True, min_n=50),
    ),
    minutes={"test": 0.05, "quick": 0.05, "laptop": 0.1, "paper": 1},
    expected=(Expected("mean", 0.0, 0.5),),
    headline="mean",
    cover="draws",
)
