"""Checks that the operator can be contacted before any web host is requested."""

from collections.abc import Iterable, Sequence
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
        hosts = [host_of(seed) for seed in source.crawl_seeds()]
        _check_hosts(hosts, sources)
        for host in hosts:
            if host and not sources.network.offline and policy.refuses_by_name(host):
                raise UsageError(_blocked(host))


def check_contact(sources: Sources, fetch_lists: Iterable[Path]) -> None:
    """Raises `UsageError` where a fetch list has a host that must not be requested without a
    contact."""
    for path in fetch_lists:
        _check_hosts(read_table(path, ["host"])["host"].unique().to_pylist(), sources)


def _check_hosts(hosts: Sequence[str], sources: Sources) -> None:
    if sources.network.offline or sources.contact:
        return
    allow = sources.network.allow
    without_contact = [host for host in hosts if needs_contact(host, allow)]
    policy = AddressPolicy(allow)
    # First those of the web. The address policy blocks the others, with a contact too.
    for host in without_contact:
        if not policy.refuses_by_name(host):
            raise UsageError(
                f"{host} would be requested without a contact: give --contact, or write contact: "
                "in the sources file (it goes into the User-Agent), and run the same command"
            )
    for host in without_contact:
        raise UsageError(_blocked(host))


def _blocked(host: str) -> str:
    return (
        f"{host}: private addresses and unusual ports are blocked by default: "
        "if the server is yours, list it under network.allow in the sources file"
    )
