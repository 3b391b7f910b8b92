# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spamd as a service: who reaches it, what it reads, what Razor and DCC may cost, and how it comes back."""

from __future__ import annotations

import os
import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.c_programs import INCLUDES, TESTS, gcc, needed, run
from support.gateway import Bed
from support.name_servers import resolving, world

SOCKET = "/run/spamd/spamd.sock"
SITE = "etc/mail/spamassassin"
RAZOR_ADDRESS = "198.18.0.54"
RAZOR_PORT = 2703
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
BACK_SECONDS = 60.0
BUSY_SECONDS = 60.0  # a hang is found, not a busy machine: spamd waits minutes for a plug-in


@pytest.fixture(scope="module")
def gate(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """Run with DNS where every name is known not to exist, so that name servers are not measured."""
    if not (bed.root / "service" / "spamd").is_symlink():
        pytest.skip("this gateway has no spamd")
    place = tmp_path_factory.mktemp("world")
    place.parent.chmod(0o755)
    with world(place), resolving(bed):
        assert reload(bed)[0] == 0
        yield bed
    reload(bed)


def letter(body: str) -> str:
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    name = f"{os.getpid()}.{time.time_ns()}@sender.example"
    return (
        "Received: from mail.sender.example (HELO mail.sender.example) (198.19.1.5)\n"
        "  by mx1.example.test with SMTP; 22 Nov 2026 16:00:00 -0000\n"
        f"From: ann@sender.example\nTo: alice@example.test\nSubject: a letter\nDate: {date}\n"
        f"Message-ID: <{name}>\n\n{body}\n{name}\n"
    )


def score(gate: Bed, text: str, user: str = "simscan") -> tuple[int, str, float]:
    """spamc's status and answer, and how long it took; status 0 and no scanning is what -x rules out."""
    begin = time.monotonic()
    status, said, _trouble = gate.inside("setuidgid", user, "spamc", "-x", "-U", SOCKET, text=text)
    return status, said, time.monotonic() - begin


def up(gate: Bed, within_seconds: float = BACK_SECONDS) -> None:
    deadline = time.monotonic() + within_seconds
    while score(gate, letter("hello"))[0] != 0:
        assert time.monotonic() < deadline, f"spamd is not back after {within_seconds:.0f} s"
        time.sleep(0.3)


def reload(gate: Bed) -> tuple[int, str]:
    status, said, trouble = gate.inside("mailgate", "sa-update", "--reload")
    return status, said + trouble


@contextmanager
def site(gate: Bed, name: str, text: str) -> Iterator[None]:
    """Write a file of the site's configuration; spamd has not been asked to read it."""
    path = gate.root / SITE / name
    kept = path.read_bytes() if path.exists() else None
    path.write_text(text)
    path.chmod(0o644)
    try:
        yield
    finally:
        if kept is None:
            path.unlink()
        else:
            path.write_bytes(kept)
        assert reload(gate)[0] == 0


def test_simscan_reaches_spamd_and_no_other_user_does(gate: Bed) -> None:
    assert "X-Spam-Flag: YES" in score(gate, letter(GTUBE))[1]
    for user in ("qmaild", "qmailr", "clamav", "nobody"):
        assert score(gate, letter("hello"), user)[0] != 0, user


def test_the_header_has_the_name_of_the_gateway_and_a_new_one_after_a_reload(gate: Bed) -> None:
    name = (gate.root / "var/qmail/control/me").read_text().strip()
    assert f" on {name}\n" in score(gate, letter("hello"))[1]
    text = (gate.root / SITE / "local.cf").read_text()
    other = "mx9.example.test"
    assert f"\nreport_hostname {name}\n" in text
    with site(gate, "local.cf", text.replace(f"report_hostname {name}", f"report_hostname {other}")):
        assert reload(gate)[0] == 0
        assert f" on {other}\n" in score(gate, letter("hello"))[1]


# Headers of messages whose marks come at different places.
HEADERS = {
    "plain": b"Received: x\nFrom: ann@sender.example\nSubject: hello\nX-Z: z\n\n",
    "folded": b"Received: x\n y\nSubject: hello\n\tworld\n \n\n",
    "without-subject": b"Received: x\nX-Z: z\n\n",
    "two-subjects": b"Received: x\nSubject: a\nX-Z: z\nsubject: b\n\n",
    "return-path-first": b"Return-Path: <a@b.example>\nReceived: x\nSubject:\n\n",
    "not-a-field": b"Received: x\nnot a field\nSubject: a\n\n",
    "dashes": b"Received: x\nSubject: a\n--b\nX-Z: z\n\n",
    "empty": b"\n",
}


def asked(gate: Bed, method: str, message: bytes) -> bytes:
    """Return what spamd gives back of a message."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(60)
        connection.connect(str(gate.root) + SOCKET)
        head = f"{method} SPAMC/1.5\r\nContent-length: {len(message)}\r\nUser: simscan\r\n\r\n"
        connection.sendall(head.encode() + message)
        said = b"".join(iter(lambda: connection.recv(65536), b""))
    assert said.startswith(b"SPAMD/1.1 0 EX_OK\r\n"), said[:200]
    return said.partition(b"\r\n\r\n")[2]


def without_order(message: bytes) -> list[bytes]:
    """Return the lines but those that differ when the same message is judged twice: SpamAssassin's report."""
    return [line for line in message.splitlines(True) if not re.match(rb"\t\*|X-Spam-Status|\t\w", line)]


def test_what_simscan_delivers_is_what_process_gives(gate: Bed, tmp_path: Path) -> None:
    """Its marks are those of HEADERS, put into the message's own header by the same C as in simscan."""
    program = tmp_path / "marks"
    source = TESTS / "marks.c"
    gcc("-std=c99", *INCLUDES, source, *needed(source), "-o", program)
    with site(gate, "tagged.cf", "rewrite_header Subject [SPAM]\n"):
        assert reload(gate)[0] == 0
        up(gate)
        for name, header in HEADERS.items():
            body = f"{GTUBE}\n\n{name}\n".encode()
            answer = asked(gate, "HEADERS", header + body)
            marked = run([program, len(header)], input=header + answer).stdout
            assert marked == answer, name
            whole = asked(gate, "PROCESS", header + body)
            assert without_order(whole) == without_order(marked + body), name


def test_no_process_of_spamd_is_roots(gate: Bed) -> None:
    said = gate.inside("sh", "-c", "grep -H '^Uid' $(grep -ls spamd /proc/[0-9]*/comm | sed s,comm,status,)")[
        1
    ]
    owners = {line.split()[1] for line in said.splitlines() if "supervise" not in line}
    assert owners == {gate.inside("id", "-u", "spamd")[1].strip()}, said


def test_a_killed_spamd_comes_back_over_its_own_stale_socket(gate: Bed) -> None:
    status, said, _trouble = gate.inside("svstat", "/service/spamd")
    found = re.search(r"\(pid ([0-9]+)\)", said)
    assert status == 0 and found, said
    gate.inside("kill", "-9", found[1])
    up(gate)


def test_spamd_starts_where_run_is_empty(gate: Bed) -> None:
    gate.inside("svc", "-d", "/service/spamd")
    time.sleep(2)
    assert gate.inside("rm", "-rf", "/run/spamd")[0] == 0
    gate.inside("svc", "-u", "/service/spamd")
    up(gate)
    test_simscan_reaches_spamd_and_no_other_user_does(gate)


def test_a_configuration_that_does_not_lint_never_reaches_spamd(gate: Bed) -> None:
    before = gate.inside("cat", "/run/spamd/spamd.pid")[1]
    log = (gate.root / "var/log/spamd/current").stat().st_size
    with site(gate, "whitelist.cf", "whitelist_from_rcvd\nno_such_word 1\n"):
        status, said = reload(gate)
        assert status == 100 and "no_such_word" in said, said
        with (gate.root / "var/log/spamd/current").open("rb") as stream:
            stream.seek(log)
            assert b"restart" not in stream.read()
        assert score(gate, letter("hello"))[0] == 0
    assert gate.inside("cat", "/run/spamd/spamd.pid")[1] == before


def test_a_check_judges_a_file_in_its_place_and_changes_nothing(gate: Bed) -> None:
    kept = (gate.root / SITE / "local.cf").read_bytes()
    check = ("mailgate", "sa-update", "--check", "local.cf=/dev/stdin")
    assert gate.inside(*check, text="required_score 5\n")[0] == 0
    status, _said, trouble = gate.inside(*check, text="required_scor 5\n")
    assert status == 100 and "required_scor" in trouble
    assert (gate.root / SITE / "local.cf").read_bytes() == kept


def test_what_is_answered_during_a_reload_is_whole(gate: Bed) -> None:
    """The socket is away while spamd reads its rules: spamc says so, and simscan puts the message off."""
    answers: list[tuple[int, str]] = []
    reloaded: list[int] = []
    reloading = threading.Thread(target=lambda: reloaded.append(reload(gate)[0]))
    reloading.start()
    while reloading.is_alive():
        status, said, _seconds = score(gate, letter(GTUBE))
        answers.append((status, said))
    assert reloaded == [0]
    assert score(gate, letter("hello"))[0] == 0
    assert all(status != 0 or "X-Spam-Flag: YES" in said for status, said in answers)
    assert any(status == 0 for status, _said in answers)


class _Silent(socketserver.BaseRequestHandler):
    """Accept a connection and send nothing, like a server behind a firewall that drops packets."""

    def handle(self) -> None:
        self.request.settimeout(60)
        self.request.recv(1)


@contextmanager
def razor_servers(gate: Bed, handler: type[socketserver.BaseRequestHandler]) -> Iterator[None]:
    """Put a server of the test in the place of Razor's own."""
    home = gate.root / "var/lib/spamd/.razor"
    names = ("servers.discovery.lst", "servers.catalogue.lst", "servers.nomination.lst")
    kept = {name: (home / name).read_bytes() for name in names if (home / name).exists()}

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server((RAZOR_ADDRESS, RAZOR_PORT), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in names:
            (home / name).write_text(f"{RAZOR_ADDRESS}\n")
            (home / name).chmod(0o644)
        try:
            yield
        finally:
            server.shutdown()
            for name in names:
                (home / name).unlink(missing_ok=True)
            for name, content in kept.items():
                (home / name).write_bytes(content)


def seconds_of(gate: Bed, name: str, word: str) -> int:
    found = re.search(rf"^{word} ([0-9]+)$", (gate.root / SITE / name).read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def test_silent_razor_servers_cost_a_message_their_timeout_and_no_more(gate: Bed) -> None:
    if not (gate.root / SITE / "razor.cf").exists():
        pytest.skip("this gateway has no Razor")
    with razor_servers(gate, _Silent):
        status, said, seconds = score(gate, letter("hello razor, this is a text to sign, of some length"))
    limit = seconds_of(gate, "razor.cf", "razor_timeout")
    assert status == 0 and "X-Spam-Status" in said
    assert 1 < seconds < limit + BUSY_SECONDS, f"{seconds:.1f} s with a timeout of {limit} s"


def test_dcc_counts_what_everybody_gets(gate: Bed) -> None:
    if not (gate.root / "service" / "dccifd").is_symlink():
        pytest.skip("this gateway has no DCC")
    assert "DCC_CHECK" in score(gate, letter("everybody gets this"))[1]
    assert "DCC_CHECK" not in score(gate, letter("only you get this"))[1]


def test_a_silent_or_missing_dccifd_costs_a_message_its_timeout_and_no_more(gate: Bed) -> None:
    if not (gate.root / "service" / "dccifd").is_symlink():
        pytest.skip("this gateway has no DCC")
    limit = seconds_of(gate, "dcc.cf", "dcc_timeout")
    status, said, seconds = score(gate, letter("silence"))
    assert status == 0 and "X-Spam-Status" in said and seconds < limit + BUSY_SECONDS
    gate.inside("svc", "-d", "/service/dccifd")
    try:
        status, said, seconds = score(gate, letter("everybody gets this"))
        assert status == 0 and "X-Spam-Status" in said and seconds < limit + BUSY_SECONDS
        assert "DCC_CHECK" not in said
    finally:
        gate.inside("svc", "-u", "/service/dccifd")
    time.sleep(1)
    assert "DCC_CHECK" in score(gate, letter("everybody gets this"))[1]


def test_rules_from_a_bundle_come_into_force_and_a_damaged_one_does_not(gate: Bed) -> None:
    make = (
        "set -e; mkdir -p /var/tmp/mailgate-rules/tree; cd /var/tmp/mailgate-rules; "
        "for d in /usr/share/spamassassin /usr/local/share/spamassassin; do "
        "[ ! -e $d/10_default_prefs.cf ] || cp $d/*.cf tree/; done; "
        "echo 'body MAILGATE_BUNDLE /xylophonequartz/' >tree/99_bundle.cf; "
        "tar -C tree -czf 1999999.tar.gz $(ls tree); "
        "sha512sum 1999999.tar.gz >1999999.tar.gz.sha512; chmod -R a+rX ."
    )
    install = ("mailgate", "sa-update", "--install", "/var/tmp/mailgate-rules/1999999.tar.gz")
    assert gate.inside("sh", "-c", make)[0] == 0
    try:
        status, said, trouble = gate.inside(*install, within_seconds=120)
        assert status == 0 and "new rules in force" in said, said + trouble
        assert "MAILGATE_BUNDLE" in score(gate, letter("xylophonequartz"))[1]
        gate.inside("sh", "-c", "echo x >>/var/tmp/mailgate-rules/1999999.tar.gz")
        status, said, trouble = gate.inside(*install, within_seconds=120)
        assert status == 111 and "verification failed" in trouble, said + trouble
        assert "MAILGATE_BUNDLE" in score(gate, letter("xylophonequartz"))[1]
    finally:
        gate.inside(
            "sh",
            "-c",
            "rm -rf /var/tmp/mailgate-rules /var/lib/spamassassin/4.* /var/lib/spamassassin/rules-*",
        )
        assert reload(gate)[0] == 0
    assert "MAILGATE_BUNDLE" not in score(gate, letter("xylophonequartz"))[1]
