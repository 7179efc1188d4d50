"""The steps of a build, in order, with their versions."""

from dataclasses import dataclass

from wenlan_data.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a generation; it starts once all parts of the step before are committed."""

    name: str
    version: int
    """Raised when the step's output changes; an output made by another version is refused."""
    unit: str
    """What one part processes."""
    does: str
    """Summary for `recipes show`."""


STEPS = (
    Step(
        name="crawl",
        version=4,
        unit="fetch list of a round: pages of a large host or of up to 200 small ones",
        does="fetch pages, record them as WARC, find links",
    ),
    Step(
        name="extract",
        version=8,
        unit="row group, range of a folder, or WARC file",
        does="read candidates, clean their texts",
    ),
    Step(name="slice", version=5, unit="generation", does="group URLs to fetch by host"),
    Step(
        name="fetch",
        version=8,
        unit="fetch list: images of a large host or of up to 200 small ones",
        does="fetch, check, hash and encode images, record them as WARC",
    ),
    Step(
        name="against",
        version=2,
        unit="2,000 images of a benchmark",
        does="hash images that the corpus must not contain",
    ),
    Step(
        name="near",
        version=3,
        unit="bands, or part of a published segment",
        does="find near pairs of hash codes",
    ),
    Step(
        name="dedupe",
        version=6,
        unit="generation",
        does="drop duplicates, choose captions, assign samples to shards",
    ),
    Step(
        name="shard",
        version=5,
        unit="output shard",
        does="detect regions, write tars and tables",
    ),
    Step(name="drops", version=2, unit="generation", does="gather all drops"),
)


def step_versions() -> dict[str, int]:
    """Returns step name to version."""
    return {step.name: step.version for step in STEPS}


def describe(recipe: Recipe) -> str:
    """Returns the plan as text: one line for each step, with the recipe's main settings for it."""
    settings = {
        "extract": f"{len(recipe.text.rules)} text rules",
        "fetch": f"sides of at least {recipe.image.min_side_px} px, "
        f"{', '.join(recipe.image.formats)}",
        "dedupe": f"radius {recipe.dedupe.radius_bits} bits, verified by {recipe.dedupe.verify}",
        "shard": f"detector {recipe.detect.detector}, {recipe.shard.max_samples} samples a shard",
    }
    if recipe.dedupe.radius_bits == "off":
        settings["dedupe"] = "equal bytes alone"
    lines = [
        f"{step.name:8} v{step.version}  {step.does} (one part: {step.unit})" for step in STEPS
    ]
    return "\n".join(
        f"{line}; {settings[step.name]}" if step.name in settings else line
        for step, line in zip(STEPS, lines, strict=True)
    )
