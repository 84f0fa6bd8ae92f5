"""What the explorers of the dataset-geodesics study say in numbers."""

from collections.abc import Iterable

from lib.explorers.dataset_geodesics import stage
from lib.explorers.dataset_geodesics_state import Frame, Measurement, Scene
from lib.explorers.readout import Readout

CONVEX = 1e-8  # curvature below -CONVEX * max |M| is said


def readouts(scene: Scene, shown: Frame, measurement: Measurement | None) -> list[Readout]:
    """The read-outs of a frame. `measurement`: of this very state, or None."""
    now, state = stage(scene, shown.state), shown.state
    lines = [
        Readout("predicted f(a)", f"{shown.predicted:.4g}", _parts(shown)),
        Readout("exact distance", *_measured(shown, measurement)),
        Readout(
            "label entropy",
            f"{shown.entropy:.2f} bits",
            f"{shown.mixing_entropy:.2f} from mixing sources, {max(shown.entropy - shown.mixing_entropy, 0):.2f} within them",
        ),
        Readout("optimum a*", weights_text(now.best.weights.tolist()), f"f(a*) = {float(now.best.value):.4g}, {now.best.status}"),
        Readout("couplings", ", ".join(f"{cost:.3g}" for cost in now.costs.tolist()), f"cost by source; {now.certificate}",
                "NOT" in now.certificate),
    ]  # fmt: skip
    if state.estimator == "mixup":
        lines.append(
            Readout(
                "mixup", "no coupling", "f(a) is the cost of random pairs, not of the best; measure the distance itself", True
            )
        )
    scale = max(float(now.metric.pairwise.abs().max()), float(now.metric.linear.abs().max()))
    if now.best.curvature < -CONVEX * scale:
        text = "f is not convex on the simplex (labels make it so): other local optima may exist"
        lines.append(Readout("curvature", f"{now.best.curvature:.3g}", text, True))
    return lines


def weights_text(weights: Iterable[float]) -> str:
    """Mixing weights as text."""
    return " · ".join(f"{a:.2f}" for a in weights)


def _parts(shown: Frame) -> str:
    return f"features {shown.predicted_features:.4g} + labels {shown.predicted - shown.predicted_features:.3g}"


def _measured(shown: Frame, measurement: Measurement | None) -> tuple[str, str]:
    if measurement is None:
        return "–", "press “measure exact distance”"
    above = ""
    if measurement.features > 0:
        excess = max(shown.predicted_features / measurement.features - 1, 0.0)  # below by rounding at most
        above = f": f’s feature part is {100 * excess:.1f} % above"
    return f"{measurement.features:.4g}", f"W2² of features{above}; with labels, linear in them, {measurement.labelled:.4g}"
