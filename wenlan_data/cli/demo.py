"""`wenlan-data demo`: runs the whole flow on a small site of real photographs on loopback."""

from pathlib import Path

import click

from wenlan_data.cli.terminal import echo, echo_lines
from wenlan_data.printable import printable

_NEXT = """
What to look at next:
  wenlan-data shards stat {out}/corpus                # counts, sizes and drop reasons
  wenlan-data shards show {out}/corpus --number 0     # one sample: caption, texts, regions, hashes
  wenlan-data shards extract {out}/corpus --limit 10 --out {out}/images
  wenlan-data shards verify {out}/corpus              # every byte against its recorded digest
  wenlan-data eval retrieval --checkpoint {out}/run --shards {out}/corpus
Its sources are in {out}/sources.yaml: the crawled site {out}/site and the folder {out}/photos."""


@click.command()
@click.option(
    "--out",
    default=Path("demo-out"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for the site, the images and the corpus; rebuilt on every run.",
)
@click.option(
    "--workers",
    default=2,
    show_default=True,
    type=click.IntRange(1),
    help="Number of parallel tasks.",
)
@click.option(
    "--executor",
    default="ray",
    type=click.Choice(["ray", "local"]),
    help="Run tasks on Ray, or in threads of this process.",
)
def demo(out: Path, workers: int, executor: str) -> None:
    """Crawl a small Chinese site on loopback, build a corpus from it, and train on the corpus.

    The site shows photographs of scikit-image and scikit-learn, and has what the real web has:
    icons, copies, lazily loaded and broken images, opt-outs.
    """
    import shlex

    from wenlan_data.cli.funnel import print_result
    from wenlan_data.demo.run import TRAIN_STEPS, run_demo, train_demo
    from wenlan_data.folder_lock import FolderLock

    # Until the end: another demo here would remove the corpus that is trained on.
    with FolderLock(out, "demo"):
        result = run_demo(out, workers, "local" if executor == "local" else "ray")
        print_result(result, as_json=False)
        trained = train_demo(out)
    echo_lines(_NEXT.format(out=shlex.quote(printable(str(out)))))
    echo(
        f"Training report of brivl-tiny after {TRAIN_STEPS} steps, for a browser: {trained}"
        if trained
        else "Not trained: pip install 'wenlan-data[train]'"
    )
    report = out / "corpus" / "report" / "index.html"
    if report.is_file():
        echo(f"Corpus report, for a browser: {report}")
