"""Specs in YAML files: read with a model, and say exactly what is wrong and where."""

from __future__ import annotations

import difflib
import os
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase, CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError

Spec = TypeVar("Spec", bound=BaseModel)


_KINDS = {
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "model_type": "must be fields (key: value)",
    "model_attributes_type": "must be fields (key: value)",
    "dict_type": "must be fields (key: value)",
}
"""What pydantic says of Python's types, in words of YAML."""

_PLAIN = {bool, int, float, str, type(None)}

_RANGE_ERRORS = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}


class SpecError(ValueError):
    """A spec that cannot be used; the message names file, line, field, value and what would be right."""


def read_spec(path: str | os.PathLike[str], model: type[Spec]) -> Spec:
    """Read a YAML file as ``model``.

    Raises
    ------
    SpecError
        If the file is missing, is not YAML, or does not fit the model. All problems are listed, one per line:
        ``study.yaml:12: protocols.0.kvp: 40 is less than the minimum of 70``.
    """
    return parse_spec(_read_text(path), model, name=str(path))


def parse_spec(text: str, model: type[Spec], *, name: str) -> Spec:
    """Read YAML text as ``model``; ``name`` stands for the file in messages. Raises :class:`SpecError`."""
    data = _parse(text, name)
    if not isinstance(data, CommentedMap):
        raise SpecError(f"{name}:1: expected fields (key: value), found {_kind(data)}")
    return check_spec(data, model, name=name)


def check_spec(data: Any, model: type[Spec], *, name: str) -> Spec:
    """Validate plain data as ``model``; lines are named where ``data`` came from YAML. Raises :class:`SpecError`."""
    try:
        return model.model_validate(_plain(data))
    except ValidationError as error:
        errors: list[dict[str, Any]] = [dict(e) for e in error.errors(include_url=False)]
        # a list that lost its wrong entries is no second mistake
        errors = [e for e in errors if e["type"] != "too_short" or not _has_deeper(e["loc"], errors)]
        problems = sorted(
            (_line(_real_location(e["loc"], data), data) or 0, _problem(e, data, model, name)) for e in errors
        )
        raise SpecError("\n".join(dict.fromkeys(text for _, text in problems))) from None


def suggestion(word: str, known: Sequence[str]) -> str:
    """``"; did you mean 'x'?"``, or the known words where none is near."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}"


def _read_text(path: str | os.PathLike[str]) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read: {error}") from None


def _parse(text: str, name: str) -> Any:
    try:
        return YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError(f"{name}:{line}: not valid YAML: {error.problem or error.context}") from None


def _has_deeper(location: Sequence[Any], errors: Sequence[dict[str, Any]]) -> bool:
    n = len(location)
    return any(len(e["loc"]) > n and tuple(e["loc"][:n]) == tuple(location) for e in errors)


def _problem(error: dict[str, Any], data: Any, model: type[BaseModel], name: str) -> str:
    location = _real_location(error["loc"], data)
    line = _line(location, data)
    place = f"{name}:{line}" if line else name
    field = ".".join(str(part) for part in location) or "(top)"
    if error["type"] == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        return f"{place}: {field}: unknown key{suggestion(str(location[-1]), known) if known else ''}"
    if error["type"] == "missing":
        return f"{place}: {field}: required, but not given"
    bounds = _range_at(model, location) if error["type"] in _RANGE_ERRORS else ""
    said = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    message = bounds or _KINDS.get(error["type"], said)
    value = error.get("input")
    shown = "" if isinstance(value, dict | list) or (str(value) in message and not bounds) else f" (got {value!r})"
    return f"{place}: {field}: {message}{shown}"


def _real_location(location: Sequence[Any], data: Any) -> tuple[Any, ...]:
    """Drop the union tags that pydantic puts into a location and that are not keys of the data."""
    here, real = data, []
    for position, part in enumerate(location):
        if isinstance(part, str) and "[" in part:  # the name of a validator or of a choice
            continue
        if isinstance(here, dict):
            if part not in here and isinstance(part, str) and part.isdigit() and int(part) in here:
                part = int(part)
            if part in here:
                here = here[part]
            elif position < len(location) - 1:
                continue
            else:
                here = None
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        elif position < len(location) - 1 or here is not None:
            continue
        real.append(part)
    return tuple(real)


def _line(location: Sequence[Any], data: Any) -> int | None:
    here, line = data, None
    if isinstance(here, CommentedBase):
        line = here.lc.line + 1
    for part in location:
        try:
            if isinstance(here, CommentedMap):
                line = here.lc.key(part)[0] + 1
            elif isinstance(here, CommentedSeq):
                line = here.lc.item(part)[0] + 1
            here = here[part]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return line


def _fields_at(model: type[BaseModel], location: Sequence[Any]) -> list[str]:
    return sorted({field for candidate in _models_at(model, location) for field in candidate.model_fields})


def _models_at(model: type[BaseModel], location: Sequence[Any]) -> list[type[BaseModel]]:
    """The models that may stand at ``location`` (several where the annotation is a union)."""
    models = [model]
    for part in location:
        inner: list[type[BaseModel]] = []
        for candidate in models:
            if isinstance(part, int) or part not in candidate.model_fields:
                inner.append(candidate)
            else:
                inner.extend(_models_in(candidate.model_fields[part].annotation))
        models = inner
    return models


def _range_at(model: type[BaseModel], location: Sequence[Any]) -> str:
    """``"must be between 70 and 150"`` for the field at ``location``, empty where it has no plain bounds."""
    for candidate in _models_at(model, location[:-1]):
        field = candidate.model_json_schema().get("properties", {}).get(str(location[-1]), {})
        for rule in (field, *field.get("anyOf", ())):
            low = _bound(rule, "minimum", "exclusiveMinimum", "above")
            high = _bound(rule, "maximum", "exclusiveMaximum", "below")
            if low and high:
                return f"must be between {low} and {high}"
    return ""


def _bound(rule: dict[str, Any], closed: str, opened: str, word: str) -> str:
    if closed in rule:
        return f"{rule[closed]:g}"
    return f"{word} {rule[opened]:g}" if opened in rule else ""


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, types.GenericAlias | types.UnionType) or typing.get_origin(annotation) is not None:
        return [found for argument in typing.get_args(annotation) for found in _models_in(argument)]
    return []


def _plain(data: Any) -> Any:
    if type(data) in _PLAIN:
        return data
    if isinstance(data, dict):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    for kind in (bool, int, float, str):
        if isinstance(data, kind) and type(data) is not kind:
            return kind(data)
    return data


def _kind(data: Any) -> str:
    if data is None:
        return "nothing"
    return "a list" if isinstance(data, list) else f"{data!r}"
