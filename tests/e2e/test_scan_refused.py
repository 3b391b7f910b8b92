# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A refused message is kept, listed, shown, released once, learned and forgotten; a full disk keeps none."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.conversations import EICAR, GTUBE, OFFICE
from support.gateway import Bed, gateway_pid
from support.scanner_faults import ScanBed, letter, padding
from support.waiting import eventually

PATCH = pytest.mark.patch("10-fail-closed")
KEPT = "/var/lib/mailgate/refused"
SPAM = re.compile(r"554 Your email is considered spam \([0-9.]+ spam-hits\)")


class Refused:
    """The command `mailgate refused` in the gateway, as root."""

    def __init__(self, scan: ScanBed) -> None:
        self.scan = scan

    def run(self, *argv: str) -> tuple[int, str, str]:
        return self.scan.bed.inside("mailgate", "refused", *argv)

    def do(self, *argv: str) -> dict[str, Any]:
        status, out, err = self.run(*argv, "--json")
        assert status == 0, err
        found = json.loads(out)
        assert isinstance(found, dict)
        return found

    def found(self, subject: str) -> list[dict[str, Any]]:
        return list(self.do("list", subject)["messages"])

    def spam(self, subject: str, *recipients: str, body: bytes = b"") -> tuple[str, str]:
        """Send spam; return its mark, and the name of its copy."""
        mark, content = letter(GTUBE + b"\r\n" + body, subject=subject.encode())
        reply = self.scan.send(content, *recipients)
        assert SPAM.fullmatch(reply), reply
        (one,) = self.found(subject)
        return mark, str(one["name"])


@pytest.fixture(scope="module")
def refused(bed: Bed) -> Iterator[Refused]:
    one = Refused(ScanBed(bed))
    one.scan.wait_until_mail_flows()
    yield one
    for message in one.do("list")["messages"]:
        one.run("forget", message["name"])


@PATCH
def test_refused_spam_is_released_to_its_recipients_once(refused: Refused) -> None:
    mark, name = refused.spam("kept-release", "alice@example.test", "bob@example.test")
    assert not refused.scan.arrived(mark, 0.5)
    (one,) = refused.found("kept-release")
    assert (one["sender"], one["recipients"]) == (
        "ann@sender.example",
        ["alice@example.test", "bob@example.test"],
    )
    assert one["verdict"] == "SPAM" and one["score"] >= one["limit"] and "GTUBE" in one["rules"]
    assert GTUBE.decode() in refused.do("show", name)["body"]
    answer = refused.do("release", name, "--note", "asked for")
    assert "delivered to alice@example.test, bob@example.test" in answer["effects"][0]
    assert answer["trust"] == "ann@sender.example"
    got = refused.scan.arrived(mark)
    assert f"X-Mailgate-Released: {name}; ".encode() in got
    assert b"X-Spam-Flag" not in got and GTUBE in got
    status, dummy, err = refused.run("release", name, "--again")
    assert status == 100 and "a copy is delivered once" in err
    assert refused.found("kept-release")[0]["released"].startswith("released ")
    records = json.loads(refused.scan.bed.inside("mailgate", "operator", "audit", "--json")[1])["records"]
    assert ("refused-release", name) in [(act["do"], act["value"]) for act in records]


@PATCH
def test_the_copy_is_its_users_alone_and_the_trace_names_it(refused: Refused) -> None:
    dummy, name = refused.spam("kept-private")
    said = refused.scan.bed.inside("stat", "--format=%U %a", KEPT, f"{KEPT}/{name}")[1]
    assert said.split() == ["simscan", "700", "simscan", "600"]
    trace = ("mailgate", "trace", "kept-private")
    words = f"mailgate refused show {name}"
    # the log may come later than the reply
    eventually(lambda: words in refused.scan.bed.inside(*trace)[1], "the trace names the copy")


@PATCH
def test_a_refused_message_is_learned_and_forgotten(refused: Refused) -> None:
    dummy, name = refused.spam("kept-learn")
    assert "earned" in refused.do("learn", name, "ham")["effects"][0]
    assert "earned" in refused.do("learn", name, "spam")["effects"][0]
    refused.do("forget", name)
    assert refused.found("kept-learn") == []


@PATCH
def test_a_virus_is_kept_where_it_is_asked_for_and_never_released(refused: Refused) -> None:
    mark, content = letter(EICAR + b"\r\n", subject=b"kept-virus")
    assert refused.scan.send(content).startswith("554 ")
    assert refused.found("kept-virus") == []
    with refused.scan.settings(keep_viruses="yes"):
        assert refused.scan.send(content, who=OFFICE).startswith("554 ")
    (one,) = refused.found("kept-virus")
    status, dummy, err = refused.run("release", one["name"])
    assert status == 100 and "contains the" in err and "virus" in err
    assert not refused.scan.arrived(mark, 0.5)


@PATCH
def test_without_clamd_nothing_is_released(refused: Refused) -> None:
    mark, name = refused.spam("kept-later")
    with refused.scan.missing("run/clamav/clamd.ctl"):
        status, dummy, err = refused.run("release", name)
        assert status == 111 and "not released" in err
    assert not refused.scan.arrived(mark, 0.5)
    refused.do("release", name)
    assert refused.scan.arrived(mark)


@contextmanager
def full_disk(bed: Bed) -> Iterator[None]:
    """Put a file system over the directory of copies that has no room for one."""
    enter = ["nsenter", "-t", str(gateway_pid(bed.name)), "-m"]
    owner = (bed.root / KEPT.lstrip("/")).stat()
    options = f"size=8k,mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
    subprocess.run([*enter, "mount", "-t", "tmpfs", "-o", options, "tmpfs", KEPT], check=True, timeout=30)
    try:
        yield
    finally:
        subprocess.run([*enter, "umount", KEPT], check=True, timeout=30)


@PATCH
def test_a_full_disk_keeps_no_copy_and_refuses_as_before(refused: Refused) -> None:
    dummy, content = letter(GTUBE + b"\r\n" + padding(9_000), subject=b"kept-nowhere")
    with full_disk(refused.scan.bed):
        log = refused.scan.log()
        assert SPAM.fullmatch(refused.scan.send(content))
        assert log.says("no copy is kept: No space left on device")
    assert refused.found("kept-nowhere") == []
