"""Declaration of the study weight-ensembles: which fine-tuned models should be averaged, and does diversity tell?"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lib.studies.claims import Claim, above, below, within
from lib.studies.params import StudyParams, param
from lib.studies.study import Expected, Study

GENERATED = ("clean", "rotate-left", "rotate-right", "noise", "blur", "shift", "invert")
OFFICE_HOME = ("Art", "Clipart", "Product", "Real World")
Domain = Literal[
    "clean", "rotate-left", "rotate-right", "noise", "blur", "shift", "invert", "Art", "Clipart", "Product", "Real World"
]
Rate = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=0.9)]


class Params(StudyParams):
    """Parameters of the study; the defaults are the quick size."""

    dataset: Literal["digits", "mnist-5k", "fashion-mnist", "office-home"] = param("digits", "real images to start from")
    net: Literal["mlp", "convnet", "resnet50"] = param("mlp", "network of every ingredient")
    activation: Literal["relu", "gelu", "tanh"] = param("relu", "activation of the mlp; relu has kinks, the others are smooth")
    backbone: str = param("microsoft/resnet-50", "pretrained model for resnet50: a Hugging Face name or a folder", max_length=200)
    domains: list[Domain] = param(["clean", "rotate-left", "noise", "blur", "shift"], "domains of the experiment", min_length=3)
    held_out: list[Domain] = param(
        ["noise", "shift"], "domains left out in turn, as out-of-distribution (OOD) test", min_length=1
    )
    repeats: int = param(5, "independent repeats: split, initialisation, pool", ge=1, le=64)
    n_models: int = param(16, "ingredients in a pool", ge=2, le=256)
    width: int = param(128, "units of a hidden layer, or channels of a convolution", ge=4, le=1024)
    pretrain_steps: int = param(600, "steps from random weights to the shared start", ge=0, le=100_000)
    steps: int = param(500, "fine-tuning steps of each ingredient", ge=1, le=100_000)
    batch_size: int = param(64, "images in a batch", ge=1, le=4096)
    bag: float = param(0.3, "part of the pooled training images that one ingredient sees", gt=0, le=1)
    rates: list[Rate] = param([0.001, 0.002, 0.003], "learning rates to draw from", min_length=1)
    weight_decays: list[Share] = param([0.0001, 1e-06], "weight decays to draw from", min_length=1)
    dropouts: list[Share] = param([0.0, 0.1, 0.2], "dropout rates to draw from", min_length=1)
    noises: list[Share] = param([0.0, 0.1, 0.3], "standard deviations of input noise to draw from", min_length=1)
    smoothings: list[Share] = param([0.0, 0.1], "label smoothings to draw from", min_length=1)
    shared_start: bool = param(True, "all ingredients start from the same weights; false shows why they must")
    accept: Literal["ge", "gt"] = param(
        "ge", "a soup passes if its validation count is at least (ge) or above (gt) the best so far"
    )
    reference: Literal["soup", "first", "mean_pairwise"] = param("soup", "what the ranked rules measure distance from")
    rerank: bool = param(True, "ranked rules rank again after each addition")
    subset_size: int = param(4, "ingredients in a random subset", ge=2, le=64)
    random_subsets: int = param(500, "random subsets for the diversity plot", ge=10, le=20_000)
    members_at_once: int = param(256, "ingredients trained as one program; fewer need less memory", ge=1, le=256)
    device: Literal["auto", "cpu", "cuda"] = param("auto", "where to compute; auto takes a GPU if there is one")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        known = OFFICE_HOME if self.dataset == "office-home" else GENERATED
        rules = [
            (set(self.domains) <= set(known), f"domains: got {self.domains}, allowed for {self.dataset}: {', '.join(known)}"),
            (len(set(self.domains)) == len(self.domains), f"domains: got {self.domains}, allowed: each once"),
            (len(set(self.held_out)) == len(self.held_out), f"held_out: got {self.held_out}, allowed: each once"),
            (set(self.held_out) <= set(self.domains), f"held_out: got {self.held_out}, allowed: some of domains {self.domains}"),
            (
                "clean" not in self.held_out,
                f"held_out: got {self.held_out}, allowed: not clean, the shared start is trained on it",
            ),
            (
                self.dataset == "office-home" or "clean" in self.domains,
                f"domains: got {self.domains}, allowed: with clean, the shared start is trained on it",
            ),
            (
                (self.net == "resnet50") == (self.dataset == "office-home"),
                f"net: got {self.net!r}, allowed: resnet50 with office-home, mlp or convnet with the others",
            ),
            (
                self.shared_start or self.net != "resnet50",
                "shared_start: got False, allowed with net 'resnet50': true, its start is the pretrained backbone",
            ),
            (
                self.activation == "relu" or self.net == "mlp",
                f"activation: got {self.activation!r}, allowed with net {self.net!r}: relu",
            ),
            (self.subset_size <= self.n_models, f"subset_size: got {self.subset_size}, allowed: <= n_models = {self.n_models}"),
        ]
        for good, message in rules:
            if not good:
                raise ValueError(message)
        return self


CLAIMS = (
    Claim(
        "soup-beats-ingredients",
        "Averaging the weights of all models fine-tuned from one start beats the mean of the models, in domain and out of it.",
        "background: Model Soups (2022), DiWA (2022)",
        "95 % intervals of uniform soup - mean single model lie above 0 on ID test and on OOD",
        ("uniform-mean_single/id_test", "uniform-mean_single/ood"),
        above("uniform-mean_single/id_test", "uniform-mean_single/ood"),
        paper_number="DiWA, OfficeHome, ResNet-50, OOD %: single training 66.5 to 67.4, uniform soup of 20 71.0",
    ),
    Claim(
        "uniform-trades",
        "Against greedy, the soup of all models loses in domain and gains out of domain.",
        "background: Model Soups (2022)",
        "95 % intervals of uniform - greedy lie below 0 on ID test and above 0 on OOD",
        ("uniform-greedy/id_test", "uniform-greedy/ood"),
        lambda m: below("uniform-greedy/id_test")(m) and above("uniform-greedy/ood")(m),
        paper_number="CLIP ViT-B/32, 72 models, ImageNet / mean of 5 shifts, %: uniform 79.97 / 51.58, greedy 81.03 / 50.86",
    ),
    Claim(
        "greedier-fewer",
        "Greedier needs fewer ingredients than greedy for the validation accuracy that both reach.",
        "a third-party summary of the paper; the rule itself is our reconstruction",
        "95 % interval of (ingredients of greedy) - (ingredients of greedier), each until the lower of their two final "
        "validation accuracies is reached, lies above 0",
        ("greedy-greedier/ingredients",),
        above("greedy-greedier/ingredients"),
    ),
    Claim(
        "greedier-ood",
        "Greedier often reaches better out-of-domain accuracy than greedy and the ranked variants.",
        "a third-party summary of the paper; the rule itself is our reconstruction",
        "95 % interval of greedier - greedy and of greedier - mean of the four ranked rules, OOD, lie above 0",
        ("greedier-greedy/ood", "greedier-ranked/ood"),
        above("greedier-greedy/ood", "greedier-ranked/ood"),
    ),
    Claim(
        "diversity-not-all",
        "Diversity helps, but the most diverse choice is not the most accurate one.",
        "paper: abstract (our operationalisation)",
        "over random subsets: Spearman(diversity, OOD accuracy) > 0, and the most diverse subset falls short of the best tenth's "
        "mean, both 95 % intervals above 0. (The second half is weak: it mostly holds even where accuracy ignores diversity.)",
        ("subsets/rank_correlation", "subsets/most_diverse_shortfall"),
        above("subsets/rank_correlation", "subsets/most_diverse_shortfall"),
    ),
    Claim(
        "position-like-function",
        "Picking models that are far in weight space serves about as well as picking models that err differently.",
        "paper: abstract (our margin: one point)",
        "95 % interval of ranked-e-far - ranked-d-far, ID test, lies within +-1 point",
        ("e_far-d_far/id_test",),
        within("e_far-d_far/id_test", 1.0),
    ),
    Claim(
        "paths-part-and-meet",
        "The rules' soups move through different regions of weight space before they converge.",
        "paper: abstract (our operationalisation, in true distances rather than on the map)",
        "convergence = 1 - (spread of the rules' final soups / largest spread on the way); the 95 % interval of it, less the "
        "convergence of soups that grow as fast by random members, lies above 0",
        ("paths/convergence_beyond_chance",),
        above("paths/convergence_beyond_chance"),
    ),
    Claim(
        "soup-is-ensemble",
        "A soup predicts like the ensemble of its ingredients up to second order in their distance.",
        "background: DiWA (2022), first-order analysis",
        "95 % interval of the log-log slope of |soup - ensemble| against distance, models drawn together to 1/32 and less, "
        "lies within 2 +- 0.1",
        ("mechanics/slope_minus_two",),
        within("mechanics/slope_minus_two", 0.1),
        paper_number="2 (theory)",
    ),
)

STUDY = Study(
    slug="weight-ensembles",
    title="Weight ensembles: which models belong in the soup?",
    question="Given many models fine-tuned from one start, which should be averaged, and does their diversity tell us?",
    paper=(
        "A. Rojas and D. Alvarez-Melis, Understanding the Role of Functional Diversity in Weight-Ensembling with Ingredient "
        "Selection and Multidimensional Scaling, ICML 2024 Workshop on Foundation Models in the Wild, arXiv 2409.02347"
    ),
    reference="rojas2024",
    params=Params,
    claims=CLAIMS,
    minutes={"test": 0.2, "quick": 1.0, "laptop": 7.0, "paper": 6000.0},
    expected=(Expected("greedy/id_test", 91.7, 1.5), Expected("uniform-mean_single/ood", 2.6, 1.5)),
    headline="greedy/id_test",
    cover="map",
)
