"""Show a widget where somebody can touch it, and a still picture of it where nobody can."""

import base64
import io

import ipywidgets as w
import matplotlib.pyplot as plt
from matplotlib.figure import Figure


def png(figure: Figure, dpi: int = 110) -> str:
    """The figure as base64 PNG; the figure is closed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()


def show(widget: w.Widget, still: Figure) -> None:
    """Display both in one output: front ends with a kernel take the live widget, stored pages take the picture."""
    from IPython.display import display

    bundle = dict(widget._repr_mimebundle_())
    bundle["image/png"] = png(still)
    display(bundle, raw=True)
