"""Options that every command has, added in one place: ``--quiet`` and ``--json``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from .console import ask_for

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, results only.")]
Json = Annotated[
    bool, typer.Option("--json", help="The result as JSON on standard output, all else on standard error.")
]


def share_options(app: typer.Typer) -> None:
    """Give every command of ``app``, and of its groups, the options that it does not declare itself."""
    app.rich_markup_mode = "markdown"  # "rich" would take units in brackets for its own tags
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = _with_options(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            share_options(group.typer_instance)


def _with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The command with both options, which set how it prints before it begins."""
    hints = get_type_hints(function, include_extras=True)
    signature = inspect.signature(function)
    own = [p.replace(annotation=hints[p.name]) for p in signature.parameters.values()]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("quiet", Quiet), ("as_json", Json))
        if name not in signature.parameters
    ]

    @wraps(function)
    def command(**given: Any) -> Any:
        ask_for(quiet=given["quiet"], as_json=given["as_json"])
        return function(**{name: value for name, value in given.items() if name in signature.parameters})

    command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*own, *added]} | {"return": hints.get("return")}
    return command
