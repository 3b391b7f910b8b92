# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An engine is asked by the library, and nothing that it answers is more than a fault of its own."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import engine as fleet_engine
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.engine import (
    Address,
    EngineFault,
    RedisEngine,
)
from support.certificates import make_authority, make_pair
from support.played_engine import OK, Answer, PlayedEngine, array, bulk


class Played:
    """Engines of one test, which end with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.servers: list[PlayedEngine] = []

    def answers(self, answer: Answer | bytes, **more: str) -> RedisEngine:
        path = str(self.directory / f"{len(self.servers)}.sock")
        given = answer if callable(answer) else lambda words: answer
        self.servers.append(PlayedEngine(given, path))
        return RedisEngine(Address(path=path, **more))

    @property
    def asked(self) -> list[list[bytes]]:
        return [words for words in self.servers[-1].asked if words[0] not in (b"CLIENT", b"SELECT")]


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    one = Played(tmp_path)
    yield one
    for server in one.servers:
        server.close()


ENTRY = array(bulk(b"1795000000000-0"), array(bulk(b"n"), bulk(b"7"), bulk(b"f"), bulk(b"\xff\r\n")))


def test_the_user_and_the_password_are_given_first(played: Played) -> None:
    engine = played.answers(bulk(b"value"), user="fleet", password="secret")
    assert engine.get("mailgate:snapshot") == b"value"
    assert played.asked == [[b"AUTH", b"fleet", b"secret"], [b"GET", b"mailgate:snapshot"]]


def test_a_value_that_is_not_there_is_none(played: Played) -> None:
    assert played.answers(bulk(None)).get("key") is None


def test_entries_of_a_stream_are_read_behind_an_id(played: Played) -> None:
    engine = played.answers(array(array(bulk(b"mailgate:stream"), array(ENTRY))))
    assert engine.read("mailgate:stream", "0-0", 1.5) == [
        ("1795000000000-0", {b"n": b"7", b"f": b"\xff\r\n"})
    ]
    assert played.asked == [
        [b"XREAD", b"BLOCK", b"1500", b"COUNT", b"100", b"STREAMS", b"mailgate:stream", b"0-0"]
    ]


@pytest.mark.parametrize("nothing", [b"*-1\r\n", b"*0\r\n"])
def test_no_entries_within_the_time_are_an_empty_list(played: Played, nothing: bytes) -> None:
    assert played.answers(nothing).read("mailgate:stream", "0-0", 0.01) == []


def test_the_last_entry_is_read(played: Played) -> None:
    assert played.answers(array(ENTRY)).last("s") == ("1795000000000-0", {b"n": b"7", b"f": b"\xff\r\n"})
    assert played.asked == [[b"XREVRANGE", b"s", b"+", b"-", b"COUNT", b"1"]]
    assert played.answers(b"*0\r\n").last("s") is None


def test_an_entry_is_appended_to_a_bounded_stream(played: Played) -> None:
    engine = played.answers(bulk(b"1-0"))
    engine.append("s", {b"n": b"7"}, 1000)
    engine.append("s", {b"n": b"7"}, 0)
    assert played.asked == [
        [b"XADD", b"s", b"MAXLEN", b"~", b"1000", b"*", b"n", b"7"],
        [b"XADD", b"s", b"*", b"n", b"7"],
    ]


def test_values_are_put_and_dropped(played: Played) -> None:
    engine = played.answers(lambda words: OK if words[0] == b"SET" else b":1\r\n")
    engine.put("k", b"v")
    engine.drop("k", 3600)
    engine.drop("k", 0)
    assert [words[0] for words in played.asked] == [b"SET", b"EXPIRE", b"DEL"]


def test_the_time_of_the_engines_host_is_told(played: Played) -> None:
    assert played.answers(array(bulk(b"1795000000"), bulk(b"250000"))).now() == 1_795_000_000.25


def test_a_connection_is_kept_and_made_again_after_a_fault(played: Played) -> None:
    answers = [bulk(b"a"), bulk(b"b"), b"garbage\r\n", bulk(b"c")]
    engine = played.answers(lambda words: answers.pop(0))
    assert [engine.get("k"), engine.get("k")] == [b"a", b"b"]
    assert played.servers[-1].connections == 1
    with pytest.raises(EngineFault):
        engine.get("k")
    assert engine.get("k") == b"c"
    assert played.servers[-1].connections == 2


GARBAGE = {
    "nothing": b"",
    "text": b"220 mx2 ESMTP\r\n",
    "an error": b"-NOPERM this user has no permissions\r\n",
    "no number": b"$abc\r\n",
    "a huge array": b"*99999999999\r\n",
    "deep": b"*1\r\n" * 20_000 + b"$1\r\nx\r\n",
    "another type": b":7\r\n",
    "a list": array(bulk(b"a")),
    "numbers without an end": array(bulk(b"9" * 400), bulk(b"9" * 400)),
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_a_fault_that_names_the_engine(
    played: Played, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_engine, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(fleet_engine, "CONNECT_SECONDS", 0.3)
    engine = played.answers(answer)
    for request in (engine.get, engine.last):
        with pytest.raises(EngineFault, match=r"^engine .*sock: .") as caught:
            request("k")
        assert len(str(caught.value)) < 400
    with pytest.raises(EngineFault, match=r"^engine .*sock: ."):
        engine.read("k", "0-0", 0.01)
    with pytest.raises(EngineFault, match=r"^engine .*sock: ."):
        engine.now()


@pytest.mark.parametrize(
    "answer",
    [
        array(array(bulk(b"s"), array(array(bulk(b"1-0"), b":7\r\n")))),
        array(array(bulk(b"s"), array(array(b":1\r\n", array(bulk(b"n"), bulk(b"7")))))),
        array(array(bulk(b"s"), array(array(bulk(b"\xff"), array(bulk(b"n"), bulk(b"7")))))),
        array(array(bulk(b"s"), array(array(bulk(b"1-0"), array(bulk(b"n"), b":7\r\n"))))),
        array(bulk(b"s")),
        array(array(bulk(b"s"))),
        array(array(bulk(b"s"), array(array(bulk(b"1-0"))))),
        array(array(bulk(b"s"), bulk(b"x"))),
    ],
)
def test_what_is_not_an_entry_is_a_fault(played: Played, answer: bytes) -> None:
    with pytest.raises(EngineFault):
        played.answers(answer).read("s", "0-0", 0.01)


def test_an_answer_that_does_not_end_is_a_fault(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_engine, "ANSWER_BYTES_MAX", 100_000)
    with pytest.raises(EngineFault, match="more than 100000 bytes"):
        played.answers(b"$999999999\r\n" + b"x" * 200_000).get("k")


def test_an_engine_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(EngineFault, match="none"):
        RedisEngine(Address(path=str(tmp_path / "none"))).get("k")


def test_a_host_without_the_library_is_told_which_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(fleet_engine.importlib, "import_module", missing)
    with pytest.raises(EngineFault, match="expected the package python3-redis"):
        RedisEngine(Address(path="/nowhere"))


class Tls:
    """A fleet's authority, and an engine over TLS that wants a certificate of it."""

    def __init__(self, directory: Path, host: str) -> None:
        self.authority, self.other = make_authority("fleet"), make_authority("another")
        self.ca = directory / "ca.pem"
        self.ca.write_bytes(self.authority.pem)
        certificate, key = make_pair(
            directory, names=("server.pem", "server.key"), host=host, issuer=self.authority
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        self.server = PlayedEngine(lambda words: bulk(b"v"), context=context)
        self.directory = directory

    def engine(self, issuer: str = "authority") -> RedisEngine:
        names = (f"{issuer}.pem", f"{issuer}.key")
        made = make_pair(self.directory, names=names, host="mx1", issuer=getattr(self, issuer))
        certificate, key = map(str, made)
        files = {"ca_file": str(self.ca), "certificate": certificate, "key": key}
        return RedisEngine(Address(host="localhost", port=self.server.port, user="peer", **files))


def test_peers_know_each_other_by_the_fleets_authority(tmp_path: Path) -> None:
    tls = Tls(tmp_path, "localhost")
    assert tls.engine().get("k") == b"v"
    with pytest.raises(EngineFault):
        tls.engine("other").get("k")
    tls.server.close()


def test_an_engine_of_another_name_is_refused(tmp_path: Path) -> None:
    tls = Tls(tmp_path, "mx3.example.test")
    with pytest.raises(EngineFault, match=r"certificate: .*localhost"):
        tls.engine().get("k")
    tls.server.close()
