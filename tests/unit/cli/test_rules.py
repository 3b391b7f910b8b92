"""The command mailgate rules: what it writes, says and refuses, and how it reads what a stranger prepared."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

import fcntl
import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import main as cli
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.cdb import Reader
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import files as rules_files
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.site_fragment import (
    default_rules,
    site_rules,
)

SIMSCAN = "/var/qmail/bin/simscan"
ADAPTIVE_USER = "nobody"
PLACES = {
    "directory": "tcp.d", "compiled": "cdb", "copy": "copy", "state": "state",
    "senders-directory": "badmailfrom.d", "senders": "badmailfrom",
}  # fmt: skip


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "tcp.d").mkdir()
    (tmp_path / "tcp.d/10-site").write_text(site_rules(["10.0.0.0/24"], scanner=SIMSCAN))
    (tmp_path / "tcp.d/90-default").write_text(default_rules())
    return tmp_path


def run(host: Path, name: str, *arguments: str) -> int:
    paths = [f"--{option}={host}/{place}" for option, place in PLACES.items()]
    return cli.main(["rules", name, *paths, f"--adaptive-user={ADAPTIVE_USER}", *arguments])


def files(host: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        str(path.relative_to(host)): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in sorted(host.rglob("*"))
        if path.is_file()
    }


def test_compile_publishes_and_then_has_nothing_to_do(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    umask = os.umask(0o077)
    try:
        assert run(host, "compile") == 0
    finally:
        os.umask(umask)
    first = files(host)
    assert capsys.readouterr() == (f"{host}/cdb: 4 rules, in force now\n", "")
    assert (oct(first["cdb"][1]), oct(first["copy"][1])) == ("0o100644", "0o100644")
    assert sorted(first) == [
        "cdb", "copy", "state/good/10-site", "state/good/90-default", "state/status.json",
        "tcp.d/.lock", "tcp.d/10-site", "tcp.d/90-default",
    ]  # fmt: skip
    assert run(host, "compile") == 0
    assert capsys.readouterr() == (f"{host}/cdb: 4 rules, in force already\n", "")
    assert files(host) == first


def test_check_says_what_is_not_in_force_and_writes_nothing(
    host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(host)
    assert run(host, "check") == 0
    assert capsys.readouterr() == (f"{host}/cdb: missing; run 'mailgate rules compile'\n", "")
    assert files(host) == before
    run(host, "compile")
    (host / "tcp.d/20-operator").write_text("192.0.2.7:deny\n")
    (host / "tcp.d/50-mine").write_text("192.0.2.8:deny\n")
    capsys.readouterr()
    assert run(host, "check") == 0
    assert capsys.readouterr() == (
        f"file {host}/tcp.d/50-mine: has no effect; expected only 10-site, 20-operator, 30-adaptive, 90-default\n"
        f"{host}/cdb: older than the fragments; run 'mailgate rules compile'\n",
        "",
    )
    (host / "cdb").write_bytes(bytes(2048))
    assert run(host, "check") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"cdb {host}/cdb: table 0 begins at byte 0; expected a position from 2048 to 2048; run 'mailgate rules compile'"
    ]


def test_a_copy_edited_by_hand_stops_everything(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(host, "compile")
    with (host / "copy").open("a") as copy:
        copy.write("192.0.2.7:deny\n")
    (host / "tcp.d/20-operator").write_text("192.0.2.8:deny\n")
    before = files(host)
    capsys.readouterr()
    for name in ("compile", "check"):
        assert run(host, name) == 1
        assert capsys.readouterr() == (
            "",
            f"mailgate rules: file {host}/copy: was edited by hand since it was generated, nothing is changed; expected "
            f"changes in {host}/tcp.d/20-operator: move them there, remove {host}/copy, and run 'qmailctl cdb' again\n"
            "  - 192.0.2.8:deny\n"
            "  + 192.0.2.7:deny\n",
        )
    assert files(host) == before
    (host / "copy").unlink()
    assert run(host, "compile") == 0


def test_a_bad_fragment_serves_from_its_last_good_version(
    host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (host / "tcp.d/20-operator").write_text("192.0.2.7:deny\n")
    run(host, "compile")
    (host / "tcp.d/20-operator").write_text("192.0.2.8 deny\n")
    before = files(host)
    capsys.readouterr()
    fault = f"{host}/tcp.d/20-operator line 1: '192.0.2.8 deny' has no ':'; expected 'ADDRESS:allow' or 'ADDRESS:deny'"
    for name in ("check", "compile"):
        assert run(host, name) == 100
        assert capsys.readouterr() == (
            f"{host}/cdb: 5 rules, in force already\n",
            f"mailgate rules: {fault}; its last good version is in force\n",
        )
    after = files(host)
    status = json.loads(after.pop("state/status.json")[0])
    del before["state/status.json"]
    assert after == before
    assert status["rules"]["fragments"]["20-operator"] == {"version": "last good", "fault": fault}
    (host / "tcp.d/20-operator").write_text("192.0.2.8:deny\n")
    assert run(host, "compile") == 0
    assert (host / "state/good/20-operator").read_text() == "192.0.2.8:deny\n"


def test_a_bad_site_without_a_last_good_version_changes_nothing(
    host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (host / "tcp.d/10-site").write_text("192.0.2.7 deny\n")
    before = files(host)
    assert run(host, "compile") == 100
    assert capsys.readouterr().err.startswith(
        f"mailgate rules: {host}/tcp.d/10-site line 1: '192.0.2.7 deny' has no ':'"
    )
    after = files(host)
    del after["tcp.d/.lock"]
    assert after == before


ENTRY = "# until 4000000000 why 12 of 14 bad\n192.0.2.9:deny\n"


def _own(path: Path) -> None:
    os.chown(path, pwd.getpwnam(ADAPTIVE_USER).pw_uid, -1)


def _as_it_should_be(path: Path) -> None:
    path.write_text(ENTRY)
    _own(path)


def _of_somebody_else(path: Path) -> None:
    path.write_text(ENTRY)


def _another_name(path: Path) -> None:
    _as_it_should_be(path)
    os.link(path, path.with_name("other"))


def _a_link(path: Path) -> None:
    _as_it_should_be(path.with_name("other"))
    path.symlink_to("other")


def _a_pipe(path: Path) -> None:
    os.mkfifo(path)
    _own(path)


def _too_big(path: Path) -> None:
    _as_it_should_be(path)
    os.truncate(path, 32 * 1024 * 1024 + 1)


@pytest.mark.parametrize(
    ("prepare", "what"),
    [
        (_as_it_should_be, ""),
        (_of_somebody_else, "belongs to user 0"),
        (_another_name, "has 2 links"),
        (_a_link, "is a link"),
        (_a_pipe, "is not a regular file"),
        (_too_big, "has 33554433 bytes"),
    ],
)
def test_the_adaptive_fragment_is_read_with_suspicion(
    host: Path, capsys: pytest.CaptureFixture[str], prepare: Callable[[Path], None], what: str
) -> None:
    (host / "blacklist").mkdir()
    (host / "tcp.d/30-adaptive").symlink_to("../blacklist/30-adaptive")
    assert run(host, "compile") == 0, "a link to nothing is not a fault"
    capsys.readouterr()
    prepare(host / "blacklist/30-adaptive")
    assert run(host, "compile") == (100 if what else 0)
    said = capsys.readouterr()
    expected = "expected a regular file of nobody with one link and at most 33554432 bytes"
    place = f"{host}/tcp.d/../blacklist/30-adaptive"
    error = f"mailgate rules: file {place}: {what}; {expected}; it has no last good version and is left out\n"
    assert said.err == (error if what else "")
    assert Reader((host / "cdb").read_bytes()).get(b"192.0.2.9") == (None if what else b"D\0")


def test_a_missing_directory_is_permanent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "compile") == 100
    assert capsys.readouterr().err == (
        f"mailgate rules: directory {tmp_path}/tcp.d: missing; expected what mailgate.qmail.tcp_rules makes\n"
    )


def test_trouble_with_the_disk_is_temporary(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (host / "cdb").mkdir()
    assert run(host, "compile") == 111
    assert capsys.readouterr().err == f"mailgate rules: [Errno 21] Is a directory: '{host}/cdb'\n"
    assert not (host / "copy").exists()


def test_two_runs_do_not_collide(
    host: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules_files.locked.__wrapped__, "__defaults__", (0.1,))
    with (host / "tcp.d/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(host, "compile") == 111
    assert capsys.readouterr().err == (
        f"mailgate rules: file {host}/tcp.d/.lock: locked by another run for 0.1 s; try later\n"
    )
    assert run(host, "compile") == 0


def test_a_file_that_the_reader_refuses_never_gets_its_name(host: Path) -> None:
    def refuse(data: bytes) -> None:
        raise BadInput(f"no {data!r}")

    target = host / "cdb"
    target.write_bytes(b"old")
    with pytest.raises(BadInput) as caught:
        rules_files.publish(str(target), b"new", refuse)
    assert str(caught.value) == "no b'new'"
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in host.iterdir()) == ["cdb", "tcp.d"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["10.0.0.7"],
            f'10.0.0.7 may connect and relay, with QMAILQUEUE="{SIMSCAN}"\n'
            f'  HOST/tcp.d/10-site line 5: 10.0.0.:allow,RELAYCLIENT="",QMAILQUEUE="{SIMSCAN}"\n'
            "  by the site, by Ansible\n"
            "  left out: HOST/tcp.d/30-adaptive: '10.0.0.7:deny', it may relay\n",
        ),
        (
            ["10.0.0.9"],
            "10.0.0.9 is refused\n  HOST/tcp.d/20-operator line 2: 10.0.0.9:deny\n"
            "  by the operator alice: infected, until 2096-10-02 07:06:40 UTC\n",
        ),
        (["192.0.2.1"], "192.0.2.1 may connect\n  HOST/tcp.d/90-default line 2: :allow\n  by the site, by Ansible\n"),
        (
            ["192.0.2.1", "--host", "a.example"],
            "192.0.2.1 is refused\n  HOST/tcp.d/20-operator line 3: =a.example:deny\n  by the operator\n",
        ),
        (
            ["192.0.2.9"],
            "192.0.2.9 is refused\n  HOST/tcp.d/30-adaptive: 192.0.2.9:deny\n"
            "  by the adaptive blacklist: 12 of 14 bad, until 2096-10-02 07:06:40 UTC\n",
        ),
        (
            ["Ann@Bad.example"],
            "Ann@Bad.example is refused as a sender\n  HOST/badmailfrom.d/20-operator line 2: @bad.example\n"
            "  by the operator alice\n",
        ),
        (["ann@good.example"], "ann@good.example is not refused as a sender\n"),
    ],
)  # fmt: skip
def test_explain(host: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    (host / "tcp.d/20-operator").write_text(
        '# {"by": "alice", "note": "infected", "until": 4000000000}\n10.0.0.9:deny\n=a.example:deny\n'
    )
    (host / "tcp.d/30-adaptive").write_text(ENTRY + ENTRY.replace("192.0.2.9", "10.0.0.7"))
    (host / "badmailfrom.d").mkdir()
    (host / "badmailfrom.d/10-site").write_text("ann@worse.example\n")
    (host / "badmailfrom.d/20-operator").write_text('# {"by": "alice"}\n@Bad.example\n')
    run(host, "compile")
    capsys.readouterr()
    assert run(host, "explain", *arguments) == 0
    assert capsys.readouterr() == (words.replace("HOST", str(host)), "")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (
            "2001:DB8:0::7",
            "2001:db8::7 is refused\n  HOST/tcp.d/20-operator line 2: [2001:db8::]/32:deny\n  by the operator alice: infected\n",
        ),
        (
            "[2001:db8:1::7]",
            '2001:db8:1::7 may connect, with A="1"\n  HOST/tcp.d/20-operator line 3: [2001:DB8:1::]/48:allow,A="1"\n  by the operator\n',
        ),
        (
            "2001:db8:2::7",
            "2001:db8:2::7 may connect\n  HOST/tcp.d/10-site line 3: [2001:db8:2::]/48:allow\n"
            "  by the site, by Ansible\n"
            "  left out: HOST/tcp.d/20-operator line 4: '[2001:db8:2::7]:deny', it is protected\n"
            "  left out: HOST/tcp.d/30-adaptive: '[2001:db8:2::]/64:deny', it is protected\n",
        ),
        (
            "2001:db9:0:1::8",
            "2001:db9:0:1::8 is refused\n  HOST/tcp.d/30-adaptive: [2001:db9:0:1::]/64:deny\n"
            "  by the adaptive blacklist: 12 of 14 bad, until 2096-10-02 07:06:40 UTC\n",
        ),
        (
            "::ffff:10.0.0.7",
            '10.0.0.7 may connect and relay, with QMAILQUEUE="/var/qmail/bin/simscan"\n'
            '  HOST/tcp.d/10-site line 5: 10.0.0.:allow,RELAYCLIENT="",QMAILQUEUE="/var/qmail/bin/simscan"\n'
            "  by the site, by Ansible\n",
        ),
        (
            "2001:dba::1",
            "2001:dba::1 may connect\n  HOST/tcp.d/90-default line 2: :allow\n  by the site, by Ansible\n",
        ),
    ],
)
def test_explain_of_ipv6(host: Path, capsys: pytest.CaptureFixture[str], address: str, words: str) -> None:
    site = site_rules(["10.0.0.0/24"], scanner=SIMSCAN, protected_networks=["2001:db8:2::/48"])
    (host / "tcp.d/10-site").write_text(site)
    (host / "tcp.d/20-operator").write_text(
        '# {"by": "alice", "note": "infected"}\n[2001:db8::]/32:deny\n[2001:DB8:1::]/48:allow,A="1"\n[2001:db8:2::7]:deny\n'
    )
    (host / "tcp.d/30-adaptive").write_text(
        ENTRY.replace("192.0.2.9", "[2001:db9:0:1::]/64") + ENTRY.replace("192.0.2.9", "[2001:db8:2::]/64")
    )
    run(host, "compile")
    capsys.readouterr()
    assert run(host, "explain", address) == 0
    assert capsys.readouterr() == (words.replace("HOST", str(host)), "")


def test_diff_is_in_words(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(host, "compile")
    (host / "tcp.d/10-site").write_text(site_rules(["10.2.0.0/16"], scanner=SIMSCAN))
    (host / "tcp.d/30-adaptive").write_text(ENTRY)
    (host / "badmailfrom.d").mkdir()
    (host / "badmailfrom.d/10-site").write_text("@worse.example\n")
    before = files(host)
    capsys.readouterr()
    assert run(host, "diff") == 0
    queue = f'relay, QMAILQUEUE="{SIMSCAN}"'
    assert capsys.readouterr().out.splitlines() == [
        f"10.0.0.0/24 loses {queue}",
        f"10.2.0.0/16 gains {queue}",
        "192.0.2.9/32 is refused by the blacklist",
        "every sender @worse.example will be refused",
    ]
    assert files(host) == before
    assert run(host, "compile") == 0
    assert (host / "badmailfrom").read_text().splitlines()[2:] == ["@worse.example"]
    capsys.readouterr()
    assert (run(host, "diff"), capsys.readouterr().out) == (0, "")


def test_explain_says_when_the_rule_is_not_in_force(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(host, "compile")
    (host / "tcp.d/20-operator").write_text("192.0.2.7:deny\n")
    capsys.readouterr()
    assert run(host, "explain", "192.0.2.7") == 0
    assert capsys.readouterr().out == (
        f"192.0.2.7 is refused\n  {host}/tcp.d/20-operator line 1: 192.0.2.7:deny\n  by the operator\n"
        f"  {host}/cdb: older than the fragments; run 'mailgate rules compile'\n"
    )


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "office",
            "address: 'office' is not an address; expected one such as '192.0.2.1' or '2001:db8::1', or a sender such as 'user@host'",
        ),
        (
            "fe80::1%eth0",
            "address: 'fe80::1%eth0' has a zone; expected the address without '%eth0', or a sender such as 'user@host'",
        ),
    ],
)
def test_explain_refuses(host: Path, capsys: pytest.CaptureFixture[str], address: str, message: str) -> None:
    assert run(host, "explain", address) == 100
    assert capsys.readouterr() == ("", f"mailgate rules: {message}\n")


def test_explain_knows_no_names_of_ipv6(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(host, "explain", "2001:db8::1", "--host", "a.example") == 100
    assert capsys.readouterr().err == (
        "mailgate rules: address: '2001:db8::1' is IPv6, of which rules know no name; expected no --host or --info\n"
    )


@pytest.mark.parametrize(
    "arguments", [[], ["nothing"], ["rules"], ["rules", "nothing"], ["rules", "explain"]]
)
def test_wrong_usage_has_status_100(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 100
    assert capsys.readouterr().err.startswith("usage: mailgate ")


def test_explain_answers_somebody_who_is_not_root(
    host: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody may read the fragments, which are root's for whoever reads them."""
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert run(host, "explain", "192.0.2.7") == 0
    captured = capsys.readouterr()
    assert "belongs to" not in captured.out + captured.err
