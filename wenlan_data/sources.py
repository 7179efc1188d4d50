"""Where a build takes its candidates from, and how fast it may ask: the sources file, or `kind:path` words."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wenlan_data import plugins
from wenlan_data.errors import RecipeError, UsageError
from wenlan_data.protocols import Source
from wenlan_data.recipe import describe, read_yaml

SOURCES = "wenlan_data.crawl.sources"


class HostLimits(BaseModel):
    """How one host may be asked; the operator's override."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    max_connections: int = Field(default=1, ge=1, le=1024)
    min_gap_s: float = Field(default=1.0, ge=0, le=3600)


class Network(BaseModel):
    """What the operator opens on purpose."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    allow: tuple[Annotated[str, Field(pattern=r"^[^/\s]+:\d{1,5}$")], ...] = ()
    """`host:port` words for which the address and port checks are lifted."""


class SourceSpec(BaseModel):
    """One source by kind, its parameters beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str
    base: str = Field(default="", exclude=True)
    """The folder that a relative path starts from: that of the sources file."""

    @model_validator(mode="after")
    def _parameters_fit(self) -> "SourceSpec":
        try:
            self.load()
        except RecipeError as error:
            raise ValueError(str(error)) from error
        return self

    def load(self) -> Source:
        """The working source."""
        return cast("Source", plugins.build(SOURCES, self.kind, {**(self.model_extra or {}), "base": self.base}))


class Sources(BaseModel):
    """All sources of a build, in order, and the manners towards hosts."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    contact: str = ""
    """An e-mail address or page of the operator; goes into the User-Agent."""
    network: Network = Network()
    hosts: dict[str, HostLimits] = {}
    """`host:port` to limits; every other host gets one connection and a gap of a second."""
    sources: tuple[SourceSpec, ...] = Field(min_length=1)


def load_sources(words: Sequence[str], contact: str = "") -> Sources:
    """The sources named by `words`: YAML files and `kind:path` words, where a path may hold wildcards.

    Raises `RecipeError` for a file that is wrong and `UsageError` for a word that names nothing.
    """
    parsed = [_read_file(word) if word.endswith((".yaml", ".yml")) else _read_word(word) for word in words]
    if not parsed:
        raise UsageError(
            "no source is given: write --sources sources.yaml, pages:URL, table:FILE, folder:DIR or warc:FILE"
        )
    return Sources(
        contact=contact or next((one.contact for one in parsed if one.contact), ""),
        network=Network(allow=tuple(word for one in parsed for word in one.network.allow)),
        hosts={host: limits for one in parsed for host, limits in one.hosts.items()},
        sources=tuple(spec for one in parsed for spec in one.sources),
    )


def _read_file(word: str) -> Sources:
    path = Path(word)
    if not path.is_file():
        raise UsageError(f"{word}: there is no such sources file")
    value = read_yaml(path)
    listed = value.get("sources")
    if not isinstance(listed, list):
        raise RecipeError(f"{word}: sources: a list of sources is expected")
    base = "" if str(path.parent) == "." else str(path.parent)
    value["sources"] = [{**entry, "base": base} if isinstance(entry, dict) else entry for entry in listed]
    try:
        return Sources.model_validate(value)
    except ValidationError as error:
        raise RecipeError(f"{word}: {describe(error)}") from error


def _read_word(word: str) -> Sources:
    kind, colon, path = word.partition(":")
    if not colon or not path:
        raise UsageError(f"{word!r} is no source: write kind:path, such as table:urls.parquet, or give a .yaml file")
    if kind not in plugins.names(SOURCES):
        known = ", ".join(plugins.names(SOURCES))
        raise UsageError(f"{word!r}: {kind!r} is no kind of source: choose one of {known}")
    # A question mark in an address is no wildcard.
    is_pattern = glob.has_magic(path) and "://" not in path
    paths = sorted(glob.glob(path)) if is_pattern else [path]  # noqa: PTH207 - keeps the path as written
    if not paths:
        raise UsageError(f"{word!r}: no file matches {path}")
    return Sources(sources=tuple(SourceSpec.model_validate({"kind": kind, "path": one}) for one in paths))
