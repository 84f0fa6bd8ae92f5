"""Widgets made from a study's schema, so that a control can offer nothing that the schema refuses."""

from typing import Any

import ipywidgets as w
from pydantic.fields import FieldInfo

from lib.studies.params import choices, limits, type_name


def control(name: str, field: FieldInfo, value: Any, title: str = "") -> w.ValueWidget:
    """A control for one parameter: a menu for literals, a box for yes or no, a slider for a bounded number.

    The parameter's description is the tooltip. Raises ValueError for a field that has neither choices nor bounds.
    """
    common = {"description": title or name, "tooltip": field.description, "style": {"description_width": "initial"}}
    low, high = limits(field)
    kind = type_name(field)
    if kind == "bool":
        return w.Checkbox(value=value, indent=False, layout=w.Layout(width="auto"), **common)
    if options := choices(field):
        return w.Dropdown(options=options, value=value, layout=w.Layout(width="auto"), **common)
    if None in (low, high):
        raise ValueError(f"{name}: a control needs choices or bounds, the schema gives neither")
    slider = w.IntSlider if kind == "int" else w.FloatSlider
    return slider(value=value, min=low, max=high, continuous_update=False, **common)
