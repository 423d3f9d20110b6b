"""Partial forms of specs: the same fields, ranges and descriptions, each of which may be left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator


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
