"""Declaration of the study dataset-geodesics: can one pretrain on a data set that lies between data sets?"""

from typing import Literal

from lib.studies.claims import Claim, above, below
from lib.studies.params import StudyParams, param
from lib.studies.study import Expected, Study


class Params(StudyParams):
    """Parameters of the study; the defaults are the quick size."""

    task: Literal["mnist-from-digits", "digits-from-thirds", "rotated-digits", "mnist", "digits", "fashion", "mnist-from-all"] = (
        param("mnist-from-digits", "target and sources; mnist-from-all is the paper's size and needs the Hugging Face hub")
    )
    shots: int = param(5, "labelled target images of each class", ge=1, le=50)
    pool_size: int = param(450, "target images without labels", "images", ge=20, le=50_000)
    source_size: int = param(500, "images of each source, at most", "images", ge=50, le=50_000)
    lam_x: float = param(1.0, "weight of the features in the cost", ge=0.001, le=1000)
    lam_y: float = param(1.0, "weight of the label distances in the cost", ge=0.01, le=100)
    label_method: Literal["gaussian", "exact", "bound", "means"] = param("gaussian", "how far two classes are apart")
    projection: Literal["barycentric", "hard"] = param(
        "barycentric", "where a coupling sends a point: to a mean, or to one point"
    )
    neural: bool = param(False, "learn neural maps too, as one more arm")
    neural_steps: int = param(500, "training steps of the neural maps", ge=10, le=1_000_000)
    width: int = param(128, "hidden units of the student", ge=4, le=4096)
    depth: int = param(1, "hidden layers of the student", ge=1, le=4)
    steps: int = param(600, "pretraining steps of every student", ge=10, le=100_000)
    batch_size: int = param(64, "images in a batch", ge=4, le=4096)
    rate: float = param(0.001, "learning rate of pretraining", gt=0, le=1)
    tune_steps: int = param(200, "fine-tuning steps on the few labelled images", ge=1, le=100_000)
    tune_rate: float = param(0.001, "learning rate of fine-tuning", gt=0, le=1)
    segments: int = param(6, "segments along an edge of the triangle of weights", ge=1, le=12)
    repeats: int = param(8, "independent draws of the task", ge=1, le=128)
    toy_points: int = param(500, "points in each set of the toy", ge=12, le=5000)
    check_points: int = param(150, "images in the checks of speed and shifts", ge=20, le=1000)
    members_at_once: int = param(256, "students trained as one program; fewer need less memory", ge=1, le=1024)
    part: Literal["test", "validation"] = param("test", "target images to score on; validation is for choosing settings")
    device: Literal["auto", "cpu", "cuda"] = param("auto", "where to compute; auto takes a GPU if there is one")


CLAIMS = (
    Claim(
        "hull-projection",
        "The quadratic programme finds the point of the hull that lies nearest to the target, and predicts how near.",
        "the authors' toy (their public notebook)",
        "on the toy, over repeats: |exact / predicted - 1| has its 95 % interval below 0.05, and the exact distance at a* is "
        "smaller than at uniform weights (interval above 0)",
        ("toy/relative_error", "toy/uniform_excess"),
        lambda m: below("toy/relative_error", bound=0.05)(m) and above("toy/uniform_excess")(m),
    ),
    Claim(
        "constant-speed",
        "On the geodesic between two data sets one moves with constant speed.",
        "mathematics (displacement interpolation)",
        "worst |speed - 1| over pairs of times has its 95 % interval below 1e-6",
        ("speed/worst_deviation",),
        below("speed/worst_deviation", bound=1e-6),
    ),
    Claim(
        "distance-orders-shifts",
        "The distance between data sets grows with the shift between them, and knows nothing of the names of the classes.",
        "ours, after the distance's purpose in its paper (2020)",
        "turned by 0, 10, 20, 30 degrees: the smallest increase has its 95 % interval above 0; renamed classes: below 1e-8",
        ("shift/smallest_increase", "shift/renamed"),
        lambda m: above("shift/smallest_increase")(m) and below("shift/renamed", bound=1e-8)(m),
    ),
    Claim(
        "beats-few-shot",
        "Pretraining on the interpolated data set beats training on the few labelled images alone.",
        "paper: abstract; its table of 5-shot transfer has the direction",
        "95 % interval of geodesic - few-shot accuracy lies above 0",
        ("geodesic-few_shot",),
        above("geodesic-few_shot"),
    ),
    Claim(
        "coupling-beats-mixup",
        "Mixing points that a coupling brings together beats mixing random ones with the same weights.",
        "paper: its table of 5-shot transfer has mixup as a row",
        "95 % interval of geodesic - mixup accuracy lies above 0",
        ("geodesic-mixup",),
        above("geodesic-mixup"),
    ),
    Claim(
        "beats-nearest-source",
        "The interpolated data set beats the single source that is nearest to the target.",
        "paper: the question it asks",
        "95 % interval of geodesic - nearest source accuracy lies above 0",
        ("geodesic-nearest_source",),
        above("geodesic-nearest_source"),
    ),
    Claim(
        "beats-union",
        "The interpolated data set beats the union of all sources.",
        "paper: the question it asks",
        "95 % interval of geodesic - union accuracy lies above 0",
        ("geodesic-union",),
        above("geodesic-union"),
    ),
    Claim(
        "distance-predicts-accuracy",
        "Where the predicted distance to the target is small, accuracy after transfer is high.",
        "paper: its pairs of triangles",
        "Spearman's correlation of predicted distance and accuracy over the grid of weights has its 95 % interval below 0",
        ("grid/rank_correlation",),
        below("grid/rank_correlation"),
    ),
)

STUDY = Study(
    slug="dataset-geodesics",
    title="Data sets between data sets",
    question="Can one pretrain on a data set that lies between the data sets at hand?",
    paper=(
        "J. Fan and D. Alvarez-Melis, Generating Synthetic Datasets by Interpolating along Generalized Geodesics, UAI 2023, "
        "arXiv 2306.06866"
    ),
    reference="fan2023",
    params=Params,
    claims=CLAIMS,
    minutes={"test": 0.2, "quick": 0.6, "laptop": 8.0, "paper": 600.0},
    expected=(
        Expected("toy/predicted", 144.0, 1.0),
        Expected("accuracy/geodesic", 73.3, 2.0),
        Expected("geodesic-few_shot", 1.9, 2.0),
    ),
    headline="accuracy/geodesic",
    cover="triangles",
)
