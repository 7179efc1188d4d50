"""Arrow schemas of the tables that steps exchange, and of those that a corpus publishes."""

import pyarrow as pa

TEXTS = pa.list_(
    pa.struct(
        [
            ("type", pa.string()),
            ("text", pa.string()),
            ("relation", pa.string()),
            # Not float32: 0.7 would become 0.69999999, and compare as less than 0.7. Parquet stores
            # both columns as codes of a dictionary.
            ("confidence", pa.float64()),
        ]
    )
)
"""A `records.Text`; confidence is rounded to hundredths."""
REMARKS = pa.list_(
    pa.struct([("type", pa.string()), ("kind", pa.string()), ("value", pa.string())])
)
"""Text type, with a `records.Remark` about the text."""

BOXES = pa.list_(pa.int16())
"""Boxes of the source, flattened: x1, y1, x2, y2 of each; empty for most sources."""

_CANDIDATE_FIELDS: list[tuple[str, pa.DataType]] = [
    ("ordinal", pa.int64()),  # part number << 32 | row: source order inside a generation
    # First half of SHA-256 over (url_key, texts as read): identifies it in earlier generations.
    ("candidate_id", pa.binary(16)),
    ("url", pa.string()),
    ("url_key", pa.string()),  # canonical URL, or the path of a file
    ("texts", TEXTS),
    ("page_url", pa.string()),
    ("source", pa.string()),
    ("licence", pa.string()),
    ("author", pa.string()),
    ("opt_out", pa.list_(pa.string())),
    ("supply", pa.string()),  # `records.Origin.kind`; web: the image is fetched
    ("supply_path", pa.string()),
    ("supply_offset", pa.int64()),
    ("fallback_urls", pa.list_(pa.string())),  # of other copies of the image, the best first
]

RAW = pa.schema(
    [
        *_CANDIDATE_FIELDS,
        ("boxes", BOXES),
        ("reason", pa.string()),  # why the source could not read the row; empty: it was read
        ("detail", pa.string()),
    ]
)
"""`raw.parquet`: all new rows of a part, texts as read. An unreadable row has ids, source, page
and reason."""

CANDIDATES = pa.schema(
    [
        *_CANDIDATE_FIELDS,
        ("remarks", REMARKS),  # about texts that passed, and why others did not
        ("boxes", BOXES),
    ]
)
"""`candidates.parquet`: rows with a text that passed the rules, and the texts that passed."""

IMAGE_INDEX = pa.schema(
    [
        ("url_key", pa.string()),
        ("path", pa.string()),
        ("offset", pa.int64()),
        ("sha256", pa.string()),  # of the payload; empty: not checked
        ("is_image", pa.bool_()),
        ("transient", pa.bool_()),
        ("redirect_key", pa.string()),  # URL key of the target; empty: no redirect
        ("file_sha256", pa.string()),  # of the file at `path` when it was read
    ]
)
"""`records.RecordedResponse`: what the WARC files of a source hold."""

WANTED = pa.schema(
    [
        ("ordinal", pa.int64()),  # of the first candidate with this URL
        ("url", pa.string()),
        ("url_key", pa.string()),
        ("host", pa.string()),  # host:port, the unit of politeness; empty for stored bytes
        ("supply", pa.string()),
        ("supply_path", pa.string()),
        ("supply_offset", pa.int64()),
        # To request, on the same host; of a recorded image the one that its record is of.
        ("fallback_urls", pa.list_(pa.string())),
        ("supply_sha256", pa.string()),  # of the payload at `supply_offset`; empty: not checked
    ]
)
"""A fetch list: each URL once."""

LATER = pa.schema(
    [
        *WANTED,
        ("request_url", pa.string()),  # a redirect's target, or another copy of the image
        ("redirects", pa.int16()),  # that led from the copy's URL to `request_url`
        ("copy", pa.int16()),  # 0: the image's own URL, n: the nth of `fallback_urls`
        ("passes", pa.int16()),  # over the fetch lists of the generation so far
        # Why the image's own URL gave no image, once a fallback URL is tried; null before.
        (
            "own_result",
            pa.struct(
                [
                    ("reason", pa.string()),
                    ("detail", pa.string()),
                    ("retryable", pa.bool_()),
                    ("sha256", pa.string()),
                    ("bytes", pa.int64()),
                    ("final_url", pa.string()),
                    ("status", pa.int16()),
                    ("ip", pa.string()),
                    ("fetched_at", pa.timestamp("ms", tz="UTC")),
                    ("opt_out", pa.list_(pa.string())),
                ]
            ),
        ),
    ]
)
"""A fetch list of a later pass, or requests that a fetch part leaves for one: `host` is that of
`request_url`."""

FRONTIER = pa.schema(
    [
        ("url", pa.string()),
        ("url_key", pa.string()),  # equal for all URLs of one page
        ("host", pa.string()),  # host:port
        ("depth", pa.int16()),  # links from a seed; a sitemap has the depth of the seeds
        ("redirects", pa.int16()),  # consecutive redirects that led here
    ]
)
"""URLs of pages to crawl: fetch lists of a round, and the frontier of later rounds."""

PAGES = pa.schema(
    [
        ("url", pa.string()),
        ("url_key", pa.string()),
        ("host", pa.string()),
        ("depth", pa.int16()),
        ("reason", pa.string()),  # empty: the page is recorded
        ("detail", pa.string()),
        ("retryable", pa.bool_()),
        ("status", pa.int16()),
        ("bytes", pa.int64()),
        (
            "warc_offset",
            pa.int64(),
        ),  # of the record in the part's pages.warc; -1 if there is none
        ("ip", pa.string()),
        ("fetched_at", pa.timestamp("ms", tz="UTC")),
        ("links", pa.int32()),  # links that the crawl may follow
    ]
)
"""Outcome of each URL of a crawl's fetch list, in its order."""

FACTS = pa.schema(
    [
        ("ordinal", pa.int64()),
        ("url", pa.string()),
        ("url_key", pa.string()),
        ("reason", pa.string()),  # empty for a valid image
        ("detail", pa.string()),
        ("retryable", pa.bool_()),
        ("sha256", pa.string()),
        ("bytes", pa.int64()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("phash", pa.uint64()),
        ("pdq", pa.binary(32)),
        ("colours", pa.binary(8)),
        ("warc_offset", pa.int64()),  # of the image's first byte in the part's images.warc
        ("final_url", pa.string()),
        ("status", pa.int16()),
        ("ip", pa.string()),
        ("fetched_at", pa.timestamp("ms", tz="UTC")),
        ("opt_out", pa.list_(pa.string())),
        (
            "encoded_offset",
            pa.int64(),
        ),  # in the part's encoded.bin; -1 if the image is stored as fetched
        ("encoded_bytes", pa.int32()),
        ("encoded_crc32c", pa.uint32()),
        ("fetched_url", pa.string()),  # the fallback URL that gave the image; else empty
    ]
)
"""Fetch result of each requested URL. Rows of failures hold zeros and empty strings, not nulls."""

_DROP_FIELDS: list[tuple[str, pa.DataType]] = [
    ("step", pa.string()),
    ("key", pa.string()),  # empty before the image was fetched
    ("url", pa.string()),
    ("page_url", pa.string()),
    ("source", pa.string()),
    ("reason", pa.string()),
    ("detail", pa.string()),
    ("retryable", pa.bool_()),
    ("duplicate_of", pa.string()),
    ("phash_distance", pa.int32()),  # bits; -1 if hashes were not compared
    ("pdq_distance", pa.int32()),
    ("texts", TEXTS),
]

DROPS = pa.schema(_DROP_FIELDS)
"""`drops/*.parquet` of a corpus."""

WORK_DROPS = pa.schema([("ordinal", pa.int64()), ("candidate_id", pa.binary(16)), *_DROP_FIELDS])
"""Drops inside a build, with the ids of the candidate."""

KEPT = pa.schema(
    [
        ("key", pa.string()),
        ("ordinal", pa.int64()),
        ("candidate_id", pa.binary(16)),
        ("url", pa.string()),
        ("page_url", pa.string()),
        ("source", pa.string()),
        ("licence", pa.string()),
        ("author", pa.string()),
        ("opt_out", pa.list_(pa.string())),
        ("texts", TEXTS),  # its own, then other texts of its duplicates
        ("caption", pa.string()),
        ("caption_type", pa.string()),
        ("remarks", REMARKS),
        ("sha256", pa.string()),
        ("bytes", pa.int64()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("phash", pa.uint64()),
        ("pdq", pa.binary(32)),
        ("fetch_part", pa.int32()),
        ("warc_offset", pa.int64()),
        ("encoded_offset", pa.int64()),
        ("encoded_bytes", pa.int32()),
        ("encoded_crc32c", pa.uint32()),
        ("final_url", pa.string()),
        ("ip", pa.string()),
        ("fetched_at", pa.timestamp("ms", tz="UTC")),
        ("boxes", BOXES),
        ("fetched_url", pa.string()),  # the fallback URL that gave the image; else empty
    ]
)
"""Samples of one output shard without their images, sorted by key."""

METADATA = pa.schema(
    [
        ("key", pa.string()),
        ("shard", pa.string()),
        ("caption", pa.string()),
        ("caption_type", pa.string()),
        ("caption_reason", pa.string()),
        ("script", pa.string()),
        ("flags", pa.list_(pa.string())),
        ("texts", TEXTS),
        (
            "regions",
            pa.list_(
                pa.struct(
                    [("box", pa.list_(pa.int32())), ("label", pa.string()), ("score", pa.float32())]
                )
            ),
        ),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
        ("jpg_sha256", pa.string()),
        ("phash", pa.string()),
        ("pdq", pa.string()),
        ("image_url", pa.string()),
        ("final_url", pa.string()),
        ("page_url", pa.string()),
        ("source", pa.string()),
        ("licence", pa.string()),
        ("author", pa.string()),
        ("opt_out", pa.list_(pa.string())),
        ("detector", pa.string()),
        ("tokens", pa.list_(pa.string())),
        ("token_count", pa.int32()),
        ("fetched_at", pa.timestamp("ms", tz="UTC")),
        ("ip", pa.string()),
    ]
)
"""`metadata/NNNNNN.parquet` of a corpus: the JSON of each sample, flat, with fetch time and
address."""

OFFSETS = pa.schema(
    [
        ("key", pa.string()),
        ("member", pa.string()),
        ("offset", pa.int64()),  # of the member's data, bytes from the start of the tar
        ("size", pa.int64()),
        ("crc32c", pa.uint32()),
    ]
)
"""`shards/*.offsets.parquet`."""
