"""What a candidate can become in the dedupe step."""

(
    KEPT,
    FETCH,
    DUPLICATE,
    NEAR_DUPLICATE,
    TEXT_FREQUENCY,
    NO_CAPTION,
    PLACEHOLDER,
    CONTAMINATION,
    NEAR_TEXT,
    SITE,
) = range(10)
REASONS = [
    "", "", "duplicate", "near_duplicate", "text_frequency", "no_caption", "placeholder", "contamination",
    "near_text", "domain_share",
]  # fmt: skip
