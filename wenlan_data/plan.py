"""What a build does, as values: the steps, their versions, and what separates them."""

from dataclasses import dataclass

from wenlan_data.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a generation. A step begins when every part of the one before is committed."""

    name: str
    version: int
    """Raised when the step's output changes; an output made by another version is refused."""
    unit: str
    """What one part of it is."""
    does: str


STEPS = (
    Step(
        name="crawl",
        version=3,
        unit="slice of a host in a round",
        does="ask for pages, keep them as WARC, find links",
    ),
    Step(
        name="extract",
        version=6,
        unit="row group, folder slice or WARC file",
        does="read candidates, clean their texts",
    ),
    Step(name="slice", version=3, unit="generation", does="group what is to be fetched by host"),
    Step(
        name="fetch",
        version=6,
        unit="slice of a host",
        does="ask for pictures, check, hash and encode them, keep them as WARC",
    ),
    Step(
        name="against",
        version=2,
        unit="2,000 pictures of a benchmark",
        does="hash what must not be in the corpus",
    ),
    Step(
        name="near",
        version=2,
        unit="bands, or part of a published run",
        does="find codes that are near each other",
    ),
    Step(
        name="dedupe",
        version=4,
        unit="generation",
        does="decide what stays, choose captions, cut into shards",
    ),
    Step(
        name="shard",
        version=4,
        unit="output shard",
        does="find regions, write tar and tables",
    ),
    Step(name="drops", version=1, unit="generation", does="gather every row that was left out"),
)


def step_versions() -> dict[str, int]:
    """Step name to version."""
    return {step.name: step.version for step in STEPS}


def describe(recipe: Recipe) -> str:
    """The plan as a text: one line a step, with what the recipe sets for it."""
    settings = {
        "extract": f"{len(recipe.text.rules)} text rules",
        "fetch": f"sides of {recipe.image.min_side_px} px and more, {', '.join(recipe.image.formats)}",
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
