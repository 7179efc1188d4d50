"""`wenlan-data build`: builds a corpus from sources."""

from pathlib import Path

import click

from wenlan_data.cli.plugin_option import plugins_option


@click.command()
@click.argument("more_sources", nargs=-1, metavar="[SOURCE]...")
@click.option(
    "--sources",
    multiple=True,
    metavar="SOURCE",
    help="sources.yaml, or kind:path such as table:urls.parquet or pages:https://...; repeatable.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the corpus: new, empty, or a corpus to resume or extend.",
)
@click.option(
    "--recipe",
    default=None,
    metavar="NAME|FILE",
    help="Recipe. Default: wenlan, or the recipe of the corpus of --from.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the recipe; the value is YAML.",
)
@plugins_option
@click.option(
    "--from",
    "from_corpus",
    default=None,
    type=click.Path(path_type=Path),
    help="Rebuild from the recordings of this corpus, without any request.",
)
@click.option(
    "--from-work",
    default=None,
    type=click.Path(path_type=Path),
    help="Work folder of the corpus of --from, if it is not inside it.",
)
@click.option(
    "--workers",
    default=None,
    type=click.IntRange(1),
    help="Number of parallel tasks. Default: the cores of this machine, or of the cluster.",
)
@click.option(
    "--executor",
    default="ray",
    type=click.Choice(["ray", "local"]),
    help="Run tasks on Ray, or in threads of this process.",
)
@click.option(
    "--ray",
    "ray_address",
    default=None,
    metavar="ADDRESS",
    help="Address of a running Ray cluster. Default: start Ray on this machine.",
)
@click.option(
    "--worker-timeout",
    "worker_timeout_s",
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(30),
    help="With Ray: start a part elsewhere if its worker gives no sign of life for so long.",
)
@click.option(
    "--work",
    default=None,
    type=click.Path(path_type=Path),
    help="Folder for intermediate files. Default: OUT/.work",
)
@click.option(
    "--contact", default="", help="Your e-mail address or web page, for the User-Agent header."
)
@click.option(
    "--limit", default=None, type=click.IntRange(1), help="Read at most this many candidates."
)
@click.option(
    "--generation-rows",
    default=1_000_000,
    show_default=True,
    type=click.IntRange(1),
    help="Candidates per generation.",
)
@click.option(
    "--retry-failed",
    is_flag=True,
    help="First retry transient failures, and requests to hosts that network.allow now permits.",
)
@click.option(
    "--offline",
    is_flag=True,
    help="Make no request: what is not recorded is dropped as `offline`.",
)
@click.option(
    "--max-failed-share",
    default=None,
    type=click.FloatRange(0, 1),
    help="Stop with exit 9 if a larger share of requests fails for transient reasons. "
    "Default: 0.05 for crawled pages.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print what would be done: read local files, send no request, write nothing.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def build(
    more_sources: tuple[str, ...],
    sources: tuple[str, ...],
    out: Path,
    recipe: str | None,
    overrides: tuple[str, ...],
    from_corpus: Path | None,
    from_work: Path | None,
    workers: int | None,
    executor: str,
    ray_address: str | None,
    worker_timeout_s: float,
    work: Path | None,
    contact: str,
    limit: int | None,
    generation_rows: int,
    retry_failed: bool,
    offline: bool,
    max_failed_share: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Build a corpus from SOURCES, or resume or extend one.

    The same command resumes an interrupted build; with more sources it extends the corpus; with
    nothing new it does nothing.
    """
    import sys
    from contextlib import nullcontext, redirect_stdout

    from wenlan_data.cli.funnel import print_estimate, print_result
    from wenlan_data.detect.weights import no_downloads
    from wenlan_data.run.estimate import estimate
    from wenlan_data.run.options import BuildOptions
    from wenlan_data.run.preflight import prepare
    from wenlan_data.run.runner import build as run_build
    from wenlan_data.stop_signals import resumable

    options = BuildOptions(
        out=out,
        work=work,
        workers=workers,
        executor="local" if executor == "local" else "ray",
        ray_address=ray_address,
        worker_timeout_s=worker_timeout_s,
        generation_rows=generation_rows,
        limit=limit,
        retry_failed=retry_failed,
        offline=offline,
        max_failed_share=max_failed_share,
        from_corpus=from_corpus,
        from_work=from_work,
    )
    prepared = prepare(options, (*sources, *more_sources), recipe, overrides, contact)
    if dry_run:
        print_estimate(estimate(prepared), as_json=as_json)
    else:
        with no_downloads() if prepared.offline else nullcontext():
            prepared.recipe.detect.prepare()
        # Ray prints the deaths of workers on stdout, which is for the result.
        with redirect_stdout(sys.stderr), resumable():
            result = run_build(prepared)
        print_result(result, as_json=as_json)
