"""The command line as a whole: its groups, options that all commands share, and what happens to errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from ctsim.backends import BackendError

from ..store import BusyError
from . import building, checking, exporting, label, lesions, profiles, qa, running, scanning, serving, twin
from .console import ask_for, errors
from .shared import share_options

app = typer.Typer(
    name="lungtwin",
    help="Lung CT datasets with exact truth. Add --debug to any command for the full traceback of an error. Exit "
    "status: 0 done; 1 done, and something is wrong with what was checked; 2 a mistake in what was asked; 3 a fault of "
    "lungtwin; 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (building, running, scanning, checking, exporting, qa, serving):
    group.add_to(app)
app.add_typer(twin.app, name="twin")
app.add_typer(profiles.app, name="profiles")
app.add_typer(label.app, name="label")
app.add_typer(lesions.app, name="lesions")
share_options(app)

USER_ERRORS = (ValueError, TypeError, OSError, BusyError, BackendError, MemoryError)
"""Mistakes in what was asked, files that cannot be read or written, too little memory: one line each, and status 2."""

DONE, FOUND_FAULTS, WRONG_INPUT, OUR_FAULT, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit statuses."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (:data:`DONE` ...)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    ask_for()
    try:
        status = app(args=words, prog_name="lungtwin", standalone_mode=True)
    except SystemExit as end:
        status = end.code
    except USER_ERRORS as error:
        if debug:
            raise
        for line in str(error).splitlines() or [type(error).__name__]:
            errors.print(f"[bold red]error:[/] {_escaped(line)}", highlight=False, soft_wrap=True)
        return WRONG_INPUT
    except Exception:
        if debug:
            raise
        import traceback

        typer.echo(traceback.format_exc(), err=True, nl=False)
        errors.print("[bold red]error:[/] this is a fault of lungtwin, not of what was asked: please report it")
        return OUR_FAULT
    finally:
        ask_for()
    if status == INTERRUPTED:
        errors.print("\ninterrupted; finished work is kept, run the same command again to go on")
    return status if isinstance(status, int) else DONE


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
