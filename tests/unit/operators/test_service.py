# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's socket: who may ask, what is asked, and that nothing that is sent does any harm."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

import contextlib
import grp
import io
import itertools
import json
import os
import pwd
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import main as cli
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import operators as cli_operators
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import sockets
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.sockets import NoAnswer
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.networks import (
    address_set,
    parse_network,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import (
    client as operator_client,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import (
    entries as operator_entries,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import (
    service as operator_service,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.lookups import (
    ExternalPaths,
    Lookups,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.places import Caller
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import safety as tcprules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.operator_host import ALICE, PROTECTED, PROTECTED_HERE, RELAY, Host, refused_of, together

STRANGER = 65534
ME = os.getuid()


class Running:
    """The socket with an editor behind it, in a thread."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.path = str(host.path / "state/socket")
        self.editor = host.editor(start=True)
        outside = ExternalPaths(
            blacklist=str(host.path / "blacklist"),
            greylist=str(host.path / "greylist"),
            greylist_settings=str(host.path / "greylist.settings"),
            queue=str(host.path / "queue"),
            doctor=("sh", "-c", 'echo \'{"status": 1, "findings": []}\'; exit 1'),
            flush=("true",),
        )
        self.verbs = operator_service.Verbs(
            self.editor,
            Lookups(self.editor, outside, lambda: host.now),
            refused_of(self.editor, host),
        )
        self.server = operator_service.Server(self.path, self.verbs.answer, self.caller)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def caller(self, uid: int) -> Caller | None:
        return Caller(uid, "alice") if uid == ME else operator_service.caller_of(uid)

    def _serve(self) -> None:
        while not self._end.is_set():
            self.server.serve_one()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()
        self.server.listener.close()

    def send(self, data: bytes, *, end: bool = False) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(self.path)
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
            return received(connection)

    def ask(self, **request: object) -> dict[str, Any]:
        return self.send(json.dumps(request).encode() + b"\n")


def received(connection: socket.socket) -> dict[str, Any]:
    data = b""
    while block := connection.recv(65536):
        data += block
    assert data.count(b"\n") == 1 and data.endswith(b"\n")
    return dict(json.loads(data))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def running(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(operator_service, "POLL_SECONDS", 0.02)
    one = Running(host)
    yield one
    one.stop()


ACT = {"do": "act", "act": "add", "list": "clients", "value": "198.51.100.9", "action": "deny", "note": "a test", "seconds": None}  # fmt: skip


def test_the_protocol(running: Running) -> None:
    assert running.ask(**{**ACT, "do": "preview"}) == {
        "ok": True,
        "effects": ["198.51.100.9/32 is refused"],
        "problem": "",
    }
    assert running.ask(**ACT) == {"ok": True, "effects": ["198.51.100.9/32 is refused"], "number": 1}
    entry = {
        "value": "198.51.100.9/32",
        "action": "deny",
        "by": "alice",
        "note": "a test",
        "until": None,
        "origin": "operator",
        "fixed": "",
    }
    listed = running.ask(do="entries", list="clients")["entries"]
    assert listed[-1] == entry
    assert [one["value"] for one in listed if one["origin"] == "site"] == [PROTECTED, PROTECTED_HERE]
    assert all(one["fixed"] for one in listed[:-1])
    assert running.ask(do="check", list="clients", value="198.51.100.9", action="deny") == {
        "ok": True,
        "value": "198.51.100.9/32",
        "problem": "",
    }
    assert running.ask(do="check", list="clients", value="198.51", action="deny")["problem"].startswith(
        "network: '198.51' is not a network"
    )
    assert running.ask(do="undo", preview=True) == {
        "ok": True,
        "effects": ["198.51.100.9/32 is no longer refused"],
        "problem": "",
        "undoes": {
            "number": 1, "at": int(running.host.now), "by": "alice", "from": ME, "do": "add", "list": "clients",
            "value": "198.51.100.9/32", "action": "deny", "note": "a test", "until": None,
            "effects": ["198.51.100.9/32 is refused"],
        },
    }  # fmt: skip
    assert running.ask(do="undo") == {
        "ok": True,
        "effects": ["198.51.100.9/32 is no longer refused"],
        "number": 2,
    }
    assert running.ask(do="undo", preview=True)["problem"].startswith("undo: none of your acts is still")
    records = running.ask(do="audit", limit=10)["records"]
    assert records[1] == {
        "number": 1, "at": int(running.host.now), "by": "alice", "from": ME, "do": "add", "list": "clients", "value": "198.51.100.9/32",
        "action": "deny", "note": "a test", "until": None, "effects": ["198.51.100.9/32 is refused"],
    }  # fmt: skip
    assert (records[0]["do"], records[0]["number"]) == ("undo", 2)
    assert running.ask(do="recipient", address="joe@example.com") == {
        "ok": True, "known": True, "words": ["joe@example.com: accepted, by joe@example.com", "joe@example.com: the site file has it"],
    }  # fmt: skip
    assert running.ask(do="recipient", address="no@example.com")["known"] is False
    assert running.ask(do="status") == {"ok": True, "doctor": {"status": 1, "findings": []}}
    assert running.ask(do="flush", note="") == {
        "ok": True,
        "effects": ["every message in the queue is tried now"],
    }
    gone = running.ask(do="blacklist")
    assert (gone["ok"], gone["temporary"]) == (False, True)


WRONG = [
    (b"\n", "request: is not valid JSON; expected one object on one line"),
    (b"{\n", "request: is not valid JSON; expected one object on one line"),
    (b"\xff\n", "request: is not valid JSON; expected one object on one line"),
    (b"[" * 60000 + b"\n", "request: is not valid JSON; expected one object on one line"),
    (b"[]\n", "request: [] is not an object; expected one"),
    (b"{}\n", "request: do None is not known; expected one of entries, check, preview, act, undo, audit, recipient, blacklist, explain, release, greylist, pass, queue, flush, trace, status, refused, refused-show, refused-release, refused-learn, refused-forget"),
    (b'{"do": "shell"}\n', "request: do 'shell' is not known; expected one of entries, check, preview, act, undo, audit, recipient, blacklist, explain, release, greylist, pass, queue, flush, trace, status, refused, refused-show, refused-release, refused-learn, refused-forget"),
    (b'{"do": ["act"]}\n', "request: do ['act'] is not known; expected one of entries, check, preview, act, undo, audit, recipient, blacklist, explain, release, greylist, pass, queue, flush, trace, status, refused, refused-show, refused-release, refused-learn, refused-forget"),
    (b'{"do": "entries"}\n', "request entries: list is missing; expected one of relay, clients, senders, trusted, blocked, recipients"),
    (b'{"do": "entries", "list": "../relay"}\n', "request entries: list '../relay' is wrong; expected one of relay, clients, senders, trusted, blocked, recipients"),
    (b'{"do": "entries", "list": "relay", "path": "/etc"}\n', "request entries: 'path' is not known; expected list"),
    (b'{"do": "audit", "limit": true}\n', "request audit: limit True is wrong; expected a number from 1 to 1000"),
    (b'{"do": "audit", "limit": 1e99}\n', "request audit: limit 1e+99 is wrong; expected a number from 1 to 1000"),
    (json.dumps({**ACT, "seconds": 0}).encode() + b"\n", "request act: seconds 0 is wrong; expected null, or 1 to 315360000 seconds"),
    (json.dumps({**ACT, "seconds": "4h"}).encode() + b"\n", "request act: seconds '4h' is wrong; expected null, or 1 to 315360000 seconds"),
    (json.dumps({**ACT, "value": 7}).encode() + b"\n", "request act: value 7 is wrong; expected text of at most 1000 characters"),
    (json.dumps({**ACT, "note": ""}).encode() + b"\n", "note: is empty; expected who asked for it and why"),
    (json.dumps(ACT).encode() + b"\n" + json.dumps(ACT).encode(), "request: goes on after its line; expected one object on one line"),
    (b" " * 65537, "request: is too long; expected at most 65536 bytes"),
    (b" " * 70000 + b"\n", "request: is too long; expected at most 65536 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "error"), WRONG)
def test_what_is_no_request_gets_an_error_and_changes_nothing(
    running: Running, data: bytes, error: str
) -> None:
    before = running.host.files()
    answer = running.send(data)
    assert (answer["ok"], answer["error"], answer["temporary"]) == (False, error, False)
    assert running.host.files() == before
    assert running.ask(do="audit")["records"] == []


def test_half_a_line_is_no_request(running: Running) -> None:
    data = json.dumps(ACT).encode()
    assert running.send(data, end=True)["error"].startswith("request: ends without a newline")


@pytest.mark.skipif(ME != 0, reason="to be another user takes root")
def test_a_stranger_is_refused_before_anything_is_read(running: Running) -> None:
    os.chmod(running.host.path, 0o755)
    for above in running.host.path.parents:
        if above != Path("/"):
            os.chmod(above, above.stat().st_mode | 0o011)
    os.chmod(running.path, 0o666)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(STRANGER, STRANGER, STRANGER)
            os.setresuid(STRANGER, STRANGER, STRANGER)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(10)
                connection.connect(running.path)
                os.write(writing, json.dumps(received(connection)).encode())  # it sends nothing
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        answer = json.loads(stream.read())
    os.waitpid(pid, 0)
    assert answer == {
        "ok": False,
        "error": "operator: user 65534 may not ask; expected root or a member of operators",
        "temporary": False,
    }


def test_who_may_ask() -> None:
    me = pwd.getpwuid(ME)
    assert operator_service.caller_of(0) == Caller(0, pwd.getpwuid(0).pw_name)
    nobody = pwd.getpwnam("nobody")
    assert operator_service.caller_of(nobody.pw_uid, "no-such-group") is None
    assert operator_service.caller_of(nobody.pw_uid, "root") is None
    primary = grp.getgrgid(nobody.pw_gid).gr_name
    assert operator_service.caller_of(nobody.pw_uid, primary) == Caller(nobody.pw_uid, "nobody")
    assert operator_service.caller_of(3_999_999_999, me.pw_name) is None


@pytest.mark.slow
def test_slow_callers_keep_nobody_waiting_and_are_cut_off(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator_service, "CALLERS_MAX", 3)
    slow = [socket.socket(socket.AF_UNIX) for dummy in range(3)]

    def begin(one: socket.socket) -> None:
        one.settimeout(30)
        one.connect(running.path)
        one.sendall(b'{"do": ')

    started = time.monotonic()
    begin(slow[0])
    begin(slow[1])
    assert running.ask(**ACT)["ok"]
    time.sleep(0.3)  # until that caller's place is free
    begin(slow[2])
    full = running.ask(do="audit")
    assert (full.get("error"), full.get("temporary")) == (
        "operator: too many callers at once; try again",
        True,
    )
    assert time.monotonic() - started < operator_service.PEER_SECONDS, "they were waited for"
    for one in slow:
        with one:
            one.sendall(b" ")  # a byte now and then buys no time
            assert received(one)["error"].startswith("request: no whole line within 5 s")
    assert time.monotonic() - started < 2 * operator_service.PEER_SECONDS + 1
    assert running.ask(do="audit")["ok"]


NAMES = itertools.count()


class Crowd:
    """Callers of several users: the name that a connection is bound to tells its user."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(operator_service, "POLL_SECONDS", 0.02)
        monkeypatch.setattr(operator_service, "peer_uid", self.uid_of)
        self.path = str(host.path / "crowd")
        self.open: list[socket.socket] = []
        self.server = operator_service.Server(self.path, self.answer, self.known)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @staticmethod
    def uid_of(connection: socket.socket) -> int:
        return int(connection.getpeername().decode().split("-")[2])

    @staticmethod
    def known(uid: int) -> Caller | None:
        return None if uid >= STRANGER else Caller(uid, f"user{uid}")

    @staticmethod
    def answer(caller: Caller, data: bytes) -> dict[str, Any]:
        return {"ok": True, "by": caller.uid}

    def _serve(self) -> None:
        while not self._end.is_set():
            self.server.serve_one()

    def connect(self, uid: int) -> socket.socket:
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(20)
        self.open.append(one)
        one.bind(f"\0crowd-{os.getpid()}-{uid}-{next(NAMES)}")
        sockets._connect(one, self.path, time.monotonic() + 5)
        return one

    def trickle(self, uid: int, count: int) -> None:
        """Open so many connections that send one byte, and then nothing for a while."""
        for _number in range(count):
            with contextlib.suppress(OSError):
                self.connect(uid).sendall(b"{")

    def ask(self, uid: int) -> tuple[dict[str, Any], float]:
        begun = time.monotonic()
        one = self.connect(uid)
        with contextlib.suppress(BrokenPipeError):
            one.sendall(b"{}\n")
        return received(one), time.monotonic() - begun

    def stop(self) -> None:
        self._end.set()
        self._thread.join()
        for one in (*self.open, self.server.listener):
            one.close()


@pytest.fixture
def crowd(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    one = Crowd(host, monkeypatch)
    yield one
    one.stop()


@pytest.mark.parametrize(
    "uids", [(1001,), (1001, 1002), (1001, 1002, 1003, 1004), (STRANGER,), (1001, STRANGER)]
)
def test_whoever_opens_many_slow_connections_keeps_nobody_else_waiting(
    crowd: Crowd, uids: tuple[int, ...]
) -> None:
    for uid in uids:
        crowd.trickle(uid, 40)
    for uid in (0, 1005, 1006, 0):
        answer, seconds = crowd.ask(uid)
        assert answer == {"ok": True, "by": uid}
        assert seconds < 1.0
    for uid in uids:  # and whoever does it is told, at once
        answer, seconds = crowd.ask(uid)
        assert (
            "too many callers at once" in answer.get("error", "")
            or "may not ask" in answer.get("error", "")
            or len(uids) > 2
        )
        assert seconds < 1.0


@pytest.mark.parametrize("sent", [b"", b"{", b'{"do": "act"'])
def test_a_request_that_was_dismissed_is_to_be_sent_again(crowd: Crowd, sent: bytes) -> None:
    """Whose place another caller took has made no fault."""
    mine = [crowd.connect(1001) for _number in range(operator_service.CALLERS_OF_ONE_MAX)]
    for one in mine:
        one.sendall(sent)
    for uid in (1002, 1003):
        crowd.trickle(uid, operator_service.CALLERS_OF_ONE_MAX)
    assert crowd.ask(1004)[0]["ok"]
    assert received(mine[0]) == {"ok": False, "error": operator_service.TOO_MANY, "temporary": True}


def test_root_has_places_of_its_own(crowd: Crowd) -> None:
    """That holds also while other requests are being answered, which are not interrupted."""
    going = threading.Event()
    crowd.server._answer = lambda caller, data: {"ok": going.wait(10) or caller.uid != 0, "by": caller.uid}
    for uid in (1001, 1002, 1003, 1004):
        for _number in range(operator_service.CALLERS_OF_ONE_MAX):
            with contextlib.suppress(OSError):
                crowd.connect(uid).sendall(b"{}\n")
    time.sleep(0.3)
    assert "too many callers" in crowd.ask(1005)[0]["error"]
    roots = [crowd.connect(0) for _number in range(operator_service.ROOT_PLACES)]
    for one in roots:
        one.sendall(b"{}\n")
    time.sleep(0.2)
    assert "too many callers" in crowd.ask(0)[0]["error"]
    going.set()
    assert [received(one)["ok"] for one in roots] == [True] * len(roots)
    time.sleep(0.5)
    assert crowd.ask(1005)[0]["ok"]


def test_strangers_take_no_place_and_no_thread(crowd: Crowd) -> None:
    before = threading.active_count()
    crowd.trickle(STRANGER, 200)
    assert threading.active_count() <= before + 1
    assert crowd.server._counts == {} and crowd.ask(1001)[0]["ok"]


def test_a_stranger_leaves_one_line_a_minute_in_the_log(
    crowd: Crowd, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as somebody whose name has left the list of operators."""
    for _ in range(20):
        assert not crowd.ask(STRANGER)[0]["ok"]
    assert capsys.readouterr().err == f"operator: user {STRANGER} may not ask, and was refused\n"


def refused(running: Running, **request: object) -> list[dict[str, Any]]:
    assert not running.ask(**request)["ok"]
    return [dict(one) for one in running.ask(do="audit")["records"]]


def test_refused_acts_are_in_the_audit_log(running: Running) -> None:
    """The audit log has who, what and why, also after a restart."""
    assert running.ask(**ACT)["number"] == 1
    records = refused(running, **{**ACT, "value": PROTECTED})
    assert {key: records[0][key] for key in ("number", "by", "from", "do", "list", "value", "action", "note")} == {
        "number": None, "by": "alice", "from": ME, "do": "add", "list": "clients", "value": PROTECTED,
        "action": "deny", "note": "a test",
    }  # fmt: skip
    assert records[0]["effects"] == [
        f"refused: {PROTECTED}: it is protected by the site file: nobody may refuse it"
    ]
    assert refused(running, **{**ACT, "value": "nonsense"})[0]["value"] == "nonsense"
    assert refused(running, **{**ACT, "act": "remove", "value": "198.51.100.77"})[0]["do"] == "remove"
    assert refused(running, do="release", address="nonsense")[0]["value"] == "nonsense"
    assert running.ask(do="undo")["number"] == 2
    assert refused(running, do="undo")[0]["do"] == "undo"
    running.ask(do="undo", preview=True)
    running.ask(**{**ACT, "do": "preview", "value": PROTECTED})
    records = running.ask(do="audit")["records"]
    assert [one["number"] for one in records] == [None, 2, None, None, None, None, 1]
    assert running.host.editor().audit.shown(10) == records
    assert running.ask(**ACT)["number"] == 3
    lines = Path(running.host.places.audit).read_text().splitlines()
    assert [json.loads(line)["stage"] for line in lines].count("refused") == 5


@pytest.mark.parametrize(
    ("note", "shown"),
    [("x" * 201, "'" + "x" * 79 + "..."), ("a\nb", "'a\\nb'"), (" ", "' '"), ("\u202e", "'\\u202e'")],
)
@pytest.mark.parametrize("act", [ACT, {"do": "release", "address": "198.51.100.9"}], ids=["act", "release"])
def test_an_act_that_is_refused_for_its_note_is_in_the_audit_log(
    running: Running, act: dict[str, Any], note: str, shown: str
) -> None:
    (record,) = refused(running, **{**act, "note": note})
    assert (record["by"], record["note"]) == ("alice", shown)
    assert record["effects"][0].startswith("refused: note: ")


def test_whoever_is_refused_all_the_time_does_not_fill_the_audit_log(running: Running) -> None:
    for _number in range(100):
        refused(running, **{**ACT, "value": PROTECTED})
    assert len(Path(running.host.places.audit).read_text().splitlines()) == 30
    running.host.now += 61
    (last, *_rest) = refused(running, **{**ACT, "value": PROTECTED})
    assert last["effects"][1] == "70 more refusals before it are not recorded"


def test_refused_acts_are_shown(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    refused(running, **{**ACT, "value": PROTECTED})
    assert cli.main(["operator", "audit", "--socket", running.path]) == 0
    assert "alice: add clients deny" in capsys.readouterr().out


def test_two_at_once_both_stand(running: Running) -> None:
    together(
        *(
            lambda number=number: running.ask(**{**ACT, "value": f"198.51.100.{number}"})
            for number in range(8)
        )
    )  # type: ignore[misc]
    listed = running.ask(do="entries", list="clients")["entries"]
    assert {one["value"] for one in listed if one["origin"] == "operator"} == {
        f"198.51.100.{number}/32" for number in range(8)
    }


def test_a_fault_of_the_service_itself_ends_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(dummy: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(running.editor.lists, "entries", broken)
    assert (
        running.ask(do="entries", list="relay")["error"]
        == "operator: error of the service itself, ZeroDivisionError; see its log"
    )
    assert running.ask(do="audit")["ok"]


# Greylist and queue through the socket.


def test_greylist_and_pass(running: Running) -> None:
    (running.host.path / "greylist").mkdir()
    assert running.ask(do="greylist", search="") == {"ok": True, "entries": [], "more": 0}
    done = running.ask(do="pass", address="198.51.100.7", note="waits for an offer")
    assert done["effects"] == [
        "198.51.100.0/24 has passed the greylist: mail from there is no longer deferred"
    ]
    entry = {"network": "198.51.100.0/24", "since": int(running.host.now), "passed": True}
    for search in ("198.51", "198.51.100.200", ""):
        assert running.ask(do="greylist", search=search)["entries"] == [entry]
    assert running.ask(do="audit")["records"][0]["note"] == "waits for an offer"


def test_queue(running: Running) -> None:
    queue = running.host.path / "queue"
    for name, number, content in (
        ("info", 46, b"Fann@sender.example\0"),
        ("mess", 46, b"x" * 100),
        ("remote", 46, b"Talice@example.test\0Dbob@example.test\0"),
        ("local", 46, b"Troot@mx1.example.test\0"),
        ("info", 7, b"F\0"),
        ("mess", 7, b"bounce"),
    ):
        path = queue / name / str(number % 23) / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (number, number))
    (queue / "info/1").mkdir()
    (queue / "info/1/99").write_bytes(b"Fgone@meanwhile.example\0")
    found = running.ask(do="queue", search="")
    assert [one["id"] for one in found["messages"]] == [7, 46]
    assert found["messages"][1] == {
        "id": 46, "at": 46, "bytes": 100, "sender": "ann@sender.example", "recipients": [
            {"address": "root@mx1.example.test", "channel": "local", "done": False},
            {"address": "alice@example.test", "channel": "remote", "done": False},
            {"address": "bob@example.test", "channel": "remote", "done": True},
        ],
    }  # fmt: skip
    assert [one["id"] for one in running.ask(do="queue", search="ALICE@")["messages"]] == [46]


# The plain commands.


class Terminal(io.StringIO):
    """Standard input of somebody who types."""

    def isatty(self) -> bool:
        return True


def test_the_commands(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*argv: str) -> tuple[int, str, str]:
        status = cli.main([*argv, "--socket", running.path])
        out, err = capsys.readouterr()
        return status, out, err

    assert run("deny", "198.51.100.9", "--note", "x", "--for", "4h", "--preview") == (
        0,
        "198.51.100.9/32 is refused\nthis ends at 2026-09-21 18:13:20 UTC\n",
        "",
    )
    assert run("deny", "198.51.100.9", "--note", "x") == (0, "act 1: 198.51.100.9/32 is refused\n", "")
    assert run("deny", PROTECTED, "--note", "x") == (
        100,
        "",
        f"mailgate deny: {PROTECTED}: it is protected by the site file: nobody may refuse it\n",
    )
    assert run("deny", PROTECTED, "--note", "x", "--preview")[0] == 100
    assert run("deny", "198.51.100.9", "--note", "x", "--for", "soon")[0] == 100
    assert json.loads(run("relay", "10.9.0.0/24", "--note", "x", "--json")[1]) == {
        "effects": ["10.9.0.0/24 gains relay"],
        "number": 2,
    }
    assert "10.9.0.0/24          alice: x\n" in run("operator", "entries", "relay")[1]
    assert run("operator", "undo") == (0, "act 3: 10.9.0.0/24 loses relay\n", "")
    assert run("operator", "audit", "--limit", "1")[1].startswith(
        "3 2026-09-21 14:13:20 UTC alice: undo relay 10.9.0.0/24: undoes 2\n"
    )
    assert run("operator", "recipient", "joe@example.com")[1].startswith("joe@example.com: accepted")
    assert (
        run("operator", "check", "clients", "198.51.100.7", "--action", "deny")[1]
        == "198.51.100.7/32: could be added\n"
    )
    assert run("operator", "blacklist")[0] == 111


def test_undo_at_a_terminal_says_which_act_and_asks(
    running: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(answer: str, *argv: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        status = cli.main(["operator", "undo", *argv, "--socket", running.path])
        out, err = capsys.readouterr()
        return status, out, err

    for client in ("198.51.100.9", "198.51.100.10"):
        cli.main(["deny", client, "--note", "ticket 7", "--socket", running.path])
    capsys.readouterr()
    before = running.host.files()
    words = (
        "undoes act 2 2026-09-21 14:13:20 UTC alice: add clients deny 198.51.100.10/32: ticket 7\n"
        "198.51.100.10/32 is no longer refused\ndo it? y or n: "
    )
    assert run("n\n") == (100, words, "mailgate operator: undo: not confirmed, so nothing is done\n")
    assert run("")[0] == 100
    assert running.host.files() == before
    assert run("y\n") == (0, f"{words}act 3: 198.51.100.10/32 is no longer refused\n", "")
    assert run("", "1", "--yes") == (0, "act 4: 198.51.100.9/32 is no longer refused\n", "")
    assert run("y\n", "1")[2] == "mailgate operator: undo: act 1 was undone; expected one that still stands\n"


def test_nobody_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["operator", "audit", "--socket", str(tmp_path / "none")]) == 111
    assert "see svstat /service/operator" in capsys.readouterr().err
    with pytest.raises(NoAnswer):
        operator_client.ask({"do": "audit"}, str(tmp_path / "none"))


@pytest.mark.parametrize(
    "name",
    ["allow", "deny", "relay", "block-sender", "trust-sender", "distrust-sender", "recipient", "operator"],
)
def test_help_is_a_manual_page(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert "exit status:" in said
    assert "example" in said


# Whatever is sent.

VALUES = st.one_of(
    st.sampled_from(
        ["0.0.0.0/0", "10.9.0.0/24", "198.51.100.9", RELAY, PROTECTED, "192.0.2.0/24", PROTECTED_HERE, "203.0.0.0/8", "8.0.0.0/5", "127.0.0.1",
         "=", ":", "10.0.0.", '1.2.3.4:allow,RELAYCLIENT=""', "a@b.example", "@b.example", "x@example.com", "10.9.0.0/24\n:allow"]
    ),
    st.text(max_size=40),
    st.integers(1, 223).map(lambda number: f"{number}.0.0.0/8"),
)  # fmt: skip
ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=2),
)
REQUESTS = st.one_of(
    st.fixed_dictionaries(
        {"do": st.sampled_from(["act", "act", "act", "preview", "undo", "check"])},
        optional={
            "act": st.sampled_from(["add", "add", "remove"]),
            "list": st.sampled_from(operator_entries.LISTS),
            "value": VALUES,
            "action": st.sampled_from(["", "allow", "deny"]),
            "note": st.one_of(st.just("x"), st.text(max_size=30)),
            "seconds": st.one_of(st.none(), st.just(60), ANY),
        },
    ),
    st.fixed_dictionaries({"do": st.sampled_from(list(operator_service.VERBS))}, optional={"list": ANY, "value": ANY, "preview": ANY}),
    st.fixed_dictionaries({
        "do": st.just("act"), "act": st.just("add"), "list": st.sampled_from(["relay", "clients", "clients"]), "value": VALUES,
        "action": st.sampled_from(["", "allow", "deny", "deny"]), "note": st.just("x"),
    }).map(lambda one: {**one, "action": one["action"] if one["list"] == "clients" else ""}),
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(REQUESTS.map(json.dumps), st.text(max_size=60)), min_size=1, max_size=8))
def test_whatever_is_sent_only_a_relay_act_gives_relay_and_nobody_protected_is_shut_out(
    requests: list[str],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        host = Host(Path(directory))
        editor = host.editor()
        outside = ExternalPaths(*(f"{directory}/none" for _ in range(4)), doctor=("false",), flush=("false",))
        verbs = operator_service.Verbs(
            editor, Lookups(editor, outside, lambda: host.now), refused_of(editor, host)
        )
        may = {RELAY, "127.0.0.1/32", "::1/128"}
        for text in requests:
            before, audited = host.files(), editor.audit.number
            answer = verbs.answer(ALICE, text.encode("utf-8", "surrogatepass").partition(b"\n")[0])
            json.dumps(answer)
            assert answer["ok"] or "error of the service" not in answer["error"]
            if "number" not in answer:
                assert host.files() == before
                assert editor.audit.number == audited or json.loads(text)["do"] in (
                    "release",
                    "pass",
                    "flush",
                )
            else:
                record = editor.audit.shown(1)[0]
                if record["list"] == "relay":
                    may.add(record["value"])
            rules = host.rules()
            relay = [parse_network(one) for one in sorted(may)]
            wide = address_set(relay)
            assert all(wide.covers(*interval) for interval in host.relays().intervals())
            tcprules.assert_open(rules, [parse_network(PROTECTED), parse_network(PROTECTED_HERE)])
            tcprules.assert_safe(rules, relay)


def test_what_became_of_mail_is_told_to_operators(tmp_path: Path) -> None:
    """The service reads the logs, which operators may not."""
    journey = {
        "session": {
            "begun": 1_790_000_000.5,
            "address": "203.0.113.2",
            "attempts": [{"sender": "gwen@waits.example", "recipients": ["gary@example.test"]}],
        },
        "message": None,
        "verdicts": [{"kind": "greylisted", "words": "greylisted, first contact"}],
        "timeline": [{"at": 1_790_000_000.5, "program": "cqgreylist", "words": "greylisted"}],
        "inferences": [],
    }
    script = tmp_path / "trace"
    answer = json.dumps({"journeys": [journey], "more": True})
    script.write_text(f"#!/bin/sh\necho \"$@\" >{tmp_path}/asked\ncat <<'END'\n{answer}\nEND\nexit 0\n")
    script.chmod(0o755)
    host = Host(tmp_path)
    lookups = Lookups(host.editor(), ExternalPaths(trace=(str(script), "--json")), lambda: host.now)
    found = lookups.answer(ALICE, "trace", {"search": " -gary@example.test "})
    assert (tmp_path / "asked").read_text() == "--json -- -gary@example.test\n"
    assert found == {
        "journeys": [
            {
                "at": 1_790_000_000,
                "client": "203.0.113.2",
                "tls": "",
                "sender": "gwen@waits.example",
                "recipients": ["gary@example.test"],
                "outcomes": ["greylisted, first contact"],
                "steps": [{"at": 1_790_000_000, "program": "cqgreylist", "words": "greylisted"}],
                "notes": [],
            }
        ],
        "more": 1,
    }
    assert lookups.answer(ALICE, "trace", {"search": "x"}) == {"journeys": [], "more": 0}
    with pytest.raises(BadInput, match="is not printable"):
        lookups.answer(ALICE, "trace", {"search": "a\x1bb"})
    words = cli_operators.describe("trace", found, 0)
    assert words[0] == "2026-09-21 14:13:20 UTC 203.0.113.2: <gwen@waits.example> to gary@example.test"
    assert words[-1] == "    = greylisted, first contact"
