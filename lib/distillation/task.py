"""A classification task: images in three parts that never meet."""

import math
from dataclasses import dataclass

from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from lib.distillation.whitening import Whitening


@dataclass(frozen=True, eq=False)
class Task:
    """A classification task on grey or on colour images.

    Grey: `shape` (h, w); rows x [n, d] are flat images, standardised by mean and sd of all training pixels, float32.
    Colour: `shape` (3, h, w); rows x [n, 3, h, w] are bytes, which networks standardise by `mean` and `sd` of each channel, on
    the scale 0..1; or, with `whitening`, float32 that need no more (mean 0, sd 1).
    Labels are on the device to compute on, and so are images, but for those that are too many: they stay in a file.
    Experts learn from the training part and students' images are drawn from it; epochs and rates are chosen on the
    validation part; the test part is for the final numbers alone. No image, and no half of a pair, is in two parts.
    """

    name: str
    shape: tuple[int, ...]
    class_names: tuple[str, ...]
    mean: float | tuple[float, ...]
    sd: float | tuple[float, ...]
    x_train: Shaped[Tensor, "n *row"]
    y_train: Int64[Tensor, "n"]
    x_validation: Shaped[Tensor, "v *row"]
    y_validation: Int64[Tensor, "v"]
    x_test: Shaped[Tensor, "t *row"]
    y_test: Int64[Tensor, "t"]
    whitening: Whitening | None = None

    @property
    def classes(self) -> int:
        """C."""
        return len(self.class_names)

    @property
    def colour(self) -> bool:
        """Whether images have three channels."""
        return len(self.shape) == 3

    @property
    def channels(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        c, h, w = self.shape if self.colour else (1, *self.shape)
        return c, h, w

    @property
    def pixels(self) -> int:
        """Numbers in one image."""
        return math.prod(self.shape)

    def pictures(self, x: Shaped[Tensor, "k *row"]) -> Float[Tensor, "k h w *rgb"]:
        """Rows as images in 0..1 again, for looking at: grey levels [k, h, w], or colours [k, h, w, 3]."""
        if not self.colour:
            return (x * self.sd + self.mean).clamp(0, 1).unflatten(1, self.shape)  # back, up to a rounding
        levels = x.float() / 255 if self.whitening is None else self.whitening.undone(x).clamp(0, 1)
        return levels.permute(0, 2, 3, 1)
