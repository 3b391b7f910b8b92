"""The smtproutes module on a real file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.module_runner import run_module

BEFORE = b"# back ends \xff\nexample.com:10.0.0.5\nexample.net:10.0.0.6\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "smtproutes"
    path.write_bytes(BEFORE)
    path.chmod(0o644)
    return path


def _run(path: Path, *routes: dict[str, str], check: bool = False, **more: Any) -> dict[str, Any]:
    return run_module("smtproutes", {"path": str(path), "routes": list(routes), **more}, check)


def _queue(path: Path, **files: bytes) -> Path:
    """Make a queue with these files: remote_NUMBER and todo_NUMBER."""
    for name in ("remote/7", "todo"):
        (path / "queue" / name).mkdir(parents=True)
    for name, data in files.items():
        kind, _, number = name.partition("_")
        (path / "queue" / ("todo" if kind == "todo" else "remote/7") / number).write_bytes(data)
    return path / "queue"


@pytest.mark.parametrize(
    ("files", "stays"),
    [
        ({}, False),
        ({"remote_12": b"Tann@example.net\0"}, True),
        ({"remote_12": b"Djoe@example.net\0Tann@EXAMPLE.net\0"}, True),
        ({"remote_12": b"Dann@example.net\0"}, False),
        ({"remote_12": b"Tann@other.net\0Tx@example.com\0"}, False),
        ({"todo_13": b"u900\0p7\0Fx@example.net\0Tann@example.net\0"}, True),
        ({"todo_13": b"u900\0p7\0Fx@example.net\0Tann@example.com\0"}, False),
    ],
)
def test_a_route_stays_while_its_mail_waits(file: Path, files: dict[str, bytes], stays: bool) -> None:
    """Mail for a domain that was removed would follow its MX, perhaps to this host."""
    queue = _queue(file.parent, **files)
    routes = [{"domain": "example.com", "route": "10.0.0.5"}]
    predicted = _run(file, *routes, exclusive=True, queue=str(queue), check=True)
    result = _run(file, *routes, exclusive=True, queue=str(queue))
    assert (b"example.net:10.0.0.6" in file.read_bytes()) is stays
    assert result["changed"] is predicted["changed"] is not stays
    said = [str(one) for one in result.get("warnings", [])]
    told = (
        "mail for example.net waits in the queue: its route to 10.0.0.6 stays; run the playbook again when "
        "it is delivered, or give it an explicit route, '' for its MX, to change it now"
    )
    assert (len(said) == 1 and told in said[0]) if stays else said == []
    for path in (queue / "remote/7").iterdir():
        path.unlink()
    for path in (queue / "todo").iterdir():
        path.unlink()
    _run(file, *routes, exclusive=True, queue=str(queue))
    assert b"example.net" not in file.read_bytes()


def test_a_route_stays_while_its_domain_is_accepted(file: Path) -> None:
    accepted = file.parent / "rcpthosts"
    accepted.write_text("example.com\n# x\nExample.NET\n")
    routes = [{"domain": "example.com", "route": "10.0.0.9"}, {"domain": "new.test", "route": "10.0.0.8"}]
    missing = str(file.parent / "missing")
    _run(file, *routes, exclusive=True, accepted=str(accepted), queue=missing)
    assert file.read_bytes().splitlines()[1:] == [
        b"example.com:10.0.0.9",
        b"example.net:10.0.0.6",
        b"new.test:10.0.0.8",
    ]
    accepted.write_text("example.com\n")
    _run(file, *routes, exclusive=True, accepted=str(accepted), queue=missing)
    assert b"example.net" not in file.read_bytes()


def test_an_empty_route_counts_at_once(file: Path) -> None:
    """The back end is dead: what waits, and what comes, goes to the MX, not to the smart host."""
    accepted = file.parent / "rcpthosts"
    accepted.write_text("example.com\nexample.net\n")
    queue = _queue(file.parent, remote_12=b"Tann@example.net\0")
    routes = [
        {"domain": "example.com", "route": "10.0.0.5"},
        {"domain": "example.net", "route": ""},
        {"domain": "", "route": "smart.example.org"},
    ]
    result = _run(file, *routes, exclusive=True, accepted=str(accepted), queue=str(queue))
    lines = [b"example.com:10.0.0.5", b"example.net:", b":smart.example.org"]
    assert file.read_bytes().splitlines()[1:] == lines
    assert result.get("warnings", []) == []
    assert "mail for example.net goes to its MX instead of 10.0.0.6" in result["changes"]


def test_a_route_is_not_kept_for_a_host_that_has_another_now(file: Path) -> None:
    """Kept, the route for all below example.net would bring the host nothing."""
    file.write_bytes(b".example.net:10.0.0.6\n")
    queue = _queue(file.parent, remote_12=b"Tann@sub.example.net\0")
    route = {"domain": "sub.example.net", "route": ""}
    assert _run(file, route, exclusive=True, queue=str(queue)).get("warnings", []) == []
    assert file.read_bytes() == b"sub.example.net:\n"


def test_the_default_route_stays_for_accepted_domains(file: Path) -> None:
    """Those that have no line, as one that leaves the site; not this host's name, nor mail for elsewhere."""
    file.write_bytes(b"example.com:10.0.0.5\n:smart.example.org:26\n")
    accepted = file.parent / "rcpthosts"
    accepted.write_text("example.com\nLeaving.test\nmx1.example.com\n")
    queue = _queue(file.parent, remote_12=b"Tann@leaving.test\0Tann@else.where\0")
    route = {"domain": "example.com", "route": "10.0.0.5"}
    more = {"exclusive": True, "queue": str(queue)}
    result = _run(file, route, accepted=str(accepted), local=["MX1.example.com"], **more)
    assert file.read_bytes() == b"example.com:10.0.0.5\nleaving.test:smart.example.org:26\n"
    assert result.get("warnings", []) == []
    assert result["changes"] == ["mail for all other domains loses its route to smart.example.org:26"]
    result = _run(file, route, **more)
    assert file.read_bytes() == b"example.com:10.0.0.5\nleaving.test:smart.example.org:26\n"
    (warning,) = result["warnings"]
    assert "its route to smart.example.org:26 stays" in str(warning)
    (queue / "remote/7/12").unlink()
    _run(file, route, **more)
    assert file.read_bytes() == b"example.com:10.0.0.5\n"


def test_one_route_changes_and_another_is_added(file: Path) -> None:
    routes = [{"domain": "Example.NET", "route": "10.0.0.7:26"}, {"domain": "", "route": "smart.example.org"}]
    predicted = _run(file, *routes, check=True)
    assert file.read_bytes() == BEFORE
    result = _run(file, *routes)
    assert file.read_bytes() == (
        b"# back ends \xff\nexample.com:10.0.0.5\nexample.net:10.0.0.7:26\n:smart.example.org\n"
    )
    assert (
        (predicted["changed"], predicted["diff"])
        == (result["changed"], result["diff"])
        == (True, result["diff"])
    )
    assert result["routes"] == [
        {"domain": "example.com", "route": "10.0.0.5"},
        {"domain": "example.net", "route": "10.0.0.7:26"},
        {"domain": "", "route": "smart.example.org"},
    ]
    assert result["diff"][0]["before"] == "# back ends \\xff\nexample.com:10.0.0.5\nexample.net:10.0.0.6\n"
    again = _run(file, *routes)
    assert (again["changed"], again["diff"], again["changed_paths"]) == (False, [], [])


def test_exclusive_mends_a_broken_file(file: Path) -> None:
    file.write_bytes(BEFORE + b"example.com: 10.0.0.9\nno colon\n")
    result = _run(file, {"domain": "example.com", "route": "10.0.0.5"}, exclusive=True)
    assert result["changed"]
    assert file.read_bytes() == b"# back ends \xff\nexample.com:10.0.0.5\n"


def test_a_broken_file_is_not_touched_otherwise(file: Path) -> None:
    file.write_bytes(b"a.test:10.0.0.1\na.test: 10.0.0.9\nno colon\n")
    result = _run(file, {"domain": "b.test", "route": "10.0.0.5"})
    assert result["failed"]
    assert result["msg"] == (
        f"{file} line 2: 'a.test: 10.0.0.9' has a blank or a carriage return beside its relay, so that it "
        "never resolves; expected an IPv4 address, a host name with its domain, or nothing for the "
        "domain's MX\n"
        f"{file} line 3: 'no colon' has no ':'; expected 'domain:relay[:port]'"
    )
    assert file.read_bytes() == b"a.test:10.0.0.1\na.test: 10.0.0.9\nno colon\n"


def test_absent(file: Path, tmp_path: Path) -> None:
    assert _run(file, {"domain": "example.net"}, state="absent")["changed"]
    assert file.read_bytes() == b"# back ends \xff\nexample.com:10.0.0.5\n"
    assert not _run(file, {"domain": "example.net"}, state="absent")["changed"]
    missing = tmp_path / "missing"
    assert not _run(missing, {"domain": "example.net"}, state="absent")["changed"]
    assert not missing.exists()


def test_mode_is_brought_back(file: Path) -> None:
    file.chmod(0o600)
    route = {"domain": "example.com", "route": "10.0.0.5"}
    assert _run(file, route, check=True)["changed"]
    assert file.stat().st_mode & 0o7777 == 0o600
    assert _run(file, route)["changed"]
    assert file.stat().st_mode & 0o7777 == 0o644
    assert not _run(file, route, mode=0o644)["changed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"routes": [{"domain": "a.test"}]},
            "routes item 1: 'a.test' has no route; expected 'host', 'host:port' or ''",
        ),
        (
            {"routes": [{"domain": "a.test", "route": "10.0.0.1:0"}]},
            "routes item 1: '10.0.0.1:0' has the port '0'; "
            "expected a port from 1 to 65535 after the ':', or no ':'",
        ),
        (
            {"routes": [], "exclusive": True, "state": "absent"},
            "exclusive: true with state 'absent' has no meaning; expected state 'present'",
        ),
        ({"routes": [], "mode": "rw"}, "mode: 'rw' is not octal; expected one such as '0644'"),
    ],
)
def test_refused_arguments(file: Path, arguments: dict[str, Any], message: str) -> None:
    result = run_module("smtproutes", {"path": str(file), **arguments})
    assert (result["failed"], result["msg"]) == (True, message)
    assert file.read_bytes() == BEFORE
