"""The command line as a whole: its groups, and what happens to errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from ctsim.backends import BackendError

from ..store import BusyError
from . import building, checking, exporting, label, lesions, profiles, qa, scanning, serving, twin
from .console import errors

app = typer.Typer(
    name="lungtwin",
    help="Lung CT datasets with exact truth. Add --debug to any command for the full traceback of an error.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (building, scanning, checking, exporting, qa, serving):
    group.add_to(app)
app.add_typer(twin.app, name="twin")
app.add_typer(profiles.app, name="profiles")
app.add_typer(label.app, name="label")
app.add_typer(lesions.app, name="lesions")

USER_ERRORS = (ValueError, TypeError, OSError, BusyError, BackendError)
"""Mistakes in what was asked, files that cannot be read or written: one line each and exit status 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 fine, 1 a check failed, 2 a mistake in what was asked)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        status = app(args=words, prog_name="lungtwin", standalone_mode=True)
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:
        errors.print("\ninterrupted; finished work is kept, run the same command again to go on")
        return 130
    except USER_ERRORS as error:
        if debug:
            raise
        for line in str(error).splitlines() or [type(error).__name__]:
            errors.print(f"[bold red]error:[/] {_plain(line)}", highlight=False, soft_wrap=True)
        return 2
    return status if isinstance(status, int) else 0


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
