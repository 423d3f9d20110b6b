"""Where the command line prints: results to standard output, errors and progress to standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from ..progress import Report

out = Console(soft_wrap=True)
errors = Console(stderr=True)


def tell_of_compilation(*, quiet: bool) -> None:
    """Say that kernels will be compiled first, where they will be: the one long wait of a fresh installation."""
    if quiet:
        return
    from ..study.compilation import compiling_s

    if (seconds := compiling_s()) > 0:
        errors.print(f"compiling kernels (once, about {seconds:.0f} s)")


@contextmanager
def bar(what: str, *, quiet: bool) -> Iterator[Report | None]:
    """A progress bar with the time left; yields what a build's ``progress`` takes (None when quiet)."""
    if quiet:
        yield None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=False) as progress:
        task = progress.add_task(what, total=1.0)

        def report(fraction: float, now: str) -> None:
            progress.update(task, completed=fraction, description=now)

        yield report
        progress.update(task, completed=1.0, description=what)


@contextmanager
def single_bar(what: str, *, quiet: bool = False) -> Iterator[object]:
    """A progress bar for one function; yields its ``progress(fraction)`` (None when quiet)."""
    with bar(what, quiet=quiet) as report:
        yield None if report is None else (lambda fraction: report(fraction, what))
