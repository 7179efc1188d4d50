"""Where the images of a generation stand: every pair of image and page that its sources gave.

Read from the raw rows of the step `extract`, not from the candidates: an image whose texts are all
rejected on one page may be a candidate on another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.arrow import Column, integers, table_errors, to_strings, whole
from wenlan_data.dedupe.table import CandidateTable
from wenlan_data.dedupe.text_hashes import hashes_of
from wenlan_data.npy import Bools, Codes, Indices, members
from wenlan_data.part_files import checked
from wenlan_data.web.domains import site_of_page

_AUTHORITY = "^(?P<authority>[^/?#]*//[^/?#]*)"
"""Scheme and host of a URL; RE2 takes linear time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrences:
    """O occurrences of images, on pages of S sites; a page that belongs to no site has none.

    P is the number of page numbers.
    """

    url: Indices
    """int64 (O,): the row of `CandidateTable.signatures`, -1 where no image was fetched."""
    page: Indices
    """int64 (O,): a number of the page; a page may have several."""
    page_hashes: Codes
    """uint64 (P,)."""
    page_site: Indices
    """int64 (P,): the number of the page's site, -1 for none."""
    sites: tuple[str, ...]
    """Name of each site, sorted."""
    site_hashes: Codes
    """uint64 (S,)."""


def read_occurrences(raw: Sequence[str], table: CandidateTable) -> Occurrences:
    """Reads the `raw.parquet` files of the generation of `table`.

    Raises `DamageError` for a file that cannot be read.
    """
    urls, others, other_urls = list[Indices](), list[Bools](), list[Any]()
    pages, names, count = list[Indices](), list[Any](), 0
    ordinals = integers(table.candidates, "ordinal")
    for path in raw:
        # A page repeats with each of its images, so it is read as a code. Rows that became
        # candidates are joined by their number: only the others need a join of strings.
        with (
            table_errors(path),
            pq.ParquetFile(checked(path), read_dictionary=["page_url"]) as file,
        ):
            rows = file.read(["ordinal", "page_url"])
            place, is_candidate = members(ordinals, integers(rows, "ordinal"))
            if not is_candidate.all():
                other_urls += file.read(["url_key"])["url_key"].filter(~is_candidate).chunks
        urls.append(table.url[place] if len(ordinals) else place)
        others.append(~is_candidate)
        codes: Any = rows["page_url"]
        for chunk in codes.chunks:
            # A page of two chunks has two numbers: only its hash identifies it.
            pages.append(chunk.indices.to_numpy().astype(np.int64) + count)
            names.append(chunk.dictionary)
            count += len(chunk.dictionary)
    url = np.concatenate([np.empty(0, np.int64), *urls])
    url[np.concatenate([np.empty(0, bool), *others])] = _urls_of(other_urls, table)
    page = np.concatenate([np.empty(0, np.int64), *pages])
    return _by_page(url, page, pa.chunked_array(names, pa.string()).combine_chunks())


def _urls_of(url_keys: "list[Any]", table: CandidateTable) -> Indices:
    """Rows of `signatures` for URLs of rows that are no candidates; -1 where no image was
    fetched."""
    codes: Any = pa.chunked_array(url_keys, pa.string()).combine_chunks().dictionary_encode()
    fetched = np.flatnonzero(table.fetched)
    url_of_result = np.full(table.results.num_rows, -1)
    url_of_result[table.result[fetched]] = table.url[fetched]
    # Results are looked up among these URLs, not the other way round: the smaller side is hashed.
    place: Any = pc.index_in(whole(table.results, "url_key"), value_set=codes.dictionary)
    known = np.flatnonzero(place.is_valid().to_numpy(zero_copy_only=False))
    url_of_code = np.full(len(codes.dictionary), -1)
    url_of_code[place.drop_null().to_numpy()] = url_of_result[known]
    urls: Indices = url_of_code[codes.indices.to_numpy()]
    return urls


def _by_page(url: Indices, page: Indices, names: Column) -> Occurrences:
    # Few hosts have many pages: each is split into domain and suffix once.
    hosts: Any = pc.extract_regex(names, _AUTHORITY).field("authority").dictionary_encode()
    sites = [site_of_page(host) for host in to_strings(hosts.dictionary)]
    known = sorted(set(sites) - {""})
    number = {site: n for n, site in enumerate(known)} | {"": -1}
    # One element more, for pages without a host.
    site_of_host = np.array([*(number[site] for site in sites), -1], np.int64)
    page_site = site_of_host[hosts.indices.fill_null(-1).to_numpy()]
    on_site = page_site[page] >= 0
    return Occurrences(
        url=url[on_site],
        page=page[on_site],
        page_hashes=hashes_of(to_strings(names)),
        page_site=page_site,
        sites=tuple(known),
        site_hashes=hashes_of(known),
    )
