# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""clamd as the mail sessions meet it: what it finds, who may ask, and how it comes back.

The databases of these tests are a signature of the EICAR test file: the official ones are not had without a
way out.  For the same reason freshclam is held to what it can do here: refuse what is not signed, and fetch
a database of the site's own.
"""

from __future__ import annotations

import base64
import io
import re
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tai64n
from support.role_container import ROOT, Box
from support.waiting import eventually

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" + b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
CLIENT = "/usr/local/bin/clamdscan"
SIGNATURES = ROOT / "tests/inventory/files/eicar.ndb"
FOUND, CLEAN, TROUBLE = 1, 0, 2

# Who asks clamd in a mail session: simscan's user with the group of the sessions, below their memory limit.
SESSION = (
    "setpriv",
    "--reuid",
    "simscan",
    "--regid",
    "nofiles",
    "--clear-groups",
    "softlimit",
    "-m",
    "100000000",
)


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", content)
    return out.getvalue()


def attached(content: bytes, padding: int = 0) -> bytes:
    head = b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    text = b"--b\r\nContent-Type: text/html\r\n\r\n<p>" + (b"Lorem ipsum. " * 6 + b"\r\n") * (padding // 80)
    part = b"\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head + text + part + base64.encodebytes(content) + b"\r\n--b--\r\n"


@pytest.fixture(scope="module")
def box(gateway: str) -> Box:
    one = Box(gateway)
    if not one.has("/service/clamd"):
        pytest.skip("no clamd on this gateway")
    return one


def variables(box: Box, **changed: Any) -> dict[str, Any]:
    given = {
        "clamav_install_method": "source" if box.has("/usr/local/sbin/clamd") else "package",
        "clamav_database_files": [str(SIGNATURES)],
        "clamav_require_official_database": False,
    }
    return {**given, **changed}


def scan(box: Box, content: bytes, *as_whom: str) -> tuple[int, str]:
    return box.run(*as_whom, CLIENT, "--stream", "--no-summary", "-", text=content)


def works(box: Box) -> bool:
    return scan(box, EICAR)[0] == FOUND


def pid_of(box: Box) -> str:
    return box.sh("svstat /service/clamd | sed 's/.*(pid \\([0-9]*\\)).*/\\1/'").strip()


def kill(box: Box) -> None:
    """Kill clamd without a chance to clean up, and keep it from being started again."""
    box.sh("svc -dk /service/clamd")
    eventually(lambda: ": down" in box.sh("svstat /service/clamd"), "clamd is down", 30)


@pytest.fixture(autouse=True)
def whole(box: Box) -> Iterator[None]:
    """Begin and end every test with a clamd that finds the test file."""
    eventually(lambda: works(box), "clamd finds the test file", 30)
    yield
    box.sh("svc -u /service/clamd")
    eventually(lambda: works(box), "clamd finds the test file afterwards", 30)


MESSAGES = {
    "raw": EICAR,
    "attached": attached(EICAR),
    "zipped": attached(zipped(EICAR)),
    "zip in zip": attached(zipped(zipped(EICAR))),
    "inline": b"Subject: x\r\n\r\n" + EICAR + b"\r\n",
    "behind 13 MB": attached(EICAR, 13_000_000),
}


@pytest.mark.parametrize("how", ["--stream", "--fdpass"])
@pytest.mark.parametrize("what", MESSAGES)
def test_a_session_is_told_of_a_virus(box: Box, what: str, how: str) -> None:
    box.run(
        "sh",
        "-c",
        "cat >/tmp/message; chown simscan /tmp/message; chmod 0600 /tmp/message",
        text=MESSAGES[what],
    )
    status, said = box.run(*SESSION, CLIENT, how, "--no-summary", "/tmp/message")
    assert (status, said.strip()) == (FOUND, "/tmp/message: Eicar-Test-Signature.UNOFFICIAL FOUND")


@pytest.mark.parametrize("how", ["--stream", "--fdpass"])
def test_a_clean_message_is_clean(box: Box, how: str) -> None:
    box.run(
        "sh", "-c", "cat >/tmp/message; chown simscan /tmp/message", text=attached(b"hello" * 1000, 100_000)
    )
    status, said = box.run(*SESSION, CLIENT, how, "--no-summary", "/tmp/message")
    assert (status, said.strip()) == (CLEAN, "/tmp/message: OK")


def test_more_than_it_looks_at_is_refused_and_not_passed_over(box: Box) -> None:
    bomb = attached(zipped(bytes(450_000_000)))
    status, said = scan(box, bomb, *SESSION)
    assert status == FOUND
    assert "Heuristics.Limits.Exceeded" in said


@pytest.mark.parametrize("user", ["nobody", "spamd", "dnscache"])
def test_nobody_else_may_talk_to_clamd(box: Box, user: str) -> None:
    """SHUTDOWN is among what a client may say."""
    before = pid_of(box)
    status, _said = scan(box, EICAR, "setuidgid", user)
    assert status == TROUBLE
    shutdown = (
        "import socket; s = socket.socket(1); s.connect('/run/clamav/clamd.ctl'); s.send(b'nSHUTDOWN\\n')"
    )
    status, said = box.run("setuidgid", user, "python3", "-c", shutdown)
    assert (status, "PermissionError" in said) == (1, True)
    assert pid_of(box) == before


def test_a_clamd_that_was_killed_comes_back(box: Box) -> None:
    before = pid_of(box)
    box.sh("svc -k /service/clamd")
    eventually(
        lambda: pid_of(box) not in ("", before) and works(box), "another clamd finds the test file", 30
    )


@pytest.mark.parametrize("left", ["socket", "file", "link"])
def test_a_stale_socket_is_no_trouble(box: Box, left: str) -> None:
    kill(box)
    make = {
        "socket": "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/run/clamav/clamd.ctl\")'",
        "file": "echo x >/run/clamav/clamd.ctl",
        "link": "ln -s /nowhere /run/clamav/clamd.ctl",
    }
    box.sh(f"rm -f /run/clamav/clamd.ctl; {make[left]}; svc -u /service/clamd")
    eventually(lambda: works(box), "clamd finds the test file", 30)


def test_run_may_be_empty(box: Box) -> None:
    kill(box)
    box.sh("rm -rf /run/clamav /var/lib/clamav/tmp; svc -u /service/clamd")
    eventually(lambda: works(box), "clamd finds the test file", 30)


def test_what_a_killed_clamd_left_is_removed(box: Box) -> None:
    kill(box)
    box.sh("touch /var/lib/clamav/tmp/left; svc -u /service/clamd")
    eventually(lambda: works(box), "clamd finds the test file", 30)
    assert not box.has("/var/lib/clamav/tmp/left")


def test_without_a_database_nothing_is_called_clean(box: Box) -> None:
    box.sh(
        "mkdir -p /root/kept; svc -d /service/clamd; mv /var/lib/clamav/*.* /root/kept; svc -u /service/clamd"
    )
    try:
        eventually(
            lambda: "clamd: no database in /var/lib/clamav" in box.sh("tail -n 3 /var/log/clamd/current"),
            "it says so",
            30,
        )
        assert [scan(box, content, *SESSION)[0] for content in (EICAR, b"clean")] == [TROUBLE, TROUBLE]
    finally:
        box.sh("mv /root/kept/* /var/lib/clamav; rmdir /root/kept")
    eventually(lambda: works(box), "clamd comes back by itself", 30)


def test_reloading_makes_nobody_wait(box: Box) -> None:
    """With a database that takes seconds to load: messages come and go while it is read."""
    many = "import random\nfor n in range(600000): print(f'{random.getrandbits(128):032x}:{n + 1}:Many.{n}')"
    box.run("sh", "-c", "python3 - >/var/lib/clamav/many.hdb", text=many.encode())
    box.run("sh", "-c", "cat >/root/eicar; touch /root/asking", text=EICAR)
    asking = (
        "set +e; while [ -e /root/asking ]; do begin=$(date +%s%N); "
        f"{CLIENT} --stream --no-summary /root/eicar >/dev/null; "
        "echo $? $begin $(date +%s%N); done"
    )
    scans: list[str] = []
    thread = threading.Thread(target=lambda: scans.extend(box.sh(asking, 120).splitlines()))
    try:
        mark = box.sh("wc -l </var/log/clamd/current").strip()
        log = f"tail -n +{int(mark) + 1} /var/log/clamd/current"
        thread.start()
        box.sh(f"{CLIENT} --reload")
        eventually(lambda: "Database correctly reloaded (60000" in box.sh(log), "the new database serves", 60)
    finally:
        box.sh("rm /root/asking")
        thread.join()
        box.sh(f"rm /root/eicar /var/lib/clamav/many.hdb; {CLIENT} --reload")
    said = box.sh(log).splitlines()
    reading = next(tai64n.parse(line[:25]) for line in said if "Reading databases from" in line)
    read = next(tai64n.parse(line[:25]) for line in said if "Database correctly reloaded (60000" in line)
    times = [[int(word) for word in line.split()] for line in scans]
    assert {status for status, _begin, _end in times} == {FOUND}
    # The first of two could have waited for the end of the reading; the second began before it.
    assert len([begin for _status, begin, end in times if reading < begin and end < read]) >= 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"clamav_max_message_bytes": 0}, "clamav_max_message_bytes: 0 is not a limit"),
        (
            {"clamav_database_files": ["/nowhere/x.ndb"]},
            "clamav_database_files: /nowhere/x.ndb does not exist",
        ),
    ],
    ids=["limit", "database"],
)
def test_a_converge_refuses(box: Box, tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    before = pid_of(box)
    well, text = box.role("clamav", tmp_path, variables(box, **changed))
    assert not well
    assert said in re.sub(r"\s+", " ", text)
    assert pid_of(box) == before


def test_a_converge_without_a_database_fails(box: Box, tmp_path: Path) -> None:
    """No official one where one is asked for; nothing at all where none is."""
    official = variables(box, clamav_require_official_database=True, clamav_freshclam=False)
    well, text = box.role("clamav", tmp_path, official)
    assert not well
    assert "has no daily.cvd or daily.cld; expected freshclam to fetch it" in re.sub(r"\s+", " ", text)
    try:
        well, text = box.role("clamav", tmp_path, variables(box, clamav_database_files=[]))
        assert not well
        assert "has no signature; expected" in re.sub(r"\s+", " ", text)
        assert not box.has("/var/lib/clamav/site-eicar.ndb")
    finally:
        well, text = box.role("clamav", tmp_path, variables(box))
    assert well, text


def test_a_converge_proves_that_a_virus_is_found(box: Box, tmp_path: Path) -> None:
    """With another signature clamd runs and answers, but finds no virus."""
    other = tmp_path / "other.ndb"
    other.write_text("Other:0:*:" + b"something else entirely".hex() + "\n")
    given = variables(box, clamav_database_files=[str(other)], clamav_ready_seconds=3)
    try:
        well, text = box.role("clamav", tmp_path, given)
        assert not well
        assert "to find the EICAR test file within 3 seconds" in re.sub(r"\s+", " ", text)
    finally:
        well, text = box.role("clamav", tmp_path, variables(box))
    assert well, text


def test_a_signature_that_cannot_be_read_is_not_put_in_place(box: Box, tmp_path: Path) -> None:
    broken = tmp_path / "broken.ndb"
    broken.write_text("Broken:0:*:zz\n")
    well, text = box.role(
        "clamav", tmp_path, variables(box, clamav_database_files=[str(SIGNATURES), str(broken)])
    )
    assert not well
    assert "failed to validate" in text
    assert not box.has("/var/lib/clamav/site-broken.ndb")


def test_a_second_converge_changes_nothing(box: Box, tmp_path: Path) -> None:
    box.role("clamav", tmp_path, variables(box))
    before = pid_of(box)
    well, text = box.role("clamav", tmp_path, variables(box))
    assert well, text
    assert " changed=0 " in text
    assert pid_of(box) == before


def test_freshclam_takes_what_is_right_and_refuses_what_is_not(box: Box, tmp_path: Path) -> None:
    """A mirror with a garbled daily.cvd, and a database of the site's own, of which clamd hears."""
    box.sh("mkdir -p /tmp/mirror; head -c 100000 /dev/urandom >/tmp/mirror/daily.cvd")
    box.run(
        "sh",
        "-c",
        "cat >/tmp/mirror/fresh.ndb",
        text=b"Fresh:0:*:" + b"fresh from the mirror".hex().encode() + b"\n",
    )
    box.start("python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", "/tmp/mirror", "8099")
    mirror = "http://127.0.0.1:8099"
    extra = {"DatabaseCustomURL": [f"{mirror}/fresh.ndb"], "ExcludeDatabase": ["main", "daily", "bytecode"]}
    fetch = ["setuidgid", "clamav", "freshclam", "--stdout", "--config-file=/etc/clamav/freshclam.conf"]
    try:
        given = variables(box, clamav_private_mirrors=[mirror], clamav_freshclam_settings={"MaxAttempts": 1})
        well, text = box.role("clamav", tmp_path, given)
        assert well, text
        status, said = box.run(*fetch)
        assert status != 0, said
        assert not box.has("/var/lib/clamav/daily.cvd")
        assert works(box)
        given = variables(box, clamav_freshclam=True, clamav_freshclam_settings=extra)
        well, text = box.role("clamav", tmp_path, given)
        assert well, text
        eventually(lambda: box.has("/var/lib/clamav/fresh.ndb"), "freshclam brings the site's database", 30)
        eventually(
            lambda: "Fresh.UNOFFICIAL FOUND" in scan(box, b"fresh from the mirror")[1],
            "clamd was told of it",
            30,
        )
    finally:
        box.run("sh", "-c", "kill $(ps axo pid,args | awk '/[h]ttp.server/ {print $1}')")
        box.sh("rm -rf /tmp/mirror /var/lib/clamav/fresh.ndb")
        well, text = box.role("clamav", tmp_path, variables(box))
    assert well, text


def test_a_proxys_password_is_for_freshclam_alone(box: Box, tmp_path: Path) -> None:
    secret = {
        "clamav_proxy_server": "127.0.0.1",
        "clamav_proxy_user": "u",
        "clamav_proxy_password": "canary-7f3a",
        "clamav_private_mirrors": ["http://u:canary-7f3a@127.0.0.1:9"],
        "clamav_freshclam": True,
    }
    try:
        well, text = box.role("clamav", tmp_path, variables(box, **secret))
        assert well, text
        assert "canary-7f3a" not in text
        assert box.run("setuidgid", "clamav", "grep", "-c", "canary-7f3a", "/etc/clamav/freshclam.conf") == (
            0,
            "2\n",
        )
        assert box.run("setuidgid", "nobody", "cat", "/etc/clamav/freshclam.conf")[0] != 0
        tried = "http://***@127.0.0.1:9"
        eventually(lambda: tried in box.sh("cat /var/log/freshclam/current"), "it is in the log", 60)
        for place in ("/var/log", "/run", "/tmp", "/proc/[0-9]*/cmdline", "/var/lib/mailgate"):
            # Not as it is: it would find itself among the processes.
            assert box.sh(f"grep -rls canary-7f3[a] {place} || true") == "", place
    finally:
        well, text = box.role("clamav", tmp_path, variables(box))
    assert well, text
