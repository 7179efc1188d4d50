"""`wenlan-data demo`: the whole flow on a small site of real photographs, served from loopback."""

from pathlib import Path

import click

_NEXT = """
What to look at next:
  wenlan-data shards stat {out}/corpus                # counts, sizes, why rows were dropped
  wenlan-data shards show {out}/corpus --number 0     # a sample: caption, texts, regions, hashes
  wenlan-data shards extract {out}/corpus --limit 10 --out {out}/pictures
  wenlan-data shards verify {out}/corpus              # every byte against its recorded hash
  wenlan-data eval retrieval --checkpoint {out}/run --shards {out}/corpus   # what brivl-tiny learned in {steps} steps
It was built from {out}/sources.yaml: the site in {out}/site, crawled, and the folder {out}/photos."""


@click.command()
@click.option(
    "--out",
    default=Path("demo-out"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for the site, the pictures and the corpus; made anew on every run.",
)
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(1), help="Tasks at once."
)
@click.option(
    "--executor",
    default="ray",
    type=click.Choice(["ray", "local"]),
    help="Ray tasks, or threads of this process.",
)
def demo(out: Path, workers: int, executor: str) -> None:
    """Crawl a small Chinese site about photographs of scikit-image and scikit-learn, build a corpus, train on it.

    It is served from loopback, with what the real web has: icons, copies, lazy and broken pictures, opt-outs.
    """
    import shlex

    from wenlan_data.cli.funnel import print_result
    from wenlan_data.demo.run import TRAIN_STEPS, run_demo, train_demo

    print_result(run_demo(out, workers, "local" if executor == "local" else "ray"), as_json=False)
    trained = train_demo(out)
    click.echo(_NEXT.format(out=shlex.quote(str(out)), steps=TRAIN_STEPS))
    click.echo(
        f"The training, for a browser: {trained}"
        if trained
        else "Not trained: pip install 'wenlan-data[train]'"
    )
    report = out / "corpus" / "report" / "index.html"
    if report.is_file():
        click.echo(f"The report, for a browser: {report}")
