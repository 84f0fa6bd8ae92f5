"""Arms on equal terms: each is trained at every learning rate, and its rate is chosen on validation images."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from lib.distillation.setup import Setup
from lib.distillation.students import Arm, Students, train_students
from lib.distillation.task import Task
from lib.seeds import Seeds


@dataclass(frozen=True, eq=False)
class Tuned:
    """One student for each arm, at each rate. `best` [A]: the place of the rate whose student did best on validation."""

    arms: tuple[str, ...]
    students: Students
    validation: Float[Tensor, "L A"]
    best: Int64[Tensor, "A"]
    rates: tuple[float, ...]

    def table(self, task: Task) -> pd.DataFrame:
        """One row for each arm, in order: arm, lr, validation and test accuracy in % of the student at the chosen rate."""
        test = self._chosen(self.students.accuracy(task.x_test, task.y_test))
        columns = {
            "arm": self.arms,
            "lr": [self.rates[place] for place in self.best],
            "validation": self._chosen(self.validation),
        }
        return pd.DataFrame(columns | {"test": test})

    def on_class(self, task: Task, subject: int) -> dict[str, float]:
        """Arm -> accuracy in % on the test images of one class, at the rate chosen on all classes."""
        found = self._chosen(self.students.class_accuracy(task.x_test, task.y_test, subject))
        return dict(zip(self.arms, found, strict=True))

    def _chosen(self, values: Tensor) -> list[float]:
        return values.view(self.validation.shape).gather(0, self.best[None])[0].tolist()


def tuned(task: Task, x: Shaped[Tensor, "n ..."], arms: Sequence[Arm], setup: Setup, seeds: Seeds) -> Tuned:
    """Train one student for each arm and rate, all from one start. Errors: as `train_students`."""
    rates = [(f"{arm.name}, rate {lr:g}", lr, arm) for lr in setup.lrs for arm in arms]
    students = train_students(
        setup.network(task), x.to(task.y_train.device), [Arm(name, arm.labels, arm.rows) for name, _, arm in rates],
        students=1, steps=setup.steps, lr=[lr for _, lr, _ in rates], seeds=seeds, members_at_once=setup.members_at_once,
        **setup.student_recipe(task),
    )  # fmt: skip
    validation = students.accuracy(task.x_validation, task.y_validation).view(len(setup.lrs), len(arms))
    return Tuned(tuple(arm.name for arm in arms), students, validation, validation.argmax(0), setup.lrs)
