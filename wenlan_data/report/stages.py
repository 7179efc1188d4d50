"""Stages of the funnel, in the order of the pipeline, and what each one does."""

STAGES = {
    "extract": "Reads rows and pages into candidates.",
    "clean": "Applies the recipe's text rules; drops a candidate without any text left.",
    "fetch": "Fetches images politely and checks them.",
    "dedupe": "Keeps one of several images that look the same.",
    "detect": "Detects regions.",
    "shard": "Normalises images and writes shards.",
}
