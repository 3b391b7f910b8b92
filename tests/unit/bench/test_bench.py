# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmarks say of their figures, and what their load generator does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from bench import figures, measuring

ROOT = Path(__file__).resolve().parents[3]
BENCH = ROOT / "tests" / "bench"


def figure(*seconds: float, system: str = "gateway", disturbed: bool = False) -> figures.Figure:
    made = figures.Figure("a row", system, 8, disturbed=disturbed)
    for value in seconds:
        made.add(cpu_per_1000=value)
    return made


def section(*made: figures.Figure, date: str = "2026-01-01") -> figures.Section:
    return figures.Section(
        "front", "A title", "make bench", date, "a machine", {"x": "1"}, "Prose.\n", list(made)
    )


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        ((1.0, 1.1, 1.2), (1.15, 1.2, 1.3), False),  # less than either spread
        ((1.0, 1.1, 1.2), (1.4, 1.4, 1.4), True),
        ((1.0, 1.0, 1.0), (1.0, 1.4, 1.8), False),  # the new runs' spread counts as well
        ((1.0, 1.0, 1.0), (0.5, 0.5, 0.5), False),
    ],
)
def test_worse_is_what_exceeds_both_spreads(
    before: tuple[float, ...], after: tuple[float, ...], worse: bool
) -> None:
    assert bool(figures.compare([figure(*before)], [figure(*after)])) == worse


def test_more_is_better_where_it_is() -> None:
    before, after = figures.Figure("stats", ""), figures.Figure("stats", "")
    before.add(lines_per_second=1000)
    after.add(lines_per_second=900)
    assert figures.compare([before], [after]) == ["stats, : lines a second 900, was 1,000"]
    assert figures.compare([after], [before]) == []


def test_a_disturbed_run_is_named_as_such() -> None:
    said = figures.compare([figure(1.0)], [figure(2.0, disturbed=True)])
    assert said == ["a row, gateway, 8 at once: CPU s per 1,000 2.000, was 1.000 (a disturbed run)"]


def test_a_worse_row_is_told_like_a_better_one() -> None:
    page = figures.render(
        [section(figure(2.0), figure(1.0, system="smtpd"), figure(4.0, system="postscreen"))]
    )
    assert "- a row, 8 at once: CPU s per 1,000 is 2.00 times that of smtpd, worse" in page
    assert "- a row, 8 at once: CPU s per 1,000 is 0.50 times that of postscreen, better" in page


def test_a_row_in_which_nobody_was_served_is_told_as_well() -> None:
    made = []
    for system, served in (("gateway", 0), ("smtpd", 0), ("postscreen", 95)):
        made.append(figures.Figure("a flood", system, 300))
        made[-1].add(served_percent=served)
    page = figures.render([section(*made)])
    assert "- a flood, 300 at once: % served is 0, that of postscreen 95, worse" in page
    assert "- a flood, 300 at once: % served is 0, that of smtpd 0, the same" in page


def test_what_was_published_is_compared_with_next_time(tmp_path: Path) -> None:
    data, page = tmp_path / "data.json", tmp_path / "page.md"
    assert figures.publish(section(figure(1.0)), data, page) == []
    worse = figures.publish(section(figure(3.0), date="2026-02-02"), data, page)
    assert worse == ["a row, gateway, 8 at once: CPU s per 1,000 3.000, was 1.000"]
    assert "Worse than on 2026-01-01" in page.read_text()
    assert figures.read(data)["front"].figures == [figure(3.0)]


def test_the_page_is_what_its_figures_render() -> None:
    assert figures.PAGE.read_text() == figures.render(figures.read().values())


@pytest.mark.parametrize(
    ("controller", "path"), [("cpuacct", "/docker/a"), ("memory", "/docker/b"), ("", "/docker/c")]
)
def test_the_control_group_of_a_container_is_found_in_either_version(controller: str, path: str) -> None:
    text = "3:memory:/docker/b\n2:cpu,cpuacct:/docker/a\n0::/docker/c\n"
    assert measuring.group_of(text, controller) == path


def test_the_account_of_version_2_is_in_seconds() -> None:
    assert measuring.used_seconds("usage_usec 2500000\nuser_usec 1\n") == 2.5


def test_what_waited_for_a_disk_was_idle() -> None:
    assert measuring.busy_seconds("cpu  100 0 50 1000 500 0 0 50 0 0\n") == 200 / measuring.TICKS


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("gcc"):
        pytest.fail("gcc is missing; install gcc and libc6-dev")
    target = tmp_path_factory.mktemp("bench") / "loadgen"
    flags = ["-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-fsanitize=address,undefined"]
    subprocess.run(["gcc", *flags, "-o", str(target), str(BENCH / "loadgen.c")], check=True)
    return target


def test_the_generator_sends_what_its_sink_takes(generator: Path, tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("one\ntwo\n...\n")
    port = "32525"
    with subprocess.Popen([str(generator), "-m", "sink", "-p", port]) as sink:
        try:
            argv = [
                str(generator),
                "-m",
                "data",
                "-p",
                port,
                "-c",
                "4",
                "-n",
                "40",
                "-t",
                "20",
                "-w",
                str(words),
            ]
            for _try in range(50):
                done = subprocess.run([*argv, "-b", "127.3.0.1", "-k", "9"], capture_output=True, check=True)
                said = json.loads(done.stdout)
                if not said["errors"]:  # the sink listens from the first session on
                    break
            assert (said["done"], said["errors"], said["codes"]) == (40, 0, {"250": 40})
        finally:
            sink.terminate()


@pytest.mark.parametrize(
    "words", [["-m", "nothing"], [], ["-m", "rcpt", "-p", "70000"], ["-m", "rcpt", "-b", "::1"]]
)
def test_the_generator_refuses_a_wrong_option(generator: Path, words: list[str]) -> None:
    done = subprocess.run([str(generator), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and re.match(r"loadgen: .* expected ", done.stderr)
