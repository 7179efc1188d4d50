"""Checks that the operator can be contacted before any web host is requested."""

from pathlib import Path
from typing import cast

import pyarrow.parquet as pq

from wenlan_data.errors import UsageError
from wenlan_data.protocols import Receipt
from wenlan_data.source_config import Sources
from wenlan_data.sources.pages import Pages
from wenlan_data.web.address_policy import AddressPolicy
from wenlan_data.web.limits import needs_contact
from wenlan_data.web.urls import host_of


def check_seeds(sources: Sources) -> None:
    """Raise `UsageError` where a crawl would start at a host that may not be asked: closed, or without a contact."""
    policy = AddressPolicy(sources.network.allow)
    for source in (spec.load() for spec in sources.sources):
        for host in map(host_of, source.crawl_seeds() if isinstance(source, Pages) else ()):
            _check_host(host, sources)
            if host and policy.refuses_by_name(host):
                raise UsageError(
                    f"{host}: private addresses and unusual ports are not asked: "
                    "if the server is yours, list it under network.allow in a sources file"
                )


def check_contact(sources: Sources, folder: Path, sliced: Receipt) -> None:
    """Raise `UsageError` where a slice in `folder` would ask a host that only an operator with a contact may ask."""
    for one in cast("list[dict[str, object]]", sliced.details["slices"]):
        for host in (
            pq.read_table(folder / str(one["name"]), columns=["host"])["host"].unique().to_pylist()
        ):
            _check_host(host, sources)


def _check_host(host: str, sources: Sources) -> None:
    if not sources.contact and needs_contact(host, sources.network.allow):
        raise UsageError(
            f"{host} would be asked without a contact: give --contact (it goes into the User-Agent), "
            "or list the host under network.allow in the sources file"
        )
