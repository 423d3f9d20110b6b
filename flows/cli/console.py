"""Where the command line prints: results to standard output, progress and errors to standard error.

With ``--json`` standard output gets exactly one JSON document (:func:`answer`), and what is meant for people goes to
standard error. With ``--quiet`` there is no progress; with both, nothing for people at all.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from ..progress import Report, TimeLeft

out = Console(soft_wrap=True)
errors = Console(stderr=True)

FIRST_LINE_S, LONGEST_SILENCE_S = 5.0, 300.0
"""Where no terminal shows a bar: a line of progress after this long, then ever more rarely, at least this often [s]."""


class _Wishes:
    """What the user asked of the output of the command that runs."""

    quiet = False
    as_json = False


def ask_for(*, quiet: bool = False, as_json: bool = False) -> None:
    """Set how this command prints; each command begins with neither."""
    _Wishes.quiet, _Wishes.as_json = quiet, as_json
    out.stderr, out.quiet = as_json, as_json and quiet


def answer(data: Any) -> None:
    """What a command found or made, printed where ``--json`` was asked for: paths as text, NaN and infinity as null."""
    if _Wishes.as_json:
        typer.echo(json.dumps(_plain(data), indent=1, ensure_ascii=True, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def tell_of_compilation(*, quiet: bool = False) -> None:
    """Say that kernels will be compiled first, where they will be: the one long wait of a fresh installation."""
    if quiet or _Wishes.quiet:
        return
    from ..study.compilation import compiling_s

    if (seconds := compiling_s()) > 0:
        errors.print(f"compiling kernels (once, about {seconds:.0f} s)")


@contextmanager
def bar(what: str, *, quiet: bool = False) -> Iterator[Report | None]:
    """Progress with the time left: a bar on a terminal, a line now and then elsewhere.

    Yields what a long function takes as ``progress`` (``(fraction, what)``); None where the user wants silence.
    """
    if quiet or _Wishes.quiet:
        yield None
    elif errors.is_terminal:
        with _bar(what) as report:
            yield report
    else:
        yield _lines(what)


@contextmanager
def single_bar(what: str, *, quiet: bool = False) -> Iterator[Any]:
    """As :func:`bar`, for one function; yields its ``progress(fraction)``, or None."""
    with bar(what, quiet=quiet) as report:
        yield None if report is None else (lambda fraction: report(fraction, what))


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """For work that cannot say how far it is: what is done and for how long, on a terminal alone."""
    if _Wishes.quiet or not errors.is_terminal:
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description:<34}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        progress.add_task(what, total=None)
        yield


@contextmanager
def _bar(what: str) -> Iterator[Report]:
    begun, left = time.monotonic(), TimeLeft()
    columns = (
        SpinnerColumn("line" if "utf" not in errors.encoding.lower() else "dots"),
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        _LeftColumn(begun, left),
    )
    with Progress(*columns, console=errors, transient=False) as progress:
        task = progress.add_task(what, total=1.0)

        def report(fraction: float, now: str) -> None:
            left.tell(fraction, time.monotonic() - begun)
            progress.update(task, completed=fraction, description=now)

        yield report
        progress.update(task, completed=1.0, description=what)


class _LeftColumn(ProgressColumn):
    """The time left."""

    def __init__(self, begun_s: float, left: TimeLeft) -> None:
        super().__init__()
        self._begun_s, self._left = begun_s, left

    def render(self, task: Task) -> Text:
        seconds = None if task.finished else self._left.at(time.monotonic() - self._begun_s)
        return Text("" if seconds is None else f"left {clock(seconds)}")


def _lines(what: str) -> Report:
    begun, left, next_s = time.monotonic(), TimeLeft(), FIRST_LINE_S

    def report(fraction: float, now: str) -> None:
        nonlocal next_s
        elapsed_s = time.monotonic() - begun
        left.tell(fraction, elapsed_s)
        if elapsed_s < next_s:
            return
        next_s = elapsed_s + min(LONGEST_SILENCE_S, max(FIRST_LINE_S, elapsed_s / 5))
        seconds = left.at(elapsed_s)
        rest = "" if seconds is None or fraction >= 1 else f", left {clock(seconds)}"
        step = "" if now == what else f"  {now}"
        errors.print(
            f"{what}  {100 * fraction:3.0f} %  {clock(elapsed_s)}{rest}{step}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    return report


def clock(seconds: float) -> str:
    """A duration as ``m:ss`` or ``h:mm:ss``."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
