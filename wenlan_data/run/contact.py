"""Checks that the operator can be contacted before any web host is requested."""

from collections.abc import Iterable
from pathlib import Path

from wenlan_data.arrow import read_table
from wenlan_data.errors import UsageError
from wenlan_data.source_config import Sources
from wenlan_data.web.address_policy import AddressPolicy
from wenlan_data.web.limits import needs_contact
from wenlan_data.web.urls import host_of


def check_seeds(sources: Sources) -> None:
    """Raises `UsageError` where a crawl would start at a host that is blocked, or needs a
    contact."""
    policy = AddressPolicy(sources.network.allow)
    # Seeds are known before the build starts, so a refused one costs no folder and no request.
    for source in (spec.load() for spec in sources.sources):
        for host in map(host_of, source.crawl_seeds()):
            _check_host(host, sources)
            if host and not sources.network.offline and policy.refuses_by_name(host):
                raise UsageError(
                    f"{host}: private addresses and unusual ports are blocked by default: "
                    "if the server is yours, list it under network.allow in a sources file"
                )


def check_contact(sources: Sources, fetch_lists: Iterable[Path]) -> None:
    """Raises `UsageError` where a fetch list has a host that must not be requested without a
    contact."""
    for path in fetch_lists:
        for host in read_table(path, ["host"])["host"].unique().to_pylist():
            _check_host(host, sources)


def _check_host(host: str, sources: Sources) -> None:
    if sources.network.offline:
        return
    if not sources.contact and needs_contact(host, sources.network.allow):
        raise UsageError(
            f"{host} would be requested without a contact: give --contact "
            "(it goes into the User-Agent), or list the host under network.allow in the sources file"
        )
