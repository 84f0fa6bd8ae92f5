"""One style for every figure: readable in print, colour-blind-safe, labelled axes."""

import matplotlib as mpl
from cycler import cycler

# Okabe and Ito's palette, told apart by all common forms of colour vision; the yellow is darkened for white paper.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#B8860B", "#000000", "#7F7F7F")
SEQUENTIAL = "viridis"

STYLE = {
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "savefig.bbox": "tight",
    "savefig.facecolor": "white",
    "svg.hashsalt": "studies",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=PALETTE),
    "legend.frameon": False,
    "legend.fontsize": 9,
    "image.cmap": SEQUENTIAL,
    "lines.linewidth": 1.8,
}


def use_style() -> None:
    """Make the suite's style the default of this process."""
    mpl.rcParams.update(STYLE)
