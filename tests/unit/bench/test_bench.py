# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmarks say of their figures, and what their load generator does."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from bench import figures, measuring
from support.c_programs import gcc
from support.certificates import in_one_file, make_pair
from support.tls_mail_server import Connection, TlsMailServer, Ways

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


def test_a_renewed_row_says_so_and_the_others_stay() -> None:
    other, old, new = figures.Figure("another", "gateway", 8), figure(1.0), figure(2.0)
    assert figures.renewed([other, old], [new], "with abc") == [other, new]
    assert (new.remark, other.remark) == ("with abc", "")


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


@pytest.mark.parametrize(
    ("cmdline", "found"),
    [
        (b"/usr/sbin/clamd\0--foreground\0", True),
        (b"spamd child\0\0\0", True),
        (b"/usr/bin/perl\0-T\0-w\0/usr/local/bin/spamd\0-x\0", True),
        (b"supervise\0spamd\0", False),
        (b"multilog\0t\0/var/log/spamd\0", False),
        (b"su\0-c\0exec clamd --foreground\0", False),
        (b"", False),
    ],
)
def test_a_program_is_known_by_its_command_line(cmdline: bytes, found: bool) -> None:
    assert measuring.runs(cmdline, ("clamd", "spamd")) is found


def test_what_waited_for_a_disk_was_idle() -> None:
    assert measuring.busy_seconds("cpu  100 0 50 1000 500 0 0 50 0 0\n") == 200 / measuring.TICKS


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("bench") / "loadgen"
    flags = ["-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-fsanitize=address,undefined"]
    gcc(*flags, "-o", target, BENCH / "loadgen.c", "-lssl", "-lcrypto")
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
    "words",
    [
        ["-m", "nothing"],
        [],
        ["-m", "rcpt", "-p", "70000"],
        ["-m", "rcpt", "-b", "::1"],
        ["-m", "rcpt", "-x", "half"],
        ["-m", "rcpt", "-x", "full", "-a", "dsa"],
        ["-m", "rcpt", "-x", "full", "-v", "1.1"],
        ["-m", "rcpt", "-v", "1.3"],
        ["-m", "sink", "-x", "full"],
    ],
)
def test_the_generator_refuses_a_wrong_option(generator: Path, words: list[str]) -> None:
    done = subprocess.run([str(generator), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and re.match(r"loadgen: .* expected ", done.stderr)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("certificates")
    return {kind: in_one_file(make_pair(place / kind, kind)) for kind in ("ecdsa", "rsa")}


def generated(generator: Path, ways: Ways, *words: str) -> tuple[dict[str, object], list[Connection]]:
    """Return what the generator says of its sessions with a server, and what came there."""
    with TlsMailServer(ways) as server:
        argv = [str(generator), "-p", str(server.port), "-t", "60", *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout), server.connections()


@pytest.mark.parametrize("kind", ["full", "resumed"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("key", ["ecdsa", "rsa"])
def test_the_generator_makes_handshakes(
    kind: str, version: str, key: str, generator: Path, certificates: dict[str, Path]
) -> None:
    words = ["-m", "quit", "-n", "5", "-x", kind, "-v", version, "-a", key]
    said, connections = generated(generator, Ways(certificates[key]), *words)
    counts = (said["done"], said["errors"], said["handshakes"], said["resumed"], said["codes"])
    assert counts == (5, 0, 5, 4 if kind == "resumed" else 0, {"220": 5})
    commands = ["plain EHLO client.sender.test", "plain STARTTLS", "QUIT"]
    assert [(one.version, one.commands) for one in connections] == [(f"TLSv{version}", commands)] * 5


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_sessions_at_once_are_resumed_by_the_same_ticket(
    version: str, generator: Path, certificates: dict[str, Path]
) -> None:
    words = ["-m", "rcpt", "-n", "32", "-c", "4", "-x", "resumed", "-v", version]
    said, _connections = generated(generator, Ways(certificates["ecdsa"]), *words)
    assert (said["done"], said["errors"], said["handshakes"]) == (32, 0, 32)
    assert said["resumed"] >= 32 - 4  # type: ignore[operator]


def test_the_generator_sends_a_message_by_tls(
    generator: Path, certificates: dict[str, Path], tmp_path: Path
) -> None:
    words = tmp_path / "words"
    words.write_text("one\ntwo\n")
    options = ["-m", "data", "-x", "full", "-n", "4", "-c", "2", "-s", "50000", "-w", str(words)]
    said, connections = generated(generator, Ways(certificates["ecdsa"]), *options)
    assert (said["done"], said["errors"], said["codes"]) == (4, 0, {"250": 4})
    assert [len(one.messages[0]) >= 50000 for one in connections] == [True] * 4
    verbs = ["plain EHLO", "plain STARTTLS", "EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    for one in connections:
        assert [" ".join(line.split(" ")[: 1 + line.startswith("plain")]) for line in one.commands] == verbs


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"answer": b"220 go ahead\r\n250 injected\r\n"}, []),
        ({"handshake": "close"}, []),
        ({}, ["-a", "rsa", "-v", "1.2"]),
        ({}, ["-a", "rsa", "-v", "1.3"]),
    ],
    ids=["more behind 220", "hangs up", "another key, 1.2", "another key, 1.3"],
)
def test_a_handshake_that_fails_is_an_error(
    changed: dict[str, object], words: list[str], generator: Path, certificates: dict[str, Path]
) -> None:
    ways = Ways(certificates["ecdsa"], **changed)  # type: ignore[arg-type]
    said, _connections = generated(generator, ways, "-m", "rcpt", "-n", "3", "-x", "full", *words)
    assert (said["done"], said["errors"], said["handshakes"]) == (0, 3, 0)


def test_a_session_that_is_not_encrypted_is_not_held(generator: Path, certificates: dict[str, Path]) -> None:
    for ways in (Ways(certificates["ecdsa"], handshake="close"), Ways(ehlo="close")):
        said, _connections = generated(generator, ways, "-m", "hold", "-n", "2", "-x", "full")
        assert (said["greeted"], said["held"], said["begun"]) == (0, 0, 2)


def test_starttls_that_is_refused_is_told_by_its_code(generator: Path, certificates: dict[str, Path]) -> None:
    ways = Ways(certificates["ecdsa"], answer=b"454 4.7.0 not now\r\n")
    said, _connections = generated(generator, ways, "-m", "rcpt", "-n", "2", "-x", "full")
    assert (said["done"], said["handshakes"], said["codes"]) == (2, 0, {"454": 2})
