"""The distance explorer of the weight-ensembles study: a pure function from a state to what is to be seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from lib.ensembles.distances import Outputs, distance_to, set_diversity
from lib.ensembles.embedding import Embedding, embed, place, procrustes_align
from lib.ensembles.outcome import Outcome
from lib.ensembles.paths import map_points
from lib.ensembles.selection import Selection, check_members
from lib.ensembles.walk import Members
from lib.explorers.weight_ensembles_state import COLOURS, DISTANCES, HYPERPARAMETERS, RULES, SCORES, Frame, Manual, Path, State
from lib.seeds import Seeds


@dataclass(eq=False)
class Map:
    """The joint map of one distance: all ingredients, all rules' soups and the start, embedded once."""

    points: dict[Members, int]
    outputs: Outputs
    matrix: np.ndarray
    layouts: dict[str, Embedding] = field(default_factory=dict)
    diversity: dict[str, list[float | None]] = field(default_factory=dict)

    @property
    def singles(self) -> np.ndarray:
        """Distances between the ingredients alone, which come first on every map."""
        n = sum(len(members) == 1 for members in self.points)
        return self.matrix[:n, :n]


class Explorer:
    """Outcomes by held-out domain, and `frame(state)`. Selections, distances and maps are computed once and kept."""

    def __init__(self, outcomes: Mapping[str, Outcome], seeds: Seeds, **method: Any) -> None:
        """`method` (accept, reference, rerank) is what the outcomes were selected by; their selections are shown as they are."""
        if not outcomes:
            raise ValueError("outcomes: got none, allowed: at least one held-out domain")
        self.outcomes, self.seeds = outcomes, seeds
        self.first = State(next(iter(outcomes)), **method)
        self._selections: dict[tuple, Mapping[str, Selection]] = {
            replace(self.first, held_out=name).method: outcome.selections for name, outcome in outcomes.items()
        }
        self._maps: dict[tuple, Map] = {}
        self._latest: dict[str, tuple[dict[Members, int], np.ndarray]] = {}
        self._accuracy = lru_cache(maxsize=20_000)(self._score)

    def check(self, state: State) -> None:
        """Refuse a state that names what is not there (ValueError with the valid names)."""
        allowed = {
            "held_out": self.outcomes, "distance": DISTANCES, "colour_by": COLOURS,
        }  # fmt: skip
        for name, values in allowed.items():
            if getattr(state, name) not in values:
                raise ValueError(f"{name}: got {getattr(state, name)!r}, allowed: {', '.join(values)}")
        if unknown := [rule for rule in state.rules if rule not in RULES]:
            raise ValueError(f"rules: got {unknown[0]!r}, allowed: {', '.join(RULES)}")
        if state.step < 0:
            raise ValueError(f"step: got {state.step}, allowed: whole numbers >= 0")
        if state.manual:
            check_members(state.manual, len(self.outcomes[state.held_out].pool.flat))

    @property
    def distances(self) -> list[str]:
        """Names of the distances that every pool has (CKA needs a net with features)."""
        plain = all(outcome.pool.features for outcome in self.outcomes.values())
        return [name for name, (kind, _) in DISTANCES.items() if plain or kind != "one-minus-cka"]

    def selections(self, state: State) -> Mapping[str, Selection]:
        """What every rule chooses under the state's method."""
        if state.method not in self._selections:
            evaluator = self.outcomes[state.held_out].evaluator
            options = {"accept": state.accept, "reference": state.reference, "rerank": state.rerank}
            self._selections[state.method] = {
                rule: evaluator.choose(rule, "id_val", self.seeds.child(rule), **options) for rule in RULES
            }
        return self._selections[state.method]

    def map(self, state: State) -> Map:
        """Points and distances of the state's joint map."""
        key = (*state.method, state.distance)
        if key not in self._maps:
            kind, split = DISTANCES[state.distance]
            evaluator = self.outcomes[state.held_out].evaluator
            points = map_points(list(self.selections(state).values()), len(evaluator.singles))
            if kind == "cosine":  # theta_0 has no task vector, so no angle
                points = {members: i for i, members in enumerate(m for m in points if m)}
            outputs = evaluator.outputs(kind, list(points), split)
            matrix = evaluator.distances(kind, list(points), split).cpu().numpy()
            self._maps[key] = Map(points, outputs, matrix)
        return self._maps[key]

    def layout(self, state: State) -> tuple[Map, Embedding]:
        """The embedded map, turned so that it lies as near as can be to the one seen before."""
        shown = self.map(state)
        if state.embedding not in shown.layouts:
            found = embed(shown.matrix, state.embedding, self.seeds.child("map"))
            shown.layouts[state.embedding] = replace(found, points=self._turned(state.held_out, shown.points, found.points))
        found = shown.layouts[state.embedding]
        self._latest[state.held_out] = (shown.points, found.points)
        return shown, found

    def _turned(self, held_out: str, points: dict[Members, int], xy: np.ndarray) -> np.ndarray:
        """Align on the points that the new map shares with the latest one, brought to the same size."""
        if held_out not in self._latest:
            return xy
        known, seen = self._latest[held_out]
        shared = [m for m in points if m in known]
        here, there = xy[[points[m] for m in shared]], seen[[known[m] for m in shared]]
        size = [np.linalg.norm(part - part.mean(0)) for part in (here, there)]
        scale = size[0] / size[1] if min(size) > 0 else 1.0
        return procrustes_align(xy, there * scale, anchors=[points[m] for m in shared])

    def n_steps(self, state: State) -> int:
        """The last step at which a selected rule still tries something."""
        return max((len(self.selections(state)[rule].trace) - 1 for rule in state.rules), default=0)

    def frame(self, state: State) -> Frame:
        """What is to be seen in `state`. Raises ValueError for a state that cannot be."""
        self.check(state)
        outcome = self.outcomes[state.held_out]
        shown, found = self.layout(state)
        singles = outcome.evaluator.singles
        paths = tuple(self._path(state, rule, shown, found.points) for rule in state.rules)
        soups = [members for members in shown.points if len(members) > 1]
        colours = self._colours(state)
        return Frame(
            state=state,
            n_steps=self.n_steps(state),
            ingredients=found.points[[shown.points[m] for m in singles]],
            ood=np.array([self._accuracy(state.held_out, m, "ood") for m in singles]),
            colours=colours,
            colour_title=COLOURS[state.colour_by],
            hover=self._hover(state, shown, paths),
            start=found.points[[shown.points[()]]] if () in shown.points and state.show_start else np.empty((0, 2)),
            soups=found.points[[shown.points[m] for m in soups]] if state.show_soups else np.empty((0, 2)),
            soup_hover=[self._soup_hover(state, m) for m in soups] if state.show_soups else [],
            paths=paths,
            manual=self._manual(state, shown, found.points),
            stress=found.stress,
            rank_correlation=found.rank_correlation,
            extent=found.points[[place for members, place in shown.points.items() if members or state.show_start]],
        )

    def _score(self, held_out: str, members: Members, split: str) -> float:
        return 100 * self.outcomes[held_out].evaluator.accuracy([members], split)[0]

    def _colours(self, state: State) -> np.ndarray:
        outcome = self.outcomes[state.held_out]
        if state.colour_by in SCORES:
            return np.array([self._accuracy(state.held_out, m, state.colour_by) for m in outcome.evaluator.singles])
        if state.colour_by == "model":
            return np.arange(len(outcome.pool.flat), dtype=float)
        return outcome.pool.table[state.colour_by].to_numpy(dtype=float)

    def _path(self, state: State, rule: str, shown: Map, xy: np.ndarray) -> Path:
        trace = self.selections(state)[rule].trace
        t = min(state.step, len(trace) - 1)
        seen, now = trace[: t + 1], trace[t]
        where = [shown.points[tuple(sorted(step.members))] for step in seen if step.accepted]
        turned_down = [step.candidate for step in seen if not step.accepted] if state.show_rejected else []
        if rule not in shown.diversity:
            spreads = [set_diversity(shown.singles, step.members) for step in trace]
            shown.diversity[rule] = [each.value if each.defined else None for each in spreads]
        return Path(
            rule=rule,
            step=now,
            soups=xy[where],
            finished=t == len(trace) - 1,
            members=xy[list(now.members)],
            trial=None if now.candidate is None or t == 0 else xy[now.candidate],
            rejected=xy[sorted(set(turned_down) - set(now.members))],
            id_test=[self._accuracy(state.held_out, tuple(sorted(step.members)), "id_test") for step in trace],
            ood=[self._accuracy(state.held_out, tuple(sorted(step.members)), "ood") for step in trace],
            diversity=shown.diversity[rule],
            threshold=trace[t - 1].best if t else None,
        )

    def _hover(self, state: State, shown: Map, paths: tuple[Path, ...]) -> list[str]:
        outcome = self.outcomes[state.held_out]
        texts = []
        for k, row in enumerate(outcome.pool.table.to_dict("records")):
            scores = ", ".join(f"{title} {self._accuracy(state.held_out, (k,), split):.1f}" for split, title in SCORES.items())
            setting = ", ".join(f"{name} {row[name]:g}" for name in HYPERPARAMETERS)
            lines = [f"<b>model {k}</b>", f"accuracy %: {scores}", setting]
            for path in paths:
                distance = shown.matrix[shown.points[tuple(sorted(path.step.members))], k]
                entered = next((s.step for s in self.selections(state)[path.rule].trace if s.accepted and s.candidate == k), None)
                joins = "never enters" if entered is None else f"enters at step {entered}"
                lines.append(f"{path.rule}: {distance:.3g} from its soup, {joins}")
            texts.append("<br>".join(lines))
        return texts

    def _soup_hover(self, state: State, members: Members) -> str:
        scores = ", ".join(f"{title} {self._accuracy(state.held_out, members, split):.1f}" for split, title in SCORES.items())
        return f"<b>soup of {len(members)}</b>: {', '.join(map(str, members))}<br>accuracy %: {scores}"

    def _manual(self, state: State, shown: Map, xy: np.ndarray) -> Manual | None:
        """The reader's soup, scored now, and put on the map without moving anything else."""
        if not state.manual:
            return None
        members = tuple(sorted(state.manual))
        evaluator = self.outcomes[state.held_out].evaluator
        kind, split = DISTANCES[state.distance]
        if members in shown.points:
            point = xy[shown.points[members]]
        else:
            away = distance_to(kind, evaluator.outputs(kind, [members], split), shown.outputs)
            point = place(away.cpu().numpy(), xy)
        spread = set_diversity(shown.singles, members)
        scores = {name: self._accuracy(state.held_out, members, name) for name in SCORES}
        return Manual(members, point, scores, spread.value if spread.defined else None)
