"""What the numbers of label maps mean: tables of known tools (``*.yaml``) and of the user's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ...specfile import parse_spec, read_spec, suggestion
from ...structures import Structure

KNOWN = ("totalsegmentator_v2", "totalsegmentator_v1", "maisi", "lungmask_lobes")
"""Tables that come with the package."""

LUNGS = "lungs"
"""Name of the scheme in which any label is lung, and sides are told by where it lies."""


def _structure(value: object) -> object:
    if isinstance(value, str):
        if value not in Structure.__members__:
            raise ValueError(f"unknown structure {value!r}{suggestion(value, list(Structure.__members__))}")
        return Structure[value]
    return value


class Label(BaseModel):
    """What one number means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    structure: Annotated[Structure, BeforeValidator(_structure)] = Field(
        description="Name of the anatomy id that it becomes, see twins.Structure [name]"
    )
    name: str = Field(default="", description="Name in the tool that made the map [name]")


def _label(value: object) -> object:
    return {"structure": value} if isinstance(value, str) else value


class LabelTable(BaseModel):
    """A table of label numbers, as in the YAML files of this folder.

    Examples
    --------
    A user's own table::

        source: our reading room, 2026
        labels:
          1: RIGHT_LUNG
          2: LEFT_LUNG
          7: {name: descending aorta, structure: AORTA}
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(default="own table", description="Where the table comes from [text]")
    labels: dict[int, Annotated[Label, BeforeValidator(_label)]] = Field(
        min_length=1, description="Label number, 1 to 65535, to its meaning [1]"
    )


@dataclass(frozen=True, slots=True)
class Scheme:
    """Label numbers by meaning.

    ``labels`` maps number to ``(structure, name in the tool)``; it is empty for :data:`LUNGS`.
    """

    name: str
    source: str
    labels: Mapping[int, tuple[Structure, str]]


def scheme(which: str | os.PathLike[str]) -> Scheme:
    """The table of that name, or of a YAML file (:class:`LabelTable`).

    Raises
    ------
    ValueError
        If there is no such table or file, or the file does not fit.

    Examples
    --------
    >>> scheme("totalsegmentator_v2").labels[10]
    (<Structure.LEFT_UPPER_LOBE: 13>, 'lung_upper_lobe_left')
    """
    name = os.fspath(which)
    if name == LUNGS:
        return Scheme(LUNGS, "lung masks of any kind", MappingProxyType({}))
    if name in KNOWN:
        text = files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
        return _scheme(name, parse_spec(text, LabelTable, name=f"{name}.yaml"))
    if not name.endswith((".yaml", ".yml")):
        raise ValueError(f"unknown label scheme {name!r}; known: {', '.join((*KNOWN, LUNGS))}, or a YAML file")
    return _scheme(os.path.basename(name), read_spec(which, LabelTable))  # noqa: PTH119 - no path is made of it


def _scheme(name: str, table: LabelTable) -> Scheme:
    wrong = [number for number in table.labels if not 1 <= number <= 65535]
    if wrong:
        raise ValueError(f"{name}: labels: numbers must lie between 1 and 65535, got {wrong[0]}")
    labels = {
        number: (label.structure, label.name or label.structure.name.lower()) for number, label in table.labels.items()
    }
    return Scheme(name, table.source, MappingProxyType(labels))


def by_label_names(names: Mapping[int, str]) -> Scheme | None:
    """The scheme that a label map names in its own header; ``None`` where its names are those of no known tool."""
    for known in KNOWN:
        table = scheme(known)
        if names and all(number in table.labels and table.labels[number][1] == name for number, name in names.items()):
            return table
    return None
