"""The cases that the contract test runs of each module, or the test that checks the contract instead."""

from __future__ import annotations

import grp
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.certificates import make_pair
from support.daemontools_services import World, wait_left_alone
from support.module_runner import run_module

Undo = Callable[[], None]


def nothing(_root: Path) -> None:
    return None


def only_root(root: Path) -> list[Path]:
    return [root]


@dataclass(frozen=True)
class Case:
    """One call of a module in an empty directory, root, of its own."""

    name: str
    arguments: Callable[[Path], dict[str, Any]]
    prepare: Callable[[Path], Undo | None] = nothing
    changes: bool = True  # whether the first run changes something
    repeatable: bool = True  # whether the second run changes nothing
    runs: bool = True  # False: the run would change this machine, only check mode is tried
    watched: Callable[[Path], list[Path]] = only_root


@dataclass(frozen=True)
class Elsewhere:
    """A test that holds the module to the contract where it can run: it must exist."""

    file: str  # from the root of the collection
    function: str


# files


def _files(root: Path) -> dict[str, Any]:
    return {
        "directories": [{"path": f"{root}/etc"}, {"path": f"{root}/etc/deep", "mode": "0750"}],
        "files": [
            {"path": f"{root}/etc/one", "content": "one\n"},
            {"path": f"{root}/etc/empty", "content": "", "mode": "0600"},
            {
                "path": f"{root}/etc/deep/program",
                "content": "#!/bin/sh\n",
                "mode": "0755",
                "validate": ["/bin/sh", "-n", "%s"],
            },
        ],
        "links": [{"path": f"{root}/link", "target": "etc/one"}],
        "prune": [{"directory": f"{root}/etc", "pattern": "*"}],
    }


def _drifted_files(root: Path) -> None:
    (root / "etc" / "deep").mkdir(parents=True, mode=0o700)
    (root / "etc" / "one").write_text("two\n")
    (root / "etc" / "empty").touch(mode=0o644)
    (root / "etc" / "stale").write_text("stale\n")
    (root / "etc" / "deep" / "program").write_text("#!/bin/sh\n")
    (root / "link").symlink_to("elsewhere")


# steps


def _steps(root: Path) -> dict[str, Any]:
    return {"steps": [{"files": _files(root)}, *({name: given(root)} for name, given in _STEPS)]}


# daemontools_service


def _service(state: str) -> Callable[[Path], dict[str, Any]]:
    return lambda root: {
        "name": "send",
        "directory": f"{root}/send",
        "service_directory": f"{root}/service",
        "state": state,
        "stable_seconds": 0.3,
        "timeout_seconds": 9,
    }


def _whole_service(root: Path) -> dict[str, Any]:
    return {
        **_service("started")(root),
        "run": f"cat {root}/read\nexec sleep 1000\n",
        "reads": [f"{root}/read"],
        "record_directory": f"{root}/started",
    }


def _no_definition(root: Path) -> Undo:
    world = World(root)
    world.definitions.append(root / "send")
    world.svscan(after_seconds=0.5)
    return world.end


def _new_service(root: Path) -> Undo:
    world = World(root)
    world.define("send", log=True)
    world.log_directory.mkdir(mode=0o777)
    world.svscan(after_seconds=0.5)
    return world.end


def _running_service(root: Path) -> Undo:
    world = World(root)
    wait_left_alone(world.supervised("send"))
    return world.end


# smtproutes

ROUTES = "# ours\nexample.com:10.0.0.5\n\nold.example:10.0.0.6:2525\n"


def _routes(**more: Any) -> Callable[[Path], dict[str, Any]]:
    routes = [
        {"domain": "example.com", "route": "10.0.0.9"},
        {"domain": "example.net", "route": "10.0.0.8:26"},
    ]
    return lambda root: {"path": f"{root}/smtproutes", "routes": routes, **more}


def _old_routes(root: Path) -> None:
    (root / "smtproutes").write_text(ROUTES)


# certificates


def _certificates(*kinds: str, places: bool = False) -> Callable[[Path], dict[str, Any]]:
    def arguments(root: Path) -> dict[str, Any]:
        pairs = []
        for kind in kinds:
            if not (root / kind).exists():
                make_pair(root / kind, kind)
            paths = [root / kind / name for name in ("certificate.pem", "key.pem")]
            certificate, key = [str(path) if places else path.read_text() for path in paths]
            pairs.append({"certificate": certificate, "key": key})
        group = grp.getgrgid(os.getegid()).gr_name
        return {"directory": f"{root}/tls", "group": group, "hostname": "mx.example.test", "pairs": pairs}

    return arguments


def _old_certificates(root: Path) -> None:
    run_module("certificates", _certificates("rsa")(root))


# tcp_rules


def _rules(root: Path) -> dict[str, Any]:
    return {
        "relay_networks": ["10.0.0.0/24"],
        "scanner": "/var/qmail/bin/simscan",
        "rules": [{"network": "192.0.2.9/32", "action": "deny"}],
        "directory": f"{root}/tcp.d",
        "compiled": f"{root}/tcp.smtp.cdb",
        "copy": f"{root}/tcp.smtp",
        "state": f"{root}/state",
        "protected_networks": ["10.0.0.5/32"],
    }


def _damaged_rules(root: Path) -> None:
    (root / "tcp.d").mkdir(mode=0o755)
    (root / "tcp.d" / "10-site").write_text("10.:allow\n")
    (root / "tcp.smtp.cdb").write_bytes(b"\0" * 100)


# ad_recipients


def _recipients(root: Path) -> dict[str, Any]:
    return {
        "directory": str(root),
        "user": "root",
        "hostname": "mx1.example.com",
        "domains": [
            {"name": "example.com", "recipients": "list", "addresses": ["anna", "bert-default"]},
            {"name": "example.net", "recipients": "any"},
        ],
    }


def _damaged_recipients(root: Path) -> None:
    (root / "validrcptto.cdb").write_bytes(b"\0" * 2048)


# adaptive_blacklist


def _blacklist(root: Path) -> dict[str, Any]:
    return {
        "path": f"{root}/blacklist.json",
        "attempts": 5,
        "never": ["192.0.2.0/24"],
        "added": [{"address": "203.0.113.9", "until": "2026-12-24", "note": "harvests"}],
        "released": ["198.51.100.7"],
    }


def _other_blacklist(root: Path) -> None:
    (root / "blacklist.json").write_text('{"attempts": 7}')


# bad_senders, accepted_domains


def _senders(root: Path) -> dict[str, Any]:
    return {
        "senders": ["spammer@bad.example", "@worse.example"],
        "directory": f"{root}/badmailfrom.d",
        "path": f"{root}/badmailfrom",
        "state": f"{root}/state",
    }


def _old_senders(root: Path) -> None:
    (root / "badmailfrom").write_text("@old.example\n")


def _domains(root: Path) -> dict[str, Any]:
    routes = [{"domain": "example.com", "route": "10.0.0.5"}]
    return {"domains": ["example.com", "mx1.example.com"], "routes": routes, "path": f"{root}/rcpthosts"}


def _old_domains(root: Path) -> None:
    (root / "rcpthosts").write_text("old.example\nexample.com\n")


# preflight


def _site(_root: Path) -> dict[str, Any]:
    site = {
        "hostname": "mx1.example.com",
        "postmaster": "postmaster@example.com",
        "domains": [{"name": "example.com", "route": "10.0.0.5", "recipients": "any"}],
        "relay_networks": ["10.0.0.0/24"],
    }
    return {
        "site": site,
        "memory_mb_minimum": 1,
        "disk_mb_minimum": 1,
        "replace_mta": True,
        "require_hostname_resolution": False,
    }


# deb_packages


def _packages(root: Path) -> list[Path]:
    return [root, Path("/var/lib/dpkg/status")]


# versioned_tree


def _tree(root: Path) -> dict[str, Any]:
    return {
        "directory": f"{root}/lib",
        "files": [
            {"path": "__main__.py", "content": "import package\n"},
            {"path": "package/__init__.py", "content": ""},
            {"path": "package/deep/one.py", "content": "one = 1\n"},
        ],
        "validate": ["/usr/bin/test", "-f", "%s/package/deep/one.py"],
        "flat": {"pattern": "*.py", "path": "package", "command": "no such process"},
    }


def _flat_tree(root: Path) -> None:
    (root / "lib").mkdir(mode=0o755)
    (root / "lib" / "__init__.py").write_text("")
    (root / "lib" / "gone.py").write_text("gone = 1\n")


def _old_versions(root: Path) -> None:
    for number in range(3):
        package = root / "lib" / (f"{number}" * 16) / "package"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"version = {number}\n")
    (root / "lib" / "current").symlink_to("2" * 16)
    (root / "lib" / ".new-half").mkdir()
    (root / "lib" / "flat.py").write_text("")


def _damaged_version(root: Path) -> None:
    made = run_module("versioned_tree", _tree(root))
    (root / "lib" / made["version"] / "package" / "deep" / "one.py").write_text("one = 2\n")


# accounts


def _accounts(root: Path) -> dict[str, Any]:
    users = [{"name": "stats", "group": "stats", "home": "/var/lib/stats"}]
    users.append({"name": "simscan", "group": "simscan", "home": "/var/spool/simscan"})
    ids = {"simscan": 951}
    return {
        "groups": ["stats", "simscan", "readers", "nobody-else"],
        "group_ids": ids,
        "users": users,
        "user_ids": ids,
        "members": {"readers": ["simscan"], "nobody-else": []},
        "prefix": str(root),
    }


def _no_accounts(root: Path) -> None:
    (root / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow"):
        (root / "etc" / name).write_text("")


def _other_accounts(root: Path) -> None:
    _no_accounts(root)
    (root / "etc" / "passwd").write_text("stats:x:7:9::/nonexistent:/bin/sh\n")
    groups = "stats:x:9:\nsimscan:x:10:\nreaders:x:11:stats\nnobody-else:x:12:stats\n"
    (root / "etc" / "group").write_text(groups)


def _account_databases(root: Path) -> list[Path]:
    return [root / "etc" / name for name in ("passwd", "group")]


# gateway_removal


def _removal(**more: Any) -> Callable[[Path], dict[str, Any]]:
    return lambda root: {"state": "absent", "prefix": str(root), **more}


def _removable(root: Path) -> None:
    for name in ("etc/mailgate/doctor.json", "etc/tcp.d/20-operator", "var/qmail/control/me", "etc/hosts"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x\n")
    queued = root / "var/qmail/queue/mess/1/24"
    queued.parent.mkdir(parents=True)
    queued.write_text("Subject: x\n")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nqmailq:x:900:900::/var/qmail:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nqmail:x:900:\noperators:x:901:alice\n")
    for name in ("shadow", "gshadow"):
        (root / "etc" / name).write_text("")


_STEPS = [("adaptive_blacklist", _blacklist), ("accepted_domains", _domains), ("tcp_rules", _rules)]
TABLE: dict[str, list[Case] | Elsewhere] = {
    "accounts": [
        Case("no accounts yet", _accounts, _no_accounts, watched=_account_databases),
        Case("other accounts", _accounts, _other_accounts, watched=_account_databases),
    ],
    "ad_recipients": [
        Case("no file yet", _recipients),
        Case("a damaged file", _recipients, _damaged_recipients),
    ],
    "adaptive_blacklist": [
        Case("no settings yet", _blacklist),
        Case("other settings", _blacklist, _other_blacklist),
    ],
    "accepted_domains": [
        Case("no file yet", _domains),
        Case("other domains", _domains, _old_domains),
    ],
    "bad_senders": [
        Case("no senders yet", _senders),
        Case("other senders", _senders, _old_senders),
    ],
    "daemontools_service": [
        Case("a new service is started", _service("started"), _new_service),
        Case("a service is written whole", _whole_service, _no_definition),
        Case("a running service is stopped", _service("stopped"), _running_service),
        Case("a running service stays", _service("started"), _running_service, changes=False),
        Case("a running service goes", _service("absent"), _running_service),
        Case("a running service is restarted", _service("restarted"), _running_service, repeatable=False),
        Case("there is nothing to take away", _service("absent"), changes=False),
    ],
    "bundle": Elsewhere("tests/unit/plugins/test_bundle_action.py", "test_a_bundle_is_made_and_taken"),
    "deb_packages": [
        Case("it is there", lambda _root: {"name": ["dpkg"]}, changes=False, watched=_packages),
        Case("it is not", lambda _root: {"name": ["hello-traditional"]}, runs=False, watched=_packages),
    ],
    "files": [
        Case("a fresh host", _files),
        Case("a host that drifted", _files, _drifted_files),
        Case("nothing to do", lambda _root: {}, changes=False),
    ],
    "certificates": [
        Case("none yet", _certificates()),
        Case("texts", _certificates("ecdsa", "rsa")),
        Case("files of the host", _certificates("ecdsa", places=True)),
        Case("another one", _certificates("ecdsa"), _old_certificates),
        Case("some are there", _certificates(), _old_certificates, changes=False),
    ],
    "gateway_removal": [
        Case("its data stay", _removal(), _removable),
        Case("with its data and accounts", _removal(data=True), _removable),
        Case("no services", _removal(state="stopped"), _removable, changes=False),
    ],
    "program": [
        Case("it answers as expected", lambda _root: {"argv": ["true"]}, changes=False),
    ],
    "steps": [
        Case("a fresh host", _steps),
        Case("a host that drifted", _steps, _drifted_files),
        Case("no steps", lambda _root: {"steps": []}, changes=False),
    ],
    "preflight": [Case("a host", _site, changes=False)],
    "fleet_keys": Elsewhere("tests/module/test_fleet_keys.py", "test_made_once_predicted_and_kept"),
    "tmpfs": Elsewhere("tests/module/test_tmpfs.py", "test_contract"),
    "smtproutes": [
        Case("no file yet", _routes()),
        Case("some routes", _routes(), _old_routes),
        Case("all routes", _routes(exclusive=True), _old_routes),
        Case("another mode", _routes(mode="0640"), _old_routes),
        Case("routes to remove", _routes(state="absent"), _old_routes),
        Case("no file and nothing to remove", _routes(state="absent"), changes=False),
    ],
    "source_build": Elsewhere("tests/module/test_source_build.py", "test_built_once_predicted_and_repaired"),
    "tcp_rules": [
        Case("no rules yet", _rules),
        Case("damaged rules", _rules, _damaged_rules),
    ],
    "versioned_tree": [
        Case("nothing there yet", _tree),
        Case("files of an earlier layout", _tree, _flat_tree),
        Case("other versions", _tree, _old_versions),
        Case("a damaged version", _tree, _damaged_version),
    ],
}
