"""A CSV file as people have it: text kept as it stands, columns read by name when they are needed."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labeling.vocabulary import Kind
from twins.files import replacing

from ..tables import spelled

NOT_KNOWN = ("", "na", "n/a", "nan", "none", "null")
"""What stands for not known in a cell, whatever the case."""

YES, NO = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")


@dataclass(frozen=True, slots=True, eq=False)
class CsvFile:
    """Cells as text; ``lines`` are the line numbers of the rows in the file, the first line being 1."""

    path: Path
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def texts(self, name: str) -> list[str]:
        """Cells of one column.

        Raises
        ------
        ValueError
            If there is no such column; the message lists those there are.
        """
        if name not in self.names:
            raise ValueError(f"{self.path}: no column {name!r}; there are {', '.join(self.names)}")
        position = self.names.index(name)
        return [row[position] for row in self.rows]

    def values(self, name: str, kind: Kind, wanted: str | None = None) -> list[Any]:
        """Values of one column: numbers, true or false, or names; None where not known.

        ``wanted`` says in an error what is accepted, where that is more than the kind.

        Raises
        ------
        ValueError
            If there is no such column or a cell is not of that kind; the message names file, line and column.
        """
        parse = _PARSERS[kind]
        found: list[Any] = []
        for line, text in zip(self.lines, self.texts(name), strict=True):
            bare = text.strip()
            if bare.lower() in NOT_KNOWN:
                found.append(None)
                continue
            try:
                found.append(parse(bare))
            except ValueError as error:
                raise self.mistake(name, line, f"must be {wanted or error}, got {text!r}") from None
        return found

    def mistake(self, name: str, line: int, what: str) -> ValueError:
        """The error of one cell."""
        return ValueError(f"{self.path}, line {line}, column {name!r}: {what}")


def read_csv(path: str | os.PathLike[str]) -> CsvFile:
    """Read a CSV file (UTF-8, comma, one header line). Blank lines are left out.

    Raises
    ------
    ValueError
        If columns are not separated by commas, there is no header or no row, a name is empty or occurs twice, or a row
        has too few or too many cells.
    """
    file = Path(path)
    rows, lines = [], []
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, strict=True)
            names = tuple(name.strip() for name in next(reader, []))
            if len(names) == 1 and (other := [mark for mark in (";", "\t") if mark in names[0]]):
                raise ValueError(
                    f"{file}: columns must be separated by commas, the header is separated by {other[0]!r}"
                )
            for row in reader:
                if not row:
                    continue
                if len(row) != len(names):
                    raise ValueError(
                        f"{file}, line {reader.line_num}: {len(row)} cells, the header has {len(names)} columns"
                    )
                rows.append(tuple(row))
                lines.append(reader.line_num)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not a CSV file (UTF-8, comma): {error}") from None
    if not names or not rows:
        raise ValueError(f"{file}: a header line and at least one row are needed")
    wrong = sorted({name or "(empty)" for name in names if not name or names.count(name) > 1})
    if wrong:
        raise ValueError(f"{file}: column names must be given once each; empty or given twice: {', '.join(wrong)}")
    return CsvFile(file, names, tuple(rows), tuple(lines))


def write_csv(path: str | os.PathLike[str], source: CsvFile, added: Mapping[str, Sequence[Any]]) -> None:
    """Write the rows of ``source`` unchanged, with more columns; numbers have nine significant digits.

    Raises
    ------
    ValueError
        If a column of that name is there already, or ``path`` is the file that was read.
    """
    if Path(path).exists() and Path(path).samefile(source.path):
        raise ValueError(f"{source.path}: the table read would be overwritten; give another file to write")
    twice = [name for name in added if name in source.names]
    if twice:
        raise ValueError(f"{source.path}: has columns already that are to be added: {', '.join(twice)}")
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([*source.names, *added])
        columns = list(added.values())
        for i, row in enumerate(source.rows):
            writer.writerow([*row, *(spelled(column[i]) for column in columns)])


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("a number")
    return value


def _yes_no(text: str) -> bool:
    word = text.lower()
    if word not in (*YES, *NO):
        raise ValueError("true or false (also yes, no, 1, 0)")
    return word in YES


_PARSERS: dict[Kind, Callable[[str], Any]] = {"number": _number, "yes_no": _yes_no, "name": str}
