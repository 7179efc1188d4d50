"""The sources of a build and the politeness towards hosts: the sources file, or `kind:path`
words."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from wenlan_data import plugins
from wenlan_data.errors import RecipeError, UsageError
from wenlan_data.protocols import Source
from wenlan_data.settings import describe, read_yaml
from wenlan_data.web.blocklists import NO_BLOCKLISTS, Blocklists
from wenlan_data.web.limits import DEFAULTS, HostLimits, Limits
from wenlan_data.web.politeness import Politeness
from wenlan_data.web.urls import without_user_information


def _host_and_port(word: str) -> str:
    if not re.fullmatch(r"[^/\s]+:\d{1,5}", word):
        raise ValueError(
            f"{word!r} is not host:port: write it without http://, such as 127.0.0.1:8085"
        )
    return word


class Network(BaseModel):
    """Whether requests are made, and to which addresses that the operator opens on purpose."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    allow: tuple[Annotated[str, AfterValidator(_host_and_port)], ...] = ()
    """`host:port` words that are exempt from the address and port checks."""
    offline: bool = False
    """No request is made; what no source holds and no earlier generation recorded is dropped."""


class SourceSpec(BaseModel):
    """One source by kind, with its parameters as further keys."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str
    base: str = Field(default="", exclude=True)
    """Folder that a relative path starts from: that of the sources file."""
    _loaded: Source = PrivateAttr()

    @model_validator(mode="after")
    def _parameters_fit(self) -> "SourceSpec":
        try:
            self._loaded = self._build()
        except RecipeError as error:
            raise ValueError(str(error)) from error
        return self

    def load(self) -> Source:
        """Returns the source."""
        return self._loaded

    def _build(self) -> Source:
        """Raises `RecipeError` for an unknown kind, a wrong parameter or an incomplete plug-in."""
        parameters = {**(self.model_extra or {}), "base": self.base}
        source = plugins.build(plugins.SOURCES, self.kind, parameters)
        if not isinstance(source, Source):
            raise RecipeError(
                f"{self.kind} is not a complete source: implement name, describe, parts, read,"
                " images and crawl_seeds, see wenlan_data.protocols.Source"
            )
        return source


class Sources(BaseModel):
    """All sources of a build, in order, and the politeness towards hosts."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    contact: str = ""
    """An e-mail address or page of the operator; part of the User-Agent."""
    network: Network = Network()
    hosts: dict[str, HostLimits] = {}
    """`host:port` to limits; every other host gets one connection and a gap of one second."""
    limits: Limits = DEFAULTS
    """Limits of one exchange, host and page, and which signals are opt-outs; see `web.limits`."""
    exclude: Blocklists = NO_BLOCKLISTS
    """The operator's lists of what is never fetched or published."""
    sources: tuple[SourceSpec, ...] = ()
    """What a build reads; empty for the saved politeness of an earlier build."""

    @property
    def politeness(self) -> Politeness:
        """What every part that makes requests needs to know."""
        return Politeness(
            contact=self.contact,
            allow=self.network.allow,
            hosts=dict(self.hosts),
            limits=self.limits,
            blocklists=self.exclude,
            offline=self.network.offline,
        )


def load_sources(words: Sequence[str], contact: str = "") -> Sources:
    """Loads the sources that `words` name: YAML files and `kind:path` words, also with wildcards.

    Raises `RecipeError` for an invalid file and `UsageError` for a word that matches nothing.
    """
    parsed = [
        _read_file(word) if word.endswith((".yaml", ".yml")) else _read_word(word) for word in words
    ]
    if not parsed:
        raise UsageError(
            "no source is given: write --sources sources.yaml, pages:URL, table:FILE, folder:DIR or warc:FILE"
        )
    return Sources(
        contact=contact or next((one.contact for one in parsed if one.contact), ""),
        network=Network(
            allow=tuple(word for one in parsed for word in one.network.allow),
            offline=any(one.network.offline for one in parsed),
        ),
        hosts={host: limits for one in parsed for host, limits in one.hosts.items()},
        limits=next((one.limits for one in parsed if one.limits != DEFAULTS), DEFAULTS),
        exclude=next(
            (one.exclude for one in parsed if one.exclude != NO_BLOCKLISTS), NO_BLOCKLISTS
        ),
        sources=tuple(spec for one in parsed for spec in one.sources),
    )


def _read_file(word: str) -> Sources:
    path = Path(word)
    if not path.is_file():
        raise UsageError(f"{word}: there is no such sources file")
    value = read_yaml(path)
    listed = value.get("sources")
    if not isinstance(listed, list) or not listed:
        raise RecipeError(f"{word}: sources: a list of at least one source is expected")
    base = "" if str(path.parent) == "." else str(path.parent)
    value["sources"] = [
        {**entry, "base": base} if isinstance(entry, dict) else entry for entry in listed
    ]
    try:
        sources = Sources.model_validate(value)
        lists = sources.exclude.with_absolute_paths(base)
        lists.load()
    except ValidationError as error:
        raise RecipeError(f"{word}: {describe(error, Sources)}") from error
    except UsageError as error:
        raise RecipeError(f"{word}: {error}") from error
    return sources.model_copy(update={"exclude": lists})


def _suggestion(word: str) -> str:
    """The word that was most likely meant."""
    path = Path(word)
    if path.is_dir():
        return f"folder:{word}"
    if not path.is_file():
        return "table:urls.parquet"
    return f"warc:{word}" if ".warc" in path.suffixes else f"table:{word}"


def _read_word(word: str) -> Sources:
    if word.startswith(("http://", "https://")):
        shown = without_user_information(word)
        raise UsageError(f"{shown!r} is not a source: write pages:{shown} to crawl from it")
    kind, colon, path = word.partition(":")
    if not colon or not path:
        raise UsageError(
            f"{word!r} is not a source: write kind:path, such as {_suggestion(word)}, or give a .yaml file"
        )
    try:
        plugins.find(plugins.SOURCES, kind)
    except RecipeError as error:
        raise UsageError(f"{word!r}: {error}") from error
    # A question mark in a URL is not a wildcard.
    is_pattern = glob.has_magic(path) and "://" not in path
    paths = sorted(glob.glob(path)) if is_pattern else [path]  # noqa: PTH207 - keeps the path as written
    if not paths:
        raise UsageError(f"{word!r}: no file matches {path}")
    return Sources(
        sources=tuple(SourceSpec.model_validate({"kind": kind, "path": one}) for one in paths)
    )
