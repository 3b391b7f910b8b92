"""The module tcp_rules: what it writes, refuses and reports; the host's command uses the same files."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import main as cli
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.cdb import Reader
from support.module_runner import run_module

SIMSCAN = "/var/qmail/bin/simscan"
WRITTEN = ["tcp.d/10-site", "tcp.d/90-default", "tcp.smtp.cdb", "tcp.smtp"]


def run(root: Path, check: bool = False, **arguments: Any) -> dict[str, Any]:
    paths = {
        "directory": f"{root}/tcp.d", "compiled": f"{root}/tcp.smtp.cdb", "copy": f"{root}/tcp.smtp",
        "state": f"{root}/state",
    }  # fmt: skip
    result = run_module("tcp_rules", {**paths, **arguments}, check=check)
    result["changed_paths"] = [os.path.relpath(path, root) for path in result["changed_paths"]]
    return result


def words(result: dict[str, Any]) -> list[str]:
    assert all(list(entry) == ["prepared"] for entry in result["diff"])
    return "".join(entry["prepared"] for entry in result["diff"]).splitlines()


def warned(result: dict[str, Any]) -> list[str]:
    """Warnings as text: newer Ansible wraps them."""
    return [one if isinstance(one, str) else one["event"]["msg"] for one in result["warnings"]]


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_fresh_host(tmp_path: Path) -> None:
    extra = [{"network": "192.0.2.0/28", "action": "deny"}]
    arguments: dict[str, Any] = {"relay_networks": ["10.0.0.0/24"], "scanner": SIMSCAN, "rules": extra}
    predicted = run(tmp_path, check=True, **arguments)
    assert files(tmp_path) == {}
    assert not (tmp_path / "tcp.d").exists()
    done = run(tmp_path, **arguments)
    assert predicted == done
    assert done["changed_paths"] == WRITTEN
    assert words(done) == done["changes"] == [
        f'10.0.0.0/24 gains relay, QMAILQUEUE="{SIMSCAN}"',
        f'127.0.0.1/32 gains relay, QMAILQUEUE="{SIMSCAN}"',
        "192.0.2.0/28 is refused",
        f'::1/128 gains relay, QMAILQUEUE="{SIMSCAN}"',
    ]  # fmt: skip
    relay = b"+RELAYCLIENT=\0+QMAILQUEUE=" + SIMSCAN.encode() + b"\0"
    reader = Reader((tmp_path / "tcp.smtp.cdb").read_bytes())
    assert [reader.get(key) for key in (b"127.0.0.1", b"10.0.0.", b"192.0.2.15", b"192.0.2.16", b"")] == [
        relay, relay, b"D\0", None, b"",
    ]  # fmt: skip
    assert {oct((tmp_path / name).stat().st_mode) for name in WRITTEN} == {"0o100644"}
    assert oct((tmp_path / "tcp.d").stat().st_mode) == "0o40755"
    again = run(tmp_path, **arguments)
    assert (again["changed"], again["changed_paths"], again["diff"], again["changes"]) == (False, [], [], [])


def test_networks_gained_and_lost_are_named(tmp_path: Path) -> None:
    run(tmp_path, relay_networks=["10.0.0.0/24", "10.2.0.0/16"])
    changed: dict[str, Any] = {"relay_networks": ["10.0.0.0/23"]}
    predicted = run(tmp_path, check=True, **changed)
    done = run(tmp_path, **changed)
    assert predicted == done
    assert words(done) == ["10.0.1.0/24 gains relay", "10.2.0.0/16 loses relay"]
    assert done["changed_paths"] == ["tcp.d/10-site", "tcp.smtp.cdb", "tcp.smtp"]


def test_the_order_of_networks_changes_nothing(tmp_path: Path) -> None:
    run(tmp_path, relay_networks=["10.0.0.0/24", "192.0.2.0/24"])
    assert not run(tmp_path, relay_networks=["192.0.2.0/24", "10.0.0.0/24", "10.0.0.7/32"])["changed"]


def test_fragments_of_others_are_merged_and_not_written(tmp_path: Path) -> None:
    run(tmp_path, relay_networks=["10.0.0.0/24"])
    (tmp_path / "tcp.d/20-operator").write_text("# infected\n10.0.0.9:deny")
    entry = "# until 4000000000 why bad\n{}:deny\n"
    adaptive = entry.format("10.0.0.10") + entry.format("192.0.2.1")
    (tmp_path / "tcp.d/30-adaptive").write_text(adaptive)
    (tmp_path / "tcp.d/notes").write_text("x")
    done = run(tmp_path, relay_networks=["10.0.0.0/24"])
    assert words(done) == ["10.0.0.9/32 is refused and loses relay"]
    assert Reader((tmp_path / "tcp.smtp.cdb").read_bytes()).get(b"192.0.2.1") == b"D\0"
    assert done["changed_paths"] == ["tcp.smtp.cdb", "tcp.smtp"]
    assert [notice.replace(str(tmp_path), "") for notice in done["notices"]] == [
        "file /tcp.d/notes: has no effect; expected only 10-site, 20-operator, 30-adaptive, 90-default",
        "/tcp.d/30-adaptive: '10.0.0.10:deny' left out, it may relay",
    ]
    assert (tmp_path / "tcp.d/20-operator").read_text() == "# infected\n10.0.0.9:deny"
    assert (tmp_path / "tcp.d/30-adaptive").read_text() == adaptive
    # What the blacklist lists meanwhile is not a change that Ansible makes or reports.
    (tmp_path / "tcp.d/30-adaptive").write_text(entry.format("192.0.2.2"))
    again = run(tmp_path, relay_networks=["10.0.0.0/24"])
    assert (again["changed"], again["changed_paths"]) == (False, [])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            '8.8.8.8:allow,RELAYCLIENT=""\n',
            "ROOT/tcp.d/20-operator line 1: '8.8.8.8:allow,RELAYCLIENT=\"\"' lets 8.8.8.8 relay; "
            "expected RELAYCLIENT only for 10.0.0.0/24, 127.0.0.1/32, ::1/128",
        ),
        (
            ":allow\n10.0.0.0/8:deny\n",
            "ROOT/tcp.d/20-operator line 2: '10.0.0.0/8:deny' has the address '10.0.0.0/8', which never matches; "
            "expected '10.'",
        ),
    ],
)
def test_a_bad_fragment_of_the_operator_is_told_and_does_not_stand_in_the_way(
    tmp_path: Path, text: str, fault: str
) -> None:
    run(tmp_path, relay_networks=["10.3.0.0/16"])
    (tmp_path / "state/good").mkdir(parents=True)
    (tmp_path / "state/good/20-operator").write_text("9.9.9.9:deny\n")
    (tmp_path / "tcp.d/20-operator").write_text(text)
    done = run(tmp_path, relay_networks=["10.0.0.0/24"])
    told = fault.replace("ROOT", str(tmp_path)) + "; its last good version is in force"
    assert (done["notices"], warned(done)) == ([told], [told])
    assert words(done) == ["9.9.9.9/32 is refused", "10.0.0.0/24 gains relay", "10.3.0.0/16 loses relay"]


def test_protected_and_whitelisted_networks(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "tcp.d/20-operator").write_text("203.0.113.:deny\n")
    arguments: dict[str, Any] = {
        "relay_networks": ["10.0.0.0/24"], "scan_relay_clients": False,
        "protected_networks": ["203.0.113.5/32"], "whitelisted_networks": ["192.0.2.0/24"],
    }  # fmt: skip
    predicted = run(tmp_path, check=True, **arguments)
    done = run(tmp_path, **arguments)
    assert predicted == done
    queue = 'relay, QMAILQUEUE="/var/qmail/bin/qmail-queue"'
    assert words(done) == [
        f"10.0.0.0/24 gains {queue}",
        '127.0.0.1/32 gains QMAILQUEUE="/var/qmail/bin/qmail-queue"',
        '192.0.2.0/24 gains WHITELISTED=""',
        "203.0.113.0 to 203.0.113.4 is refused",
        "203.0.113.6 to 203.0.113.255 is refused",
        '::1/128 gains QMAILQUEUE="/var/qmail/bin/qmail-queue"',
    ]


def test_networks_of_ipv6(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "tcp.d/20-operator").write_text("[2001:db8::]/32:deny\n")
    arguments: dict[str, Any] = {
        "relay_networks": ["2001:DB8:1:0::/64"], "protected_networks": ["2001:db8:2::/48", "fd00::/32"],
        "whitelisted_networks": ["2001:db8:3::/48", "::ffff:192.0.2.0/120"],
        "rules": [{"network": "2001:dba::/32", "action": "deny"}],
    }  # fmt: skip
    predicted = run(tmp_path, check=True, **arguments)
    done = run(tmp_path, **arguments)
    assert predicted == done
    assert words(done) == [
        '192.0.2.0/24 gains WHITELISTED=""',
        "2001:db8::/48 is refused",
        "2001:db8:1::/64 gains relay",
        "2001:db8:1:1:: to 2001:db8:1:ffff:ffff:ffff:ffff:ffff is refused",
        '2001:db8:3::/48 gains WHITELISTED=""',
        "2001:db8:4:: to 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff is refused",
        "2001:dba::/32 is refused",
    ]
    reader = Reader((tmp_path / "tcp.smtp.cdb").read_bytes())
    keys = (
        b"[20010db8000100000]/64",
        b"[20010db800010000]/64",
        b"[20010db80002]/48",
        b"[20010db8]/32",
        b"[]",
    )
    assert [reader.get(key) for key in keys] == [
        None, b"+RELAYCLIENT=\0", b"", b"D\0", bytes([128, 64, 48, 32]),
    ]  # fmt: skip
    assert not run(tmp_path, **arguments)["changed"]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("arguments", "operator", "message"),
    [
        (
            {"relay_networks": ["10.0.0.0/7"]}, "",
            "relay network 1: '10.0.0.0/7' is wider than /8; expected a prefix length from 8 to 32",
        ),
        (
            {"relay_networks": ["2001:d00::/24"]}, "",
            "relay network 1: '2001:d00::/24' is wider than /32; expected a prefix length from 32 to 128",
        ),
        (
            {"protected_networks": ["fe80::%eth0/64"]}, "",
            "protected network 1: 'fe80::%eth0/64' has a zone; expected the network without '%eth0'",
        ),
        (
            {"relay_networks": ["10.0.0.5/24"]}, "",
            "relay network 1: '10.0.0.5/24' has host bits set; expected '10.0.0.0/24', "
            "or '10.0.0.5/32' for this one host",
        ),
        (
            {"rules": [{"network": "192.0.2.0/24", "action": "allow", "environment": {"RELAYCLIENT": ""}}]}, "",
            "10-site line 5: '192.0.2.:allow,RELAYCLIENT=\"\"' lets 192.0.2.0 relay; "
            "expected RELAYCLIENT only for 127.0.0.1/32, ::1/128",
        ),
    ],
)  # fmt: skip
def test_refused_before_anything_is_changed(
    tmp_path: Path, check: bool, arguments: dict[str, Any], operator: str, message: str
) -> None:
    run(tmp_path, relay_networks=["10.3.0.0/16"])
    (tmp_path / "tcp.d/20-operator").write_text(operator)
    before = files(tmp_path)
    done = run(tmp_path, check=check, **arguments)
    assert (done["failed"], done["msg"]) == (True, message.replace("ROOT", str(tmp_path)))
    assert files(tmp_path) == before


def test_a_copy_edited_by_hand_is_kept_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "tcp.smtp").write_text('127.:allow,RELAYCLIENT=""\n:allow\n')
    done = run(tmp_path)
    assert done["msg"] == (
        f"file {tmp_path}/tcp.smtp: was edited by hand since it was generated, nothing is changed; expected changes in "
        f"{tmp_path}/tcp.d/20-operator: move them there, remove {tmp_path}/tcp.smtp, and run 'qmailctl cdb' again\n"
        '  - 127.0.0.1:allow,RELAYCLIENT=""\n'
        '  + 127.:allow,RELAYCLIENT=""\n'
        '  - [::1]:allow,RELAYCLIENT=""'
    )
    assert [path.name for path in tmp_path.iterdir()] == ["tcp.smtp"]
    forced = run(tmp_path, force=True)
    assert words(forced) == [
        "127.0.0.0/32 loses relay",
        "127.0.0.2 to 127.255.255.255 loses relay",
        "::1/128 gains relay",
    ]
    assert forced["changed_paths"] == WRITTEN


def test_damage_and_drift_are_mended(tmp_path: Path) -> None:
    run(tmp_path)
    good = files(tmp_path)
    (tmp_path / "tcp.smtp.cdb").write_bytes(bytes(2048))
    mended = run(tmp_path)
    assert words(mended) == [f"{tmp_path}/tcp.smtp.cdb is written again, nothing changes for any connection"]
    assert files(tmp_path) == good
    (tmp_path / "tcp.smtp.cdb").chmod(0o600)
    mended = run(tmp_path)
    assert mended["changed_paths"] == ["tcp.smtp.cdb"]
    assert words(mended) == [f"{tmp_path}/tcp.smtp.cdb: mode, owner, group 0600 root root -> 0644 root root"]


def test_the_command_finds_nothing_to_do_after_the_module(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, relay_networks=["10.0.0.0/24"])
    made = files(tmp_path)
    paths = ["--directory", f"{tmp_path}/tcp.d", "--compiled", f"{tmp_path}/tcp.smtp.cdb"]
    paths += [
        "--copy",
        f"{tmp_path}/tcp.smtp",
        "--senders-directory",
        f"{tmp_path}/no",
        "--state",
        f"{tmp_path}/state",
    ]
    assert cli.main(["rules", "compile", *paths]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/tcp.smtp.cdb: 4 rules, in force already\n"
    assert {name: text for name, text in files(tmp_path).items() if not name.startswith("state/")} == made
