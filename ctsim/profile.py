"""A scanner model with its named protocols and kernels, each number with its source: ``profiles/*.yaml``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from twins.specfile import parse_spec, read_spec, suggestion

from .protocol import Protocol
from .recon.kernels import Kernel
from .scanner import Scanner


class Provenance(BaseModel):
    """Where some of the scanner's numbers come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fields: tuple[str, ...] = Field(min_length=1, description="Fields of the scanner, e.g. detector.n_columns")
    source: str = Field(min_length=1, description="Paper, standard, manual, open code, or why this value was chosen")
    status: Literal["measured", "published", "estimated"] = Field(description="How sure they are")


class Profile(BaseModel):
    """A scanner, what it can be asked for by name, and where its numbers come from.

    Raises
    ------
    ValueError
        If a number of the scanner has no source, a protocol is impossible on the scanner or names an unknown kernel, or
        names repeat.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name of the profile")
    scanner: Scanner = Field(description="The hardware")
    sources: tuple[Provenance, ...] = Field(min_length=1, description="Where the scanner's numbers come from")
    kernels: tuple[Kernel, ...] = Field(min_length=1, description="Reconstruction kernels by the MTF of their images")
    protocols: tuple[Protocol, ...] = Field(min_length=1, description="Named protocols")

    @model_validator(mode="after")
    def _is_whole(self) -> Profile:
        covered = [field for entry in self.sources for field in entry.fields]
        numbers = list(_numbers(self.scanner.model_dump()))
        bare = [n for n in numbers if not any(n == field or n.startswith(field + ".") for field in covered)]
        if bare:
            raise ValueError(f"sources: no source is given for {', '.join(f'scanner.{name}' for name in bare)}")
        idle = [field for field in covered if not any(n == field or n.startswith(field + ".") for n in numbers)]
        if idle:
            raise ValueError(f"sources: the scanner has no number {', '.join(idle)}")
        for what, names in (
            ("kernels", [k.name for k in self.kernels]),
            ("protocols", [p.name for p in self.protocols]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"names of {what} must differ, got {names}")
        for protocol in self.protocols:
            protocol.check_on(self.scanner)
            try:
                self.kernel(protocol.reconstruction.kernel)
            except ValueError as error:
                raise ValueError(f"protocol {protocol.name!r}: {error}") from None
        return self

    def provenance(self, field: str) -> Provenance:
        """Where a number of the scanner comes from.

        Parameters
        ----------
        field
            Dotted name below the scanner, e.g. ``detector.n_columns`` or ``bowties.body.thickness_mm``.

        Raises
        ------
        ValueError
            If no source covers that field.
        """
        for entry in self.sources:
            if any(field == covered or field.startswith(covered + ".") for covered in entry.fields):
                return entry
        raise ValueError(f"sources: no source is given for scanner.{field}")

    def check_kernels(self) -> None:
        """Refuse protocols whose kernel is sharper than their own sampling carries.

        Raises
        ------
        ValueError
            Listing them, each with what its sampling allows.
        """
        from .recon.chain import scanner_chain
        from .recon.filtering import window
        from .sampling import Sampling

        problems = []
        for protocol in self.protocols:
            chain = scanner_chain(self.scanner, protocol, Sampling())
            try:
                window(self.kernel(protocol.reconstruction.kernel), chain, 0.0)
            except ValueError as error:
                problems.append(f"protocol {protocol.name!r}: {error}")
        if problems:
            raise ValueError("; ".join(problems))

    def protocol(self, name: str) -> Protocol:
        """The protocol of that name.

        Raises
        ------
        ValueError
            If there is none; the message lists those there are.
        """
        for candidate in self.protocols:
            if candidate.name == name:
                return candidate
        raise ValueError(
            f"unknown protocol {name!r} of profile {self.name!r}{suggestion(name, [p.name for p in self.protocols])}"
        )

    def kernel(self, name: str) -> Kernel:
        """The kernel of that name.

        Raises
        ------
        ValueError
            If there is none; the message lists those there are.
        """
        for candidate in self.kernels:
            if candidate.name == name:
                return candidate
        raise ValueError(
            f"unknown kernel {name!r} of profile {self.name!r}{suggestion(name, [k.name for k in self.kernels])}"
        )


def profile_names() -> tuple[str, ...]:
    """Names of the profiles that come with the package.

    Examples
    --------
    >>> "siemens_definition_as" in profile_names()
    True
    """
    folder = files(__package__).joinpath("profiles")
    return tuple(sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")))


def load_profile(name_or_path: str | os.PathLike[str]) -> Profile:
    """A profile that comes with the package, or one of your own.

    Parameters
    ----------
    name_or_path
        A name of :func:`profile_names`, or the path of a YAML file (recognised by its suffix ``.yaml`` or ``.yml``).

    Raises
    ------
    ValueError
        If there is no such profile, or the file does not describe one; all problems are listed with their lines.

    Examples
    --------
    >>> load_profile("siemens_definition_as").scanner.source_distance_mm
    595.0
    """
    if Path(name_or_path).suffix in {".yaml", ".yml"}:
        return read_spec(name_or_path, Profile)
    name = str(name_or_path)
    if name not in profile_names():
        raise ValueError(f"unknown profile {name!r}{suggestion(name, profile_names())}")
    return _shipped(name)


@cache
def _shipped(name: str) -> Profile:
    """A profile of the package, read once: reading takes half a second, and the value is frozen."""
    text = files(__package__).joinpath(f"profiles/{name}.yaml").read_text(encoding="utf-8")
    return parse_spec(text, Profile, name=f"{name}.yaml")


def _numbers(data: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of the fields that hold numbers; tables are one field, absent things none."""
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{key}.")
        elif not isinstance(value, str) and value is not None and value != ():
            yield prefix + key
