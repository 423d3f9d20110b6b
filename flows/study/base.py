"""What all parts of a study are made of: frozen models, and names that become file names."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9_-]{0,46}[a-z0-9])?$")]
"""Lower case, digits, dashes and underscores: ids become file names."""


class Frozen(BaseModel):
    """A part of a study: unknown fields are refused, and what is set stays."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
