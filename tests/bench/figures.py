# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of the benchmarks: kept in docs/generated/benchmarks.json, shown in BENCHMARKS.md beside it.

A section is what one target measured. Its figures have runs of metrics; told is the middle run, and the
spread is what lies between the least and the most. Against the section that stood before, a figure is worse
when its middle is worse by more than both spreads.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "docs" / "generated" / "benchmarks.json"
PAGE = ROOT / "docs" / "generated" / "BENCHMARKS.md"


@dataclass(frozen=True)
class Metric:
    """How a number is told, and whether less or more of it is better."""

    title: str
    digits: int
    less_is_better: bool = True


METRICS = {
    "cpu_per_1000": Metric("CPU s per 1,000", 3),
    "rate": Metric("per second", 1, less_is_better=False),
    "p50_ms": Metric("p50 ms", 1),
    "p95_ms": Metric("p95 ms", 1),
    "p99_ms": Metric("p99 ms", 1),
    "added_ms": Metric("CPU ms more", 2),
    "scanners_ms": Metric("clamd and spamd CPU ms", 1),
    "own_ms": Metric("CPU ms a message", 1),
    "kib_per_session": Metric("KiB per session", 1),
    "held": Metric("sessions held", 0, less_is_better=False),
    "served_percent": Metric("% served", 0, less_is_better=False),
    "worst_ms": Metric("worst ms", 0),
    "seconds": Metric("seconds", 2),
    "cpu_seconds": Metric("CPU seconds", 2),
    "tasks": Metric("tasks", 0),
    "packages": Metric("packages", 0),
    "compiling_packages": Metric("of them for compiling", 0),
    "lines_per_second": Metric("lines a second", 0, less_is_better=False),
    "ratio": Metric("ratio", 2),
    "memory_mb": Metric("memory MB", 0),
}


@dataclass
class Figure:
    """What one row says of one system."""

    row: str
    system: str
    at_once: int = 0  # sessions at once, 0 where that says nothing
    runs: dict[str, list[float]] = field(default_factory=dict)
    disturbed: bool = False  # others used more of the machine than a run may have
    remark: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        return self.row, self.system, self.at_once

    def add(self, **metrics: float) -> None:
        for name, value in metrics.items():
            self.runs.setdefault(name, []).append(round(value, 4))


@dataclass
class Section:
    """One target's figures."""

    name: str
    title: str
    repeat: str
    date: str
    machine: str
    versions: dict[str, str]
    about: str
    figures: list[Figure]
    lists: dict[str, list[str]] = field(default_factory=dict)  # of what cost most, and the like
    aims: list[str] = field(default_factory=list)
    compared_with: str = ""
    worse: list[str] = field(default_factory=list)


def spread(runs: Sequence[float]) -> float:
    return max(runs) - min(runs)


def told(name: str, runs: Sequence[float]) -> str:
    """Return the middle run, with the spread of the others."""
    metric = METRICS[name]
    middle = statistics.median(runs)
    text = f"{middle:,.{metric.digits}f}"
    if len(runs) > 1 and spread(runs) > 0 and middle > 0:
        text += f" ±{spread(runs) / 2 / middle * 100:.0f} %"
    return text


def label(figure: Figure) -> str:
    at_once = f", {figure.at_once} at once" if figure.at_once else ""
    return f"{figure.row}, {figure.system}{at_once}"


def compare(before: Iterable[Figure], after: Iterable[Figure]) -> list[str]:
    """Return a sentence for each metric that is worse than before by more than the spreads of both."""
    known = {figure.key: figure for figure in before}
    worse = []
    for figure in after:
        old = known.get(figure.key)
        if old is None:
            continue
        for name, runs in figure.runs.items():
            then = old.runs.get(name)
            metric = METRICS[name]
            if not then or not runs:
                continue
            change = statistics.median(runs) - statistics.median(then)
            if not metric.less_is_better:
                change = -change
            if change > max(spread(runs), spread(then)):
                doubt = " (a disturbed run)" if figure.disturbed or old.disturbed else ""
                worse.append(
                    f"{label(figure)}: {metric.title} {told(name, runs)}, was {told(name, then)}{doubt}"
                )
    return worse


def renewed(before: Iterable[Figure], after: Sequence[Figure], remark: str) -> list[Figure]:
    """Return the figures of before with those of after in their place, which say so."""
    new = {figure.key: figure for figure in after}
    for figure in after:
        figure.remark = "; ".join(text for text in (figure.remark, remark) if text)
    kept = [new.pop(figure.key, figure) for figure in before]
    return [*kept, *new.values()]


def ratios(figures: Sequence[Figure]) -> list[str]:
    """How the first metric of the gateway's figures stands beside each peer's, worse or better alike."""
    lines = []
    for own in figures:
        if own.system != "gateway":
            continue
        name = next(iter(own.runs))
        mine = statistics.median(own.runs[name])
        for other in figures:
            same = (other.row, other.at_once) == (own.row, own.at_once) and other.system != "gateway"
            if not same or not other.runs.get(name):
                continue
            theirs = statistics.median(other.runs[name])
            better = mine < theirs if METRICS[name].less_is_better else mine > theirs
            word = "the same" if mine == theirs else "better" if better else "worse"
            at_once = f", {own.at_once} at once" if own.at_once else ""
            what = f"{own.row}{at_once}: {METRICS[name].title} is"
            if mine > 0 and theirs > 0:
                lines.append(f"{what} {mine / theirs:.2f} times that of {other.system}, {word}")
            else:
                lines.append(f"{what} {mine:,.0f}, that of {other.system} {theirs:,.0f}, {word}")
    return lines


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = rows
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in body),
    ]


def page_of(section: Section) -> list[str]:
    """Return the section as lines of Markdown."""
    lines = [f"## {section.title}", ""]
    lines += [f"Measured {section.date} on {section.machine}. To repeat: `{section.repeat}`.", ""]
    if section.versions:
        named = ", ".join(f"{name} {one}" for name, one in section.versions.items())
        lines += [f"Versions: {named}.", ""]
    lines += [section.about]
    shapes: dict[tuple[str, ...], list[Figure]] = {}
    for figure in section.figures:
        shapes.setdefault(tuple(figure.runs), []).append(figure)
    for names, figures in shapes.items():
        several = any(figure.at_once for figure in figures)
        systems = any(figure.system for figure in figures)
        head = ["what", *(["with"] if systems else []), *(["at once"] if several else [])]
        rows = [[*head, *(METRICS[name].title for name in names), ""]]
        for one in figures:
            remarks = [*(["disturbed"] if one.disturbed else []), *([one.remark] if one.remark else [])]
            row = [one.row, *([one.system] if systems else []), *([str(one.at_once)] if several else [])]
            rows.append([*row, *(told(name, one.runs[name]) for name in names), "; ".join(remarks)])
        lines += [*table(rows), ""]
    beside = ratios(section.figures)
    if beside:
        lines += ["The gateway beside the others:", "", *(f"- {line}" for line in beside), ""]
    for title, entries in section.lists.items():
        lines += [f"{title}:", "", *(f"- {entry}" for entry in entries), ""]
    if section.aims:
        lines += ["Aims:", "", *(f"- {aim}" for aim in section.aims), ""]
    if section.compared_with:
        said = section.worse or ["nothing"]
        lines += [f"Worse than on {section.compared_with} by more than the runs' own spread:", ""]
        lines += [*(f"- {line}" for line in said), ""]
    return lines


HEAD = """\
# Benchmarks

Made by `make bench`, `make bench-converge` and `make bench-services` from what they measured, which is kept
in benchmarks.json beside this page. Each number is the middle one of its runs, with half of what lies between
the least and the most. The CPU is the account that the kernel keeps of the servers' container: it holds on a
machine that has other work, where rates and times do not. A run during which others used more than 8 % of the
machine is repeated twice at most and then marked as disturbed.
"""


def render(sections: Iterable[Section]) -> str:
    lines = [HEAD]
    for section in sections:
        lines += page_of(section)
    return "\n".join(lines).rstrip("\n") + "\n"


def read(path: Path = DATA) -> dict[str, Section]:
    """Return the sections that were kept, by name."""
    if not path.exists():
        return {}
    kept: Mapping[str, dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))
    found = {}
    for name, values in kept.items():
        figures = [Figure(**one) for one in values.pop("figures")]  # type: ignore[attr-defined]
        found[name] = Section(figures=figures, **values)  # type: ignore[arg-type]
    return found


ORDER = ("front", "converge", "services")


def publish(section: Section, data: Path = DATA, page: Path = PAGE) -> list[str]:
    """Replace the kept section of this name; return what got worse."""
    sections = read(data)
    before = sections.get(section.name)
    if before is not None:
        section.compared_with = before.date
        section.worse = compare(before.figures, section.figures)
    sections[section.name] = section
    ordered = {name: sections[name] for name in ORDER if name in sections}
    data.write_text(json.dumps({name: asdict(one) for name, one in ordered.items()}, indent=1) + "\n")
    page.write_text(render(ordered.values()))
    return section.worse
