"""Writes croissant.json: the corpus described in MLCommons Croissant 1.0."""

import json
from pathlib import Path

from wenlan_data.errors import os_errors
from wenlan_data.files import write_atomic
from wenlan_data.report.data import ReportData
from wenlan_data.shard.manifest import Manifest

CROISSANT = "croissant.json"
_FIELDS = (
    ("key", "sc:Text", "unique in the corpus; the stem of the sample's three members"),
    ("shard", "sc:Text", "the tar that holds the sample"),
    ("caption", "sc:Text", "the text chosen for the image"),
    ("caption_type", "sc:Text", "place of the caption: alt, figcaption, title, ..."),
    ("width", "sc:Integer", "pixels of the stored JPEG"),
    ("height", "sc:Integer", "pixels of the stored JPEG"),
    ("sha256", "sc:Text", "of the fetched bytes"),
    ("jpg_sha256", "sc:Text", "of the stored JPEG"),
    ("phash", "sc:Text", "64-bit perceptual hash, hexadecimal"),
    ("image_url", "sc:Text", "URL of the image"),
    ("page_url", "sc:Text", "URL of its page, empty if there is none"),
    ("source", "sc:Text", "the source in the sources file of the build"),
    ("licence", "sc:Text", "as the page states it, empty if it states none"),
    ("author", "sc:Text", "as the page states it"),
    ("detector", "sc:Text", "the detector that found the regions"),
)
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_CITE_AS = (
    "Huo et al.: WenLan: Bridging Vision and Language by Large-Scale Multi-Modal Pre-Training. "
    "arXiv:2103.06561, 2021."
)


def write_croissant(report: ReportData, corpus: Path) -> None:
    """Writes `croissant.json` of a corpus. The same corpus gives the same bytes.

    Raises `ValueError` for report data without a manifest.
    """
    manifest = report.manifest
    if manifest is None:
        raise ValueError("croissant.json needs a corpus with a manifest")
    text = json.dumps(describe_corpus(report.name, manifest), ensure_ascii=False, indent=1) + "\n"
    with os_errors(corpus / CROISSANT):
        write_atomic(corpus / CROISSANT, text.encode())


def describe_corpus(name: str, manifest: Manifest) -> dict[str, object]:
    """Returns the JSON-LD value.

    It lists every tar and table with its digest, and the samples as records of the tables.
    """
    published = [publication.at for publication in manifest.times.published]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": _name(name),
        "description": f"{manifest.funnel.samples:,} Chinese image-text pairs, built by "
        f"wenlan-data {manifest.code_version} with the recipe of digest {manifest.recipe_digest}.",
        "version": f"1.{len(manifest.generations)}.0",
        **({"datePublished": published[-1]} if published else {}),
        "citeAs": _CITE_AS,
        "inLanguage": "zh",
        "license": "Each image has its own: see the field licence.",
        "distribution": [*_tars(manifest), *_tables(manifest)],
        "recordSet": [_samples()] if manifest.shards else [],
    }


def _name(name: str) -> str:
    """Replaces the characters that Croissant does not allow in a name."""
    allowed = (
        character if character.isalnum() or character in " -_." else "_" for character in name
    )
    return "".join(allowed)[:200] or "corpus"


def _tars(manifest: Manifest) -> list[dict[str, object]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": shard.name,
            "name": shard.name,
            "contentUrl": f"shards/{shard.name}",
            "contentSize": f"{shard.bytes} B",
            "encodingFormat": "application/x-tar",
            "sha256": shard.sha256,
        }
        for shard in manifest.shards
    ]


def _tables(manifest: Manifest) -> list[dict[str, object]]:
    if not manifest.shards:
        return []
    files: list[dict[str, object]] = [
        {
            "@type": "cr:FileObject",
            "@id": f"metadata/{table.name}",
            "name": table.name,
            "contentUrl": f"metadata/{table.name}",
            "contentSize": f"{table.bytes} B",
            "encodingFormat": "application/x-parquet",
            "sha256": table.sha256,
        }
        for table in manifest.times.metadata
    ]
    file_set: dict[str, object] = {
        "@type": "cr:FileSet",
        "@id": "metadata",
        "name": "metadata",
        "description": "One row per sample: texts, sizes, hashes, regions, URLs, licences, times.",
        "encodingFormat": "application/x-parquet",
        "includes": "metadata/*.parquet",
    }
    return [*files, file_set]


def _samples() -> dict[str, object]:
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "description": (
            "One record per sample; its JPEG is the member {key}.jpg of the tar named by shard."
        ),
        "key": {"@id": "samples/key"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"samples/{name}",
                "name": name,
                "description": description,
                "dataType": kind,
                "source": {"fileSet": {"@id": "metadata"}, "extract": {"column": name}},
            }
            for name, kind, description in _FIELDS
        ],
    }
