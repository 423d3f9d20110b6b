"""Partial forms of specs: the same fields, ranges and descriptions, each of which may be left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import cache
from operator import itemgetter
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

Model = TypeVar("Model", bound=BaseModel)


def partial(
    model: type[BaseModel],
    name: str,
    *,
    check: Callable[[dict[str, Any]], object] | None = None,
    more: Mapping[str, Any] | None = None,
) -> type[BaseModel]:
    """A frozen model ``name`` with the fields of ``model``, all optional (None = not given).

    Ranges hold as in ``model``; its validators across fields do not. ``check`` gets the given fields and raises
    ValueError where they contradict each other. ``more`` are further fields, as for :func:`pydantic.create_model`.
    """
    fields: dict[str, Any] = {}
    for field, info in model.model_fields.items():
        annotation: Any = info.annotation
        if info.metadata:
            annotation = Annotated[(annotation, *info.metadata)]
        fields[field] = (annotation | None, Field(default=None, description=info.description))
    validators: dict[str, Any] = {}
    if check is not None:
        checker = check

        def agree(self: BaseModel) -> BaseModel:
            checker(given(self))
            return self

        validators["agree"] = model_validator(mode="after")(agree)
    return create_model(
        name,
        __config__=ConfigDict(frozen=True, extra="forbid"),
        __doc__=f"A {model.__name__} of which each field may be left out.",
        __validators__=validators,
        **fields,
        **(more or {}),
    )


def given(fields: BaseModel) -> dict[str, Any]:
    """The fields of a partial form that were given, as plain values."""
    return {name: value for name, value in fields if value is not None}


def copied(whole: BaseModel, model: type[Model], **more: Any) -> Model:
    """All fields of ``model`` taken over from one that has them, without a second check; ``more`` are further ones.

    For specs that were checked when they were drawn, on their way into a resolved study and out of it: a plan has
    tens of thousands of them.
    """
    template, names, taken = _template(model, type(whole), tuple(more))
    made: Model = copy(template)
    vars(made).update(zip(names, taken(vars(whole)), strict=True), **more)
    return made


@cache
def _template(
    model: type[Any], source: type[BaseModel], more: tuple[str, ...]
) -> tuple[Any, tuple[str, ...], Callable[[dict[str, Any]], tuple[Any, ...]]]:
    """A form to be filled in, the fields that both have, and what takes their values out of a dict."""
    names = tuple(name for name in model.model_fields if name in source.model_fields)
    return model.model_construct(_fields_set={*names, *more}), names, itemgetter(*names)
