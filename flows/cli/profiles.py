"""``lungtwin profiles list|show|validate|diff``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import answer, out

if TYPE_CHECKING:
    from ctsim import Profile
    from ctsim.facts import Fact

app = typer.Typer(
    help="Scanner profiles: hardware, protocols and kernels, each number with its source.", no_args_is_help=True
)

NamedOrFile = Annotated[str, typer.Argument(metavar="PROFILE", help="Name, or a YAML file.")]


@app.command("list")
def list_profiles() -> None:
    """Names of the profiles that come with the package, protocols, kernels, and how much of them is sourced."""
    from rich.table import Table
    from rich.text import Text

    from ctsim import load_profile, profile_names

    listed = []
    for name in profile_names():
        profile = load_profile(name)
        scanner = f"{profile.scanner.manufacturer} {profile.scanner.model}"
        out.print(Text.assemble((name, "bold"), f"  {scanner}; {_share(profile)} values are not estimated"))
        names = Table.grid(padding=(0, 2, 0, 0))
        names.add_row("", "protocols", ", ".join(protocol.name for protocol in profile.protocols))
        names.add_row("", "kernels", ", ".join(kernel.name for kernel in profile.kernels))
        out.print(names)
        listed.append(_summary(profile))
    answer(listed)


@app.command("show")
def show(profile: NamedOrFile) -> None:
    """All values of a profile as YAML that can be loaded again; what is estimated is marked so."""
    from ctsim import load_profile

    found = load_profile(profile)
    out.file.write(_as_yaml(found))
    answer(found.model_dump(mode="json", exclude_none=True))


@app.command("validate")
def validate(file: Annotated[Path, typer.Argument(help="A profile of your own (YAML).")]) -> None:
    """Check a profile file: fields, ranges, sources, protocols the hardware can do, kernels within the sampling."""
    from ctsim import load_profile

    profile = load_profile(file)
    try:
        profile.check_kernels()
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    out.print(
        f"{file}: fine; {len(profile.protocols)} protocols, {len(profile.kernels)} kernels; "
        f"{_share(profile)} values are not estimated"
    )
    answer(_summary(profile))


@app.command("diff")
def diff(
    first: NamedOrFile,
    second: Annotated[str, typer.Argument(metavar="OTHER", help="Name, or a YAML file.")],
) -> None:
    """Fields in which two profiles differ, side by side; ~ marks what is estimated, - what one of them lacks."""
    from rich.table import Column, Table

    from ctsim import load_profile
    from ctsim.facts import differences

    a, b = load_profile(first), load_profile(second)
    table = Table(*(Column(title, overflow="fold") for title in ("field", a.name, b.name)))
    found = differences(a, b)
    for difference in found:
        table.add_row(difference.field, _shown(difference.first), _shown(difference.second))
    if found:
        out.print(table)
    out.print(f"{len(found)} differences")
    answer([{"field": d.field, a.name: _shown(d.first), b.name: _shown(d.second)} for d in found])


def _summary(profile: Profile) -> dict[str, Any]:
    not_estimated, sourced = _counts(profile)
    return {
        "profile": profile.name,
        "manufacturer": profile.scanner.manufacturer,
        "model": profile.scanner.model,
        "protocols": [protocol.name for protocol in profile.protocols],
        "kernels": [kernel.name for kernel in profile.kernels],
        "n_values": sourced,
        "n_not_estimated": not_estimated,
    }


def _share(profile: Profile) -> str:
    return "{} of {}".format(*_counts(profile))


def _counts(profile: Profile) -> tuple[int, int]:
    """Values that are not estimated, of all that have a source."""
    from ctsim.facts import facts

    sourced = [fact for fact in facts(profile) if fact.source]
    return sum(fact.status != "estimated" for fact in sourced), len(sourced)


def _shown(fact: Fact | None) -> str:
    from ctsim.facts import PRESENT

    if fact is None:
        return "-"
    if fact.value is PRESENT:
        return "there"
    value = ", ".join(str(v) for v in fact.value) if isinstance(fact.value, tuple) else str(fact.value)
    return value + (" ~" if fact.status == "estimated" else "")


def _as_yaml(profile: Profile) -> str:
    """The profile as YAML, with the status of its scanner's values as comments."""
    from io import StringIO

    from ruamel.yaml import YAML

    data = profile.model_dump(mode="json", exclude_none=True)
    data["scanner"] = _commented(data["scanner"], profile, "")
    yaml = YAML(typ="rt", pure=True)
    yaml.default_flow_style = None
    yaml.width = 100_000  # lines are not broken, so that a comment stands behind its value
    text = StringIO()
    yaml.dump(data, text)
    return text.getvalue()


def _commented(values: dict[str, Any], profile: Profile, prefix: str) -> Any:
    from ruamel.yaml.comments import CommentedMap

    mapping = CommentedMap()
    mapping.fa.set_block_style()
    for key, value in values.items():
        field = prefix + key
        if isinstance(value, dict):
            mapping[key] = _commented(value, profile, f"{field}.")
            continue
        mapping[key] = value
        if isinstance(value, str) or value == []:
            continue
        status = profile.provenance(field).status
        if isinstance(value, list) and value and isinstance(value[0], dict):
            mapping.yaml_set_comment_before_after_key(key, before=f"{status}:", indent=2 * (1 + prefix.count(".")))
        else:
            mapping.yaml_add_eol_comment(status, key)
    return mapping
