"""The schema's written faces: the notebook's parameters cell and the YAML files, generated so that they cannot drift.

`python -m lib.studies.faces` rewrites both from the schema, for every study of the suite; the tests refuse a difference.
"""

import json
from typing import Any

import yaml

from lib.studies.params import SIZES, StudyParams, read_yaml, type_name
from lib.studies.registry import SLUGS, find
from lib.studies.study import Entry


def _comment(schema: type[StudyParams], name: str) -> str:
    field = schema.model_fields[name]
    unit = (field.json_schema_extra or {}).get("unit", "")  # type: ignore[union-attr]
    return f"{field.description}{f' [{unit}]' if unit else ''}"


def parameters_cell(schema: type[StudyParams]) -> str:
    """The source of the cell tagged `parameters`: typed literals at quick size, a comment for each."""
    lines = []
    for name, field in schema.model_fields.items():
        literal = json.dumps(field.default) if isinstance(field.default, str | list) else repr(field.default)
        lines.append(f"{name}: {type_name(field)} = {literal}  # {_comment(schema, name)}")
    return "\n".join(lines)


def _yaml_value(value: Any) -> str:
    """One value in a form that YAML 1.1 readers give back with the same type (1e-06 would come back as text)."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")
    return text.strip()


def yaml_text(schema: type[StudyParams], params: StudyParams, title: str) -> str:
    """A parameter file: every field, its value, and what it means."""
    rows = [f"{name}: {_yaml_value(value)}" for name, value in params.model_dump().items()]
    width = max(map(len, rows)) + 2
    lines = [f"{row:<{width}}# {_comment(schema, name)}" for row, name in zip(rows, schema.model_fields, strict=True)]
    return "\n".join([f"# {title}", *lines]) + "\n"


def size_title(entry: Entry, size: str) -> str:
    """The first line of a size's file."""
    return f"{entry.study.slug} at {size} size: papermill notebooks/{entry.study.slug}.ipynb out.ipynb -f this-file"


def sync(entry: Entry) -> None:
    """Rewrite the parameters cell and the YAML files of one study; values in the files stay, new fields get defaults."""
    schema = entry.study.params
    for size in SIZES:
        path = entry.size_file(size)
        kept = {} if size == "quick" or not path.exists() else read_yaml(path)
        params = schema.parse({name: value for name, value in kept.items() if name in schema.model_fields})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml_text(schema, params, size_title(entry, size)), encoding="utf-8")
    if entry.notebook.exists():
        notebook = json.loads(entry.notebook.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if "parameters" in cell["metadata"].get("tags", []):
                cell["source"] = parameters_cell(schema).splitlines(keepends=True)
        entry.notebook.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for slug in SLUGS:
        sync(find(slug))
