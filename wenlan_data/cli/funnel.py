"""Prints what a build did, and what it would do."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

import click

from wenlan_data.run.estimate import Estimate, SourceEstimate
from wenlan_data.run.runner import BuildResult


def print_result(result: BuildResult, *, as_json: bool) -> None:
    """The funnel from candidates to samples, every reason counted."""
    if as_json:
        click.echo(json.dumps(asdict(result), ensure_ascii=False))
        return
    for line in _page_lines(result.pages):
        click.echo(line)
    if not result.generations:
        click.echo(f"nothing new: {result.out} holds {result.samples} samples")
        for line in _hints(result.pages):
            click.echo(line)
        return
    click.echo("\n".join(funnel_lines(result.candidates, result.dropped, result.samples)))
    if result.known:
        click.echo(f"{result.known:>10}  known before, skipped")
    for line in _hints(Counter(result.pages) + Counter(result.dropped.get("fetch", {}))):
        click.echo(line)
    digest = result.recipe_digest[:12]
    click.echo(f"report {result.out}/report/index.html")
    click.echo(
        f"corpus {result.out}: {result.shards} shards, {result.samples} samples in all, recipe {digest}"
    )


def _page_lines(pages: Mapping[str, int]) -> list[str]:
    """What became of the pages of a crawl; a redirect or a sitemap is no page."""
    if not pages:
        return []
    others = [
        f"{reason} {count}" for reason, count in sorted(pages.items(), key=lambda pair: -pair[1])
    ]
    left = ", ".join(word for word in others if not word.startswith("read "))
    return [f"{pages.get('read', 0):>10}  pages read" + (f" (others: {left})" if left else "")]


def funnel_lines(
    candidates: int, dropped: Mapping[str, Mapping[str, int]], samples: int
) -> list[str]:
    """One line a reason, grouped by step in the order of the flow."""
    lines = [f"{candidates:>10}  candidates"]
    left = candidates
    for step in ("extract", "clean", "fetch", "dedupe", "shard"):
        reasons = dropped.get(step, {})
        for reason, count in sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])):
            lines.append(f"{-count:>10}  {step}: {reason}")
        if reasons:
            left -= sum(reasons.values())
            lines.append(f"{left:>10}  left after {step}")
    lines.append(f"{samples:>10}  samples in the corpus")
    return lines


def _hints(asked: Mapping[str, int]) -> list[str]:
    lines = []
    if asked.get("port") or asked.get("address"):
        lines.append(
            "hint: an address or port that is closed by default was named: "
            "open a host of yours by network.allow, and the same command with --retry-failed asks it"
        )
    if any(
        asked.get(reason)
        for reason in (
            "robots_unavailable",
            "host_unreachable",
            "host_waits",
            "timeout",
            "status_5xx",
        )
    ):
        lines.append(
            "hint: some hosts did not answer: the same command with --retry-failed asks them again"
        )
    return lines


def print_estimate(estimate: Estimate, *, as_json: bool) -> None:
    """What a build would read, ask and write; unknown counts say so."""
    if as_json:
        click.echo(json.dumps(asdict(estimate), ensure_ascii=False))
        return
    for source in estimate.sources:
        click.echo(
            f"{source.name}: {_contents(source)}" + (f" ({source.note})" if source.note else "")
        )
    if estimate.rows is None:
        click.echo("candidates, disk and time: not known before the pages and WARC files are read")
    else:
        click.echo(
            f"candidates: {estimate.rows:,}, of which URLs to ask for: {_known(estimate.urls)}"
        )
        click.echo(
            f"disk, at {estimate.bytes_per_picture:,} bytes a picture: {_known(estimate.disk_bytes)} bytes"
        )
        click.echo(f"time of fetching at the least: {_known(estimate.seconds)} s")
    for host in estimate.slowest_hosts:
        click.echo(f"  {host.host}: {host.urls} URLs x {host.gap_s} s = {host.seconds:.0f} s")
    click.echo("nothing was asked and nothing was written")


def _contents(source: SourceEstimate) -> str:
    parts = f"{source.parts} part{'' if source.parts == 1 else 's'}"
    if source.rows is not None:
        return f"{source.rows:,} rows in {parts}"
    return f"{parts}, to be read" if source.parts else "to be crawled"


def _known(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"
