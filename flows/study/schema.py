"""The JSON schema of a study file, for editors that complete and check as one types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .spec import StudySpec

SCHEMA = Path(__file__).parent.parent / "presets" / "study.schema.json"
"""The schema that comes with the package, beside the presets that name it."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def study_schema() -> dict[str, Any]:
    """The schema of a study file (JSON Schema 2020-12), with every field's range and description."""
    schema = StudySpec.model_json_schema(mode="validation")
    return {"$schema": DIALECT, **schema, "title": "lungtwin study"}


def schema_text() -> str:
    """The same as a JSON text that ends in a line feed."""
    return json.dumps(study_schema(), indent=1, ensure_ascii=True) + "\n"
