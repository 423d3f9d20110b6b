"""The dataset's own tree with Croissant 1.0 metadata (Akhtar et al., DEEM 2024), the JSON-LD that indexes of data read.

``croissant.json`` lists tables with their SHA-256, the sets of volumes, and every column of ``manifest.csv`` and
``nodules.csv`` as a field. It names no licence: whoever publishes a dataset adds that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .job import Job
from .tree import VOLUMES, copy_tree

CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    **{
        name: f"cr:{name}"
        for name in (
            "column", "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes",
            "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references",
            "regex", "repeated", "replace", "separator", "source", "subField", "transform",
        )
    },
    "citeAs": "cr:citeAs",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}  # fmt: skip
"""The context of Croissant 1.0."""

TABLES = ("manifest.csv", "nodules.csv")


def write(job: Job) -> None:
    """Write the tree and ``croissant.json``."""
    digests = copy_tree(job)
    files = [_file(name, digest) for name, digest in digests.items() if not name.endswith(".nii.gz")]
    folders = {name.split("/")[0] for name in digests if name.endswith(".nii.gz")}
    sets = [
        {
            "@type": "cr:FileSet",
            "@id": folder,
            "name": folder,
            "description": f"{folder} on the lattices of manifest.csv (NIfTI)",
            "encodingFormat": "application/gzip",
            "includes": f"{folder}/*.nii.gz",
        }
        for kind, folder in VOLUMES.items()
        if folder in folders
    ]
    rows = {"manifest.csv": job.source.dataset.manifest, "nodules.csv": job.source.dataset.nodules}
    job.write_json(
        "croissant.json",
        {
            "@context": CONTEXT,
            "@type": "sc:Dataset",
            "name": job.source.name,
            "description": "Simulated chest CTs of computational twins with lung nodules, exact masks and measures, "
            "and outcomes drawn from published risk models. No patient was scanned.",
            "conformsTo": "http://mlcommons.org/croissant/1.0",
            "version": "1.0.0",
            "identifier": f"sha256:{job.source.seal_sha256}",
            "distribution": [*files, *sets],
            "recordSet": [_records(name, rows[name]) for name in TABLES if rows[name]],
        },
    )


def _file(name: str, digest: str) -> dict[str, Any]:
    kind = {"csv": "text/csv", "md": "text/markdown", "json": "application/json"}.get(name.rpartition(".")[2])
    base = {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name}
    return {**base, "encodingFormat": kind or "text/plain", "sha256": digest}


def _records(table: str, rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    name = table.removesuffix(".csv")
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{column}",
            "name": column,
            "dataType": _type([row[column] for row in rows]),
            "source": {"fileObject": {"@id": table}, "extract": {"column": column}},
        }
        for column in rows[0]
    ]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _type(values: Sequence[str]) -> str:
    """``sc:Float`` where every value is a number; numbers that may be missing are text, too."""
    try:
        for value in values:
            float(value)
    except ValueError:
        return "sc:Text"
    return "sc:Float"
