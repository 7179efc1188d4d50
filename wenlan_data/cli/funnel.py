"""Prints the funnel of a build, and the estimate of a dry run."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from wenlan_data.cli.terminal import counted, echo, print_json
from wenlan_data.layout import MANIFEST
from wenlan_data.reasons import Reason, is_transient
from wenlan_data.report.stages import STAGES
from wenlan_data.run.estimate import Estimate, SourceEstimate
from wenlan_data.run.runner import BuildResult
from wenlan_data.shard.manifest import load_manifest
from wenlan_data.web.address_policy import REFUSALS

_FORBIDDEN = {Reason.ROBOTS, Reason.CRAWL_DELAY, Reason.OPT_OUT}
_WENT_ONLINE = "run it without --offline (or network.offline) and with --retry-failed"
_IMAGE_RULES = {
    Reason.FORMAT,
    Reason.TOO_SMALL,
    Reason.TOO_FEW_BYTES,
    Reason.ASPECT,
    Reason.NEAR_BLANK,
    Reason.LOW_INFORMATION,
    Reason.ICON,
}


def print_result(result: BuildResult, *, as_json: bool) -> None:
    """Prints the funnel from candidates to samples, with the count of every drop reason."""
    if as_json:
        print_json(_json_value(result))
        return
    for line in _result_lines(result):
        echo(line)


def _result_lines(result: BuildResult) -> Iterator[str]:
    yield from _page_lines(result.pages)
    why = [] if result.samples else _no_samples(result)
    if not result.generations:
        yield f"nothing new: {result.out} holds {result.samples} samples"
        yield from why
        yield from _hints(result.pages)
        return
    yield from funnel_lines(result.candidates, result.dropped, result.samples)
    if result.retried:
        yield f"{result.retried:>10}  of the candidates had failed before, and were fetched again"
    if result.known:
        yield f"{result.known:>10}  known from earlier builds, skipped"
    yield from why
    yield from _hints(Counter(result.pages) + Counter(result.dropped.get("fetch", {})))
    yield f"report {result.out}/report/index.html"
    yield (
        f"corpus {result.out}: {counted(result.shards, 'shard')}, {result.samples} samples in all, "
        f"recipe {result.recipe_digest[:12]}"
    )


def _json_value(result: BuildResult) -> dict[str, object]:
    # `retried` only where there were any, as in the manifest.
    return {key: value for key, value in asdict(result).items() if key != "retried" or value}


def _no_samples(result: BuildResult) -> list[str]:
    """Returns why a build gave no sample, and what to do: by the reason that dropped most."""
    dropped, candidates, pages = result.dropped, result.candidates, result.pages
    if not result.generations and (Path(result.out) / MANIFEST).is_file():
        # Nothing was new, so the reason is that of the builds before.
        funnel = load_manifest(Path(result.out)).funnel
        dropped, candidates = funnel.dropped, funnel.candidates
    losses = {
        (step, reason): count
        for step, reasons in dropped.items()
        for reason, count in reasons.items()
    }
    if losses:
        (step, reason), count = max(losses.items(), key=lambda entry: (entry[1], entry[0]))
        what = f"{step} dropped most, {count} of {candidates} candidates"
    elif pages and not pages.get("read"):
        step, (reason, count) = "crawl", max(pages.items(), key=lambda entry: (entry[1], entry[0]))
        what = f"no page could be read, {count} of {sum(pages.values())}"
    else:
        where = f"the pages that were read ({pages['read']}) hold" if pages else "the sources hold"
        return [
            f"no samples: {where} no new image with a text: look at the sources with --dry-run, or "
            "at a page with `wenlan-data extract`"
        ]
    meanings = {one.value: one.meaning for one in Reason}
    meaning = f": {meanings[reason]}" if reason in meanings else ""
    return [
        f"no samples: {what}, as {reason}{meaning}",
        f"to do: {_remedy(step, reason, result.out)}",
    ]


def _remedy(step: str, reason: str, out: str) -> str:
    again = f"rebuild without a request by --from {out} --out NEW_FOLDER"
    if reason in REFUSALS:
        return "list hosts of your own under network.allow, and run it again with --retry-failed"
    if reason == Reason.OFFLINE:
        return _WENT_ONLINE
    if reason == Reason.EXCLUDED:
        return "check the lists under exclude in the sources file"
    if is_transient(reason):
        return "run the same command with --retry-failed"
    if reason in _FORBIDDEN:
        return "the sites do not permit it: choose other sources"
    if reason in _IMAGE_RULES:
        return f"change the section image of the recipe (`wenlan-data recipes show`), and {again}"
    if step == "crawl":
        return "open the seeds in a browser: they give no page"
    if step == "fetch":
        return f"open some of the URLs in {out}/drops: they give no image"
    if step == "dedupe":
        return (
            f"compare the samples that {out}/drops names, or change the section dedupe and {again}"
        )
    return f"see `wenlan-data text try`, change the section text of the recipe, and {again}"


def _page_lines(pages: Mapping[str, int]) -> list[str]:
    """Returns a line with the pages that were read, and why others were not."""
    if not pages:
        return []
    ranked = sorted(pages.items(), key=lambda entry: -entry[1])
    others = ", ".join(f"{outcome} {count}" for outcome, count in ranked if outcome != "read")
    return [f"{pages.get('read', 0):>10}  pages read" + (f" (others: {others})" if others else "")]


def funnel_lines(
    candidates: int, dropped: Mapping[str, Mapping[str, int]], samples: int
) -> list[str]:
    """Returns one line per drop reason, grouped by step in the order of the flow."""
    lines = [f"{candidates:>10}  candidates"]
    remaining = candidates
    for step in STAGES:
        reasons = dropped.get(step, {})
        for reason, count in sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0])):
            lines.append(f"{-count:>10}  {step}: {reason}")
        if reasons:
            remaining -= sum(reasons.values())
            lines.append(f"{remaining:>10}  remaining after {step}")
    lines.append(f"{samples:>10}  samples in the corpus")
    return lines


def _hints(counts: Mapping[str, int]) -> list[str]:
    """Returns advice on failed requests, counted by drop reason."""
    lines = []
    if any(counts.get(reason) for reason in REFUSALS):
        lines.append(
            "hint: the address policy blocked some URLs: to open a host of your own, add it to "
            "network.allow and run the same command with --retry-failed"
        )
    failed = {reason for reason, count in counts.items() if count and is_transient(reason)}
    if Reason.OFFLINE in failed:
        lines.append(f"hint: URLs were dropped because the build was offline: {_WENT_ONLINE}")
    if failed - {Reason.OFFLINE}:
        lines.append(
            "hint: some failures are transient: run the same command with --retry-failed to try "
            "these URLs again"
        )
    return lines


def print_estimate(estimate: Estimate, *, as_json: bool) -> None:
    """Prints what a build would read, fetch and write. Unknown counts are marked as unknown."""
    if as_json:
        print_json(asdict(estimate))
        return
    for source in estimate.sources:
        echo(f"{source.name}: {_contents(source)}" + (f" ({source.note})" if source.note else ""))
    if estimate.rows is None:
        echo("candidates, disk and time: unknown until the pages and WARC files are read")
    else:
        echo(f"candidates: {estimate.rows:,}, of which URLs to fetch: {_known(estimate.urls)}")
        echo(
            f"disk, at {estimate.bytes_per_picture:,} bytes per image: "
            f"{_known(estimate.disk_bytes)} bytes"
        )
        echo(f"fetching takes at least: {_known(estimate.seconds)} s")
    for host in estimate.slowest_hosts:
        echo(f"  {host.host}: {host.urls} URLs x {host.gap_s} s = {host.seconds:.0f} s")
    workers = "as many as the cluster has cores" if estimate.workers is None else estimate.workers
    echo(f"parallel tasks: {workers}")
    echo("no request was sent and no file was written")


def _contents(source: SourceEstimate) -> str:
    parts = counted(source.parts, "part")
    if source.rows is not None:
        return f"{source.rows:,} rows in {parts}"
    return f"{parts}, to be read" if source.parts else "to be crawled"


def _known(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"
