"""``lungtwin profiles list|show|validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import out

app = typer.Typer(
    help="Scanner profiles: hardware, protocols and kernels, each number with its source.", no_args_is_help=True
)


@app.command("list")
def list_profiles() -> None:
    """Names of the profiles that come with the package, and their protocols."""
    from rich.table import Table

    from ctsim import load_profile, profile_names

    table = Table("profile", "scanner", "protocols", "kernels")
    for name in profile_names():
        profile = load_profile(name)
        protocols = ", ".join(protocol.name for protocol in profile.protocols)
        kernels = ", ".join(kernel.name for kernel in profile.kernels)
        table.add_row(name, f"{profile.scanner.manufacturer} {profile.scanner.model}", protocols, kernels)
    out.print(table)


@app.command("show")
def show(profile: Annotated[str, typer.Argument(help="Name, or a YAML file.")]) -> None:
    """All numbers of a profile, as YAML."""
    import sys

    from ruamel.yaml import YAML

    from ctsim import load_profile

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.width = 120
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(load_profile(profile).model_dump(mode="json", exclude_none=True), sys.stdout)


@app.command("validate")
def validate(file: Annotated[Path, typer.Argument(help="A profile of your own (YAML).")]) -> None:
    """Check a profile file: fields, ranges, sources, protocols that the hardware can do."""
    from ctsim import load_profile

    profile = load_profile(file)
    out.print(f"{file}: fine; {len(profile.protocols)} protocols, {len(profile.kernels)} kernels")
