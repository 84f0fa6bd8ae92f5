"""One schema per study: typed, bounded, described parameters, checked before any kernel starts."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

SIZES = ("test", "quick", "laptop", "paper")


class ParamError(ValueError):
    """A parameter that the study cannot take; the message has one line per fault."""


def param(default: Any, description: str, unit: str = "", **bounds: Any) -> Any:
    """A field of a study's schema: default (the quick size), meaning, unit, and pydantic bounds."""
    return Field(default, description=description, json_schema_extra={"unit": unit}, **bounds)


class StudyParams(BaseModel):
    """Base of every study's parameters. Types are strict: 3.0 is no integer, "3" no number, NaN no float."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True)

    seed: int = param(0, "root of the seed tree; the same seed gives the same numbers", ge=0, le=2**32 - 1)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check typed values (from YAML or a notebook). Raises ParamError."""
        return _checked(cls, lambda: cls.model_validate(dict(values)), values)

    @classmethod
    def parse_strings(cls, values: Mapping[str, str], base: Mapping[str, Any] | None = None) -> Self:
        """Check text by declared type, on top of typed `base`; lists are comma-separated. Raises ParamError."""
        merged: dict[str, Any] = dict(base or {})
        for name, text in values.items():
            field = cls.model_fields.get(name)
            merged[name] = text if field is None else from_text(field, text)
        return cls.parse(merged)


def _checked(cls: type[StudyParams], make: Any, values: Mapping[str, Any]) -> Any:
    try:
        return make()
    except ValidationError as error:
        raise ParamError("\n".join(sorted({_line(cls, fault, values) for fault in error.errors()}))) from None


def _line(cls: type[StudyParams], fault: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """One fault as one line: the field, what was given, what is allowed."""
    name = str(fault["loc"][0]) if fault["loc"] else ""
    if name in cls.model_fields:
        return f"{name}: got {values.get(name)!r}, allowed: {allowed(cls.model_fields[name])}"
    if name:
        return f"{name}: got {values.get(name)!r}, but there is no such parameter; allowed: {', '.join(cls.model_fields)}"
    return str(fault["msg"]).removeprefix("Value error, ")


def from_text(field: FieldInfo, text: str) -> Any:
    """Text to the declared type; what does not parse stays text, for the schema to refuse."""
    if type_name(field) == "list":
        kind = _item(field)[0]
        return [_scalar(kind, part.strip()) for part in text.split(",") if part.strip()]
    return _scalar(field.annotation, text)


def _item(field: FieldInfo) -> tuple[Any, tuple[Any, ...]]:
    """Type and rules of a list's items: list[Annotated[float, Field(gt=0)]] -> float, (gt=0,)."""
    (inner,) = get_args(field.annotation)
    if not hasattr(inner, "__metadata__"):
        return inner, ()
    return inner.__origin__, tuple(rule for extra in inner.__metadata__ for rule in getattr(extra, "metadata", [extra]))


def _scalar(kind: Any, text: str) -> Any:
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    return text


def _bounds(metadata: Iterable[Any]) -> dict[str, Any]:
    found = {}
    for rule in metadata:
        found |= {key: value for key in ("ge", "gt", "le", "lt") if (value := getattr(rule, key, None)) is not None}
        found |= {key: value for key in ("min_length", "max_length") if (value := getattr(rule, key, None)) is not None}
    return found


def choices(field: FieldInfo) -> tuple[Any, ...]:
    """The allowed literals of a field (or of its list's items); empty where any value of the type will do."""
    annotation = _item(field)[0] if type_name(field) == "list" else field.annotation
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def limits(field: FieldInfo) -> tuple[float | None, float | None]:
    """Smallest and largest allowed number of a field, None where open."""
    found = _bounds(field.metadata)
    return found.get("ge", found.get("gt")), found.get("le", found.get("lt"))


def type_name(field: FieldInfo) -> str:
    """The field's type as it is written in a notebook's parameters cell: int, float, bool, str or list."""
    annotation = get_origin(field.annotation) or field.annotation
    return "str" if annotation is Literal else annotation.__name__


def allowed(field: FieldInfo) -> str:
    """What a field takes, in words."""
    kind = type_name(field)
    if values := choices(field):
        words = ", ".join(map(str, values))
    else:
        inner = _item(field)[0].__name__ if kind == "list" else kind
        words = {"int": "whole numbers", "float": "finite numbers", "bool": "true or false", "str": "text"}[inner]
    if kind == "list":
        return f"a list out of {_with_bounds(words, _item(field)[1])}{_with_bounds('', field.metadata, ', ')}"
    return _with_bounds(words, field.metadata)


def _with_bounds(words: str, metadata: Iterable[Any], before: str = " ") -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >=", "max_length": "length <="}
    rules = [f"{signs[k]} {v:g}" if abs(v) < 1e6 else f"{signs[k]} {v}" for k, v in _bounds(metadata).items()]
    return f"{words}{before}{' and '.join(rules)}" if rules else words


class _UniqueKeys(yaml.SafeLoader):
    """YAML 1.1 as papermill reads it, but a key that stands twice is an error rather than a silent overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse duplicates, then build the mapping as usual."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ParamError(f"{key}: stands {keys.count(key)} times, allowed: once")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """A flat parameter file. Raises ParamError that names the file for duplicate keys, bad YAML or no mapping."""
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except ParamError as error:
        raise ParamError(f"{path}: {error}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParamError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(loaded, dict):
        raise ParamError(f"{path}: got {type(loaded).__name__}, allowed: a flat mapping of parameter names to values")
    return loaded
