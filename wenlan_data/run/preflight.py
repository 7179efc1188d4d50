"""Checks before a build starts: the output, the recipe, the sources, the corpus of `--from`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from wenlan_data.dedupe.read_benchmarks import benchmark_parts
from wenlan_data.errors import RecipeError, UsageError
from wenlan_data.layout import BUILD_ID, IMAGE_WARC, MANIFEST, WORK, WorkFolder
from wenlan_data.plan import step_versions
from wenlan_data.recipe import Recipe, load_recipe, parse_recipe
from wenlan_data.run.contact import check_seeds
from wenlan_data.run.options import BuildOptions
from wenlan_data.run.output_id import (
    BuildRecord,
    check_work_folder,
    load_build_record,
    new_id,
    write_output_id,
)
from wenlan_data.shard.manifest import Manifest, load_manifest
from wenlan_data.source_config import Sources, load_sources
from wenlan_data.state_files import save_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Input of a build that has passed all checks."""

    options: BuildOptions
    recipe: Recipe
    sources: Sources | None
    """None for `--from`, and for `--retry-failed` without sources."""
    contact: str = ""
    """Contact given on the command line."""
    old: Manifest | None = None
    """The manifest of `--from`."""

    @property
    def offline(self) -> bool:
        """Whether the build makes no request."""
        return self.options.offline or bool(self.sources and self.sources.network.offline)

    @property
    def old_work(self) -> Path:
        """The work folder of the corpus that `--from` names."""
        corpus = self.options.from_corpus
        if corpus is None:
            raise UsageError("no --from is given")
        return (self.options.from_work or corpus / WORK).absolute()


def prepare(
    options: BuildOptions,
    words: Sequence[str],
    recipe_name: str | None,
    overrides: Sequence[str],
    contact: str,
) -> Prepared:
    """Checks everything that can be checked without starting; creates nothing.

    Raises `UsageError` for an output folder with other files and for sources that cannot be read,
    `RecipeError` for a recipe that is invalid or does not match the output.
    """
    made = _made_with(options)
    old = _old_manifest(options)
    if old is not None and words:
        raise UsageError(
            "--from rebuilds what a corpus recorded: leave --sources out, or build without --from"
        )
    recipe = _recipe(recipe_name, overrides, made, old, options.from_corpus)
    _refuse_change(made, recipe, options)
    sources = (
        None
        if old is not None or (options.retry_failed and not words)
        else load_sources(words, contact)
    )
    if sources is not None and options.offline:
        network = sources.network.model_copy(update={"offline": True})
        sources = sources.model_copy(update={"network": network})
    if options.retry_failed and (options.offline or (sources and sources.network.offline)):
        raise UsageError(
            "--retry-failed repeats requests, an offline build makes none: leave one of them out"
        )
    for spec in sources.sources if sources else ():
        # Raises for a source that is missing, empty or without its column.
        next(spec.load().parts(source=0, max_rows=options.generation_rows), None)
    # Only generation 0 reads them, and an output that exists was checked when it was new.
    if made is None:
        benchmark_parts(recipe)
    if sources is not None:
        check_seeds(sources)
    return Prepared(options=options, recipe=recipe, sources=sources, contact=contact, old=old)


def record_build(options: BuildOptions, recipe: Recipe) -> None:
    """Records the recipe, the step versions and the id of the output, before its first part.

    The caller holds the locks. Checks the output again: another build may have begun in it since
    `prepare`. Raises what `prepare` raises.
    """
    _refuse_change(_made_with(options), recipe, options)
    record = load_build_record(options.work_folder)
    if record is None:
        record = BuildRecord(
            recipe=recipe.resolved(),
            recipe_digest=recipe.digest(),
            step_versions=step_versions(),
            benchmark_parts=len(benchmark_parts(recipe)),
        )
    if not record.id:
        record = replace(record, id=new_id())
        # Before the output has the id: a work folder with an id and without a generation fits any
        # new output, an output with an id fits no other work folder.
        save_state(WorkFolder(options.work_folder).build, asdict(record))
    write_output_id(options.out, record.id)


def _made_with(options: BuildOptions) -> BuildRecord | None:
    out = options.out
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file: choose a folder for --out")
    check_work_folder(out, options.work_folder)
    record = load_build_record(options.work_folder)
    # A corpus cannot grow without its work folder: the ids of known candidates and the index of
    # published images are there.
    if (out / MANIFEST).is_file():
        manifest = load_manifest(out, to_extend=True)
        return BuildRecord(
            recipe=manifest.recipe,
            recipe_digest=manifest.recipe_digest,
            step_versions=manifest.step_versions,
        )
    if record is not None:
        return record
    allowed = {options.work_folder.resolve(), (out / BUILD_ID).resolve()}
    if out.is_dir() and any(path.resolve() not in allowed for path in out.iterdir()):
        raise UsageError(
            f"{out}: is neither empty nor a corpus of wenlan-data: choose a new folder for --out"
        )
    return None


def _old_manifest(options: BuildOptions) -> Manifest | None:
    if options.from_corpus is None:
        return None
    if options.from_corpus.resolve() == options.out.resolve():
        raise UsageError(f"{options.out}: --from and --out are the same folder: choose a new --out")
    if not (options.from_corpus / MANIFEST).is_file():
        raise UsageError(
            f"{options.from_corpus}: holds no {MANIFEST}: --from takes a finished corpus"
        )
    work = options.from_work or options.from_corpus / WORK
    if not WorkFolder(work).generations.root.is_dir():
        raise UsageError(
            f"{work}: holds no recorded images (removed by gc, or moved): "
            "give the folder by --from-work"
        )
    check_work_folder(options.from_corpus, work, "--from-work")
    manifest = load_manifest(options.from_corpus)
    recorded = WorkFolder(work).generations.root.glob(f"*/fetch/*/{IMAGE_WARC}")
    if manifest.generations and next(recorded, None) is None:
        raise UsageError(
            f"{work}: its {IMAGE_WARC} files are missing (gc --warcs removes them): "
            "build from the sources again"
        )
    return manifest


def _recipe(
    name: str | None,
    overrides: Sequence[str],
    made: BuildRecord | None,
    old: Manifest | None,
    from_corpus: Path | None,
) -> Recipe:
    if name is not None:
        return load_recipe(name, overrides)
    if made is not None and not overrides:
        return parse_recipe(made.recipe, "the recipe of the output")
    if old is not None and not overrides:
        return parse_recipe(old.recipe, f"the recipe of {from_corpus}")
    return load_recipe("wenlan", overrides)


def _refuse_change(made: BuildRecord | None, recipe: Recipe, options: BuildOptions) -> None:
    if made is None:
        return
    changed = [
        f"step {name} {made.step_versions.get(name)} -> {new}"
        for name, new in step_versions().items()
        if made.step_versions.get(name) != new
    ]
    # One corpus, one recipe and one version of each step: else a sample would no longer follow from
    # the manifest.
    if made.recipe_digest != recipe.digest():
        changed += _differences(made.recipe, recipe.resolved())
    if changed:
        out = options.out
        remedy = f"wenlan-data build --from {out} --recipe RECIPE --out NEW_FOLDER"
        raise RecipeError(
            f"{out}: was made with other settings ({'; '.join(changed[:4])}): "
            f"make a new one by `{remedy}`"
        )


def _differences(
    before: Mapping[str, object], after: Mapping[str, object], path: str = ""
) -> list[str]:
    lines: list[str] = []
    for key in sorted({*before, *after}):
        one, two = before.get(key), after.get(key)
        where = f"{path}{key}"
        if isinstance(one, dict) and isinstance(two, dict):
            lines += _differences(one, two, f"{where}.")
        elif one != two:
            short = f"{one} -> {two}"
            lines.append(f"{where}: {short}" if len(short) < 80 else f"{where} differs")
    return lines
