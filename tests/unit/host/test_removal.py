# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A removal takes what the roles make, keeps what only the host knows, and leaves what is not ours."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import backup, removal
from support.role_tasks import calls

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.name != "remove")
PATH = re.compile(r"(?<![\w.~}:/*-])/(?:command|etc|package|run|service|usr|var)/[\w./@+-]*[\w@]")

# Paths in roles that are the system's or a package's, and those above ours.
NOT_MADE = re.compile(
    r"/usr/(?:bin|sbin)|/usr/(?:bin|sbin)/(?!QmailAdmin|qmailctl).*|/etc/(?:apt|apt/apt.conf.d|mail|default|systemd|systemd/system|spamassassin)"
    r"|/usr/(?:local|share|include|lib)(?:/(?:bin|sbin|lib|libexec|share|include|errno.h))?(?:/site_perl)?|/usr/share/.*"
    r"|/etc/(?:passwd|group|resolv.conf|fstab|ld.so.preload|os-release|shells|mailname|aliases|localtime|init.d/spamd)"
    r"|/var/(?:lib|log|spool|tmp|run)|/var/lib/dpkg/.*|/var/tmp/.*"
    r"|/etc/apparmor.d/(?:local/)?usr.sbin.clamd"  # lines of ours in it: roles/remove/tasks/apparmor.yml
    r"|/run|/run/(?:systemd|freshclam.words).*"
)


def listed() -> list[str]:
    return [*removal.MADE, *removal.SUPERVISION, *removal.SHARED]


def texts(role: Path) -> list[Path]:
    return [
        one
        for part in ("tasks", "vars", "templates", "handlers")
        for one in (role / part).rglob("*")
        if one.is_file()
    ]


def built(role: Path) -> set[str]:
    """Return the programs of a role that builds from source: they are in its stamp."""
    tasks_of = "".join(one.read_text(encoding="utf-8") for one in (role / "tasks").glob("*.yml"))
    if "source_build" not in tasks_of:
        return {*re.findall(r"/var/qmail/bin/[a-z]+", tasks_of)}
    tasks_of += (role / "vars/main.yml").read_text(encoding="utf-8")
    found = {*re.findall(r"/var/qmail/bin/[a-z]+", tasks_of)}
    return found | {path for path in PATH.findall(tasks_of) if path.startswith("/usr/local/")}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_each_path_of_a_role_is_in_the_list(role: Path) -> None:
    stamped = built(role)
    missing = set()
    for file in texts(role):
        for path in PATH.findall(file.read_text(encoding="utf-8")):
            known = any(path == one or path.startswith(f"{one}/") for one in (*listed(), *stamped))
            if not known and not NOT_MADE.fullmatch(path):
                missing.add((str(file.relative_to(role)), path))
    assert not missing


def test_each_service_account_and_definition_is_in_the_list() -> None:
    services = {one["name"] for role in ROLES for one in calls(role, "daemontools_service")}
    assert services == set(removal.NAMES)
    base = yaml.safe_load((ROOT / "roles/base/vars/main.yml").read_text())
    users = {one["name"] for one in base["_base_users"]}
    groups = set(base["_base_groups"])
    for made in [one for role in ROLES for one in calls(role, "accounts")]:
        groups |= {*made["groups"]} if isinstance(made["groups"], list) else set()
        users |= {user["name"] for user in made.get("users", []) if isinstance(user, dict)}
    assert users == set(removal.USERS)
    assert groups <= set(removal.GROUPS)


def test_all_of_a_backup_is_data() -> None:
    assert {place for part in backup.PARTS for place in part.places} <= set(removal.DATA)


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def left(root: Path) -> set[str]:
    return {str(one.relative_to(root)) for one in root.rglob("*") if one.is_file() or one.is_symlink()}


KEPT = {
    "etc/tcp.d/20-operator",
    "etc/mail/spamassassin/whitelist.cf",
    "etc/mailgate/tls/1/key.pem",
    "var/lib/mailgate/operator/audit.jsonl",
    "var/lib/spamd/bayes/bayes_toks",
    "var/log/clamd/current",
    "var/log/qmail/smtpd/current",
    "var/qmail/alias/.qmail-info",
    "var/qmail/queue/mess/1/24",
}
GONE = {
    "etc/tcp.d/10-site",
    "etc/tcp.smtp.cdb",
    "etc/mail/spamassassin/local.cf",
    "etc/mailgate/doctor.json",
    "etc/systemd/system/svscan.service",
    "usr/local/bin/clamd-of-ours",
    "usr/local/bin/mailgate",
    "var/lib/mailgate/supervise/clamd/run",
    "var/qmail/supervise/qmail-send/run",
    "var/qmail/bin/qmail-send",
    "var/qmail/control/me",
}
OTHERS = {"etc/hosts", "usr/local/bin/other", "var/log/syslog", "etc/mail/sendmail.mc"}


@pytest.fixture
def host(tmp_path: Path) -> Path:
    make(tmp_path, *KEPT, *GONE, *OTHERS)
    stamp = tmp_path / "var/lib/mailgate/stamps/clamav.json"
    stamp.parent.mkdir()
    stamp.write_text(json.dumps({"recipe": {"artifacts": ["/usr/local/bin/clamd-of-ours"]}}))
    (stamp.parent / "damaged.json").write_text("{")
    return tmp_path


def take_away(host: Path, data: bool, owned: tuple[str, ...] = (), svscan: bool = False) -> removal.Found:
    found = removal.judge(str(host), data, owned, svscan)
    if found.removed:
        removal.note_services(str(host))
    removal.remove(str(host), removal.judge(str(host), data, owned, svscan).removed)
    return found


def test_data_stay_and_go_when_told(host: Path) -> None:
    found = take_away(host, data=False)
    assert left(host) == KEPT | OTHERS | {"var/lib/mailgate/removed-services"}
    assert {one.lstrip("/") for one in found.kept} >= {"var/qmail/queue", "etc/mailgate/tls", "var/lib/spamd"}
    assert take_away(host, data=False).removed == ()
    assert take_away(host, data=True).kept == ()
    assert left(host) == OTHERS
    assert not (host / "var/qmail").exists() and not (host / "etc/tcp.d").exists()
    assert take_away(host, data=True).removed == ()


def test_a_file_system_of_its_own_is_emptied(host: Path) -> None:
    make(host, "var/qmail/queue/lost+found/1", "var/qmail/queue/todo/24", "etc/mailgate/tls/2/key.pem")
    mounted = [f"{host}/var/qmail/queue", f"{host}/etc/mailgate/tls/2/key.pem", "/", f"{host}/var/qmailx"]
    found = removal.judge(str(host), True, (), False, mounted)
    assert {"/var/qmail/queue/mess", "/var/qmail/queue/todo", "/var/qmail/bin"} <= set(found.removed)
    assert not {"/var/qmail", "/var/qmail/queue", "/etc/mailgate", "/etc/mailgate/tls/2"} & set(found.removed)
    assert {"/etc/mailgate/tls/1", "/etc/tcp.d"} <= set(found.removed)
    removal.remove(str(host), found.removed)
    assert left(host) == OTHERS | {"etc/mailgate/tls/2/key.pem", "var/qmail/queue/lost+found/1"}
    assert removal.judge(str(host), True, (), False, mounted).removed == ()


def test_what_belongs_to_a_package_is_left(host: Path) -> None:
    make(host, "etc/clamav/clamd.conf", "etc/default/spamd")
    found = take_away(host, True, ("/etc/clamav", "/etc/default/spamd"))
    assert found.left == ("/etc/clamav", "/etc/default/spamd")
    assert left(host) == OTHERS | {"etc/clamav/clamd.conf", "etc/default/spamd"}
    said = (
        "clamav-base: /etc/clamav\nlocal diversion from: /usr/sbin/sendmail\n"
        "spamd:amd64, x: /etc/default/spamd\n"
        "diversion by dash from: /bin/sh\ndpkg-query: no path found matching pattern /etc/tcp.d\n"
    )
    assert removal.owners(said) == {"/etc/clamav", "/etc/default/spamd"}


def test_a_mask_goes_unless_its_unit_is_installed_and_a_unit_stays(host: Path) -> None:
    units = host / "etc/systemd/system"
    make(host, "usr/lib/systemd/system/spamd.service", "etc/systemd/system/unbound.service")
    for name, target in (
        ("spamd.service", "/dev/null"),
        ("clamav-daemon.service", "/dev/null"),
        ("clamav-freshclam.service", "/usr/local/lib/theirs.service"),
    ):
        (units / name).symlink_to(target)
    take_away(host, True)
    there = {"spamd.service", "unbound.service", "clamav-freshclam.service"}
    units_left = {f"etc/systemd/system/{name}" for name in there}
    assert left(host) == OTHERS | units_left | {"usr/lib/systemd/system/spamd.service"}


SERVICES_OWN = {
    "stats": ["var/log/stats/current"],
    "rules": ["var/log/rules/current"],
    "operator": ["var/log/operator/current"],
    "unbound": ["etc/unbound/mailgate.conf", "var/lib/unbound/root.key", "var/log/unbound/current"],
}


@pytest.mark.parametrize("name", SERVICES_OWN)
def test_places_with_a_common_name_are_the_gateways_if_it_had_the_service(host: Path, name: str) -> None:
    for places in SERVICES_OWN.values():
        make(host, *places)
    make(host, f"var/lib/mailgate/supervise/{name}/run")
    others = {place for one, places in SERVICES_OWN.items() if one != name for place in places}
    kept = set(take_away(host, data=False).kept)
    assert not kept & {"/var/log/rules", "/var/log/stats", "/var/log/operator"} - {f"/var/log/{name}"}
    assert f"/var/log/{name}" in kept
    take_away(host, data=True)
    assert left(host) == OTHERS | others


def test_logs_go_after_a_run_that_broke_off(host: Path) -> None:
    make(host, "etc/dnscache/run", "var/log/dnscache/current")
    removal.note_services(str(host))
    shutil.rmtree(host / "var/qmail")
    shutil.rmtree(host / "etc/dnscache")
    take_away(host, data=True)
    assert left(host) == OTHERS and not (host / "var/lib/mailgate").exists()


def build_daemontools(host: Path, *, stamp: bool) -> None:
    make(host, "package/admin/daemontools-0.76/command/svc", "usr/local/bin/svc")
    (host / "package/admin/daemontools").symlink_to("daemontools-0.76")
    (host / "command").mkdir()
    (host / "command/svc").symlink_to("/package/admin/daemontools/command/svc")
    if stamp:
        built = [
            "/package/admin/daemontools-0.76",
            "/package/admin/daemontools",
            "/command",
            "/usr/local/bin/svc",
        ]
        file = host / "var/lib/mailgate/stamps/daemontools.json"
        file.write_text(json.dumps({"recipe": {"artifacts": built}}))


def test_other_software_in_djbs_layout_stays(host: Path) -> None:
    build_daemontools(host, stamp=True)
    make(host, "package/admin/runit-2.1/command/sv", "command/file")
    (host / "command/sv").symlink_to("/package/admin/runit-2.1/command/sv")
    take_away(host, data=True)
    assert left(host) == OTHERS | {"package/admin/runit-2.1/command/sv", "command/file", "command/sv"}


def test_djbs_directories_go_when_nothing_else_is_in_them(host: Path) -> None:
    build_daemontools(host, stamp=True)
    (host / "package/host").mkdir()
    take_away(host, data=True)
    assert not (host / "command").exists() and [one.name for one in (host / "package").iterdir()] == ["host"]
    (host / "package/admin").mkdir()
    assert take_away(host, data=True).removed == ()
    assert (host / "package/admin").exists()


def test_daemontools_that_the_gateway_did_not_build_stays(host: Path) -> None:
    build_daemontools(host, stamp=False)
    before = left(host)
    take_away(host, data=True)
    there = {one for one in before if one.startswith(("package/", "command/"))} | {"usr/local/bin/svc"}
    assert len(there) == 4 and left(host) == OTHERS | there


def test_daemontools_goes_once_nobody_needs_it(host: Path) -> None:
    build_daemontools(host, stamp=True)
    (host / "service").mkdir()
    (host / "service/theirs").symlink_to("/srv/theirs")
    take_away(host, data=True)
    assert {"usr/local/bin/svc", "command/svc", "package/admin/daemontools"} <= left(host)
    assert not (host / "var/lib/mailgate/stamps/clamav.json").exists()
    (host / "service/theirs").unlink()
    take_away(host, data=True)
    assert left(host) == OTHERS and not (host / "package").exists() and not (host / "command").exists()


def test_somebody_elses_service_keeps_svscan(host: Path) -> None:
    services = host / "service"
    services.mkdir()
    for name, target in (
        ("stats", "/var/lib/mailgate/supervise/stats"),
        ("smtpfront", "/var/lib/mailgate/supervise/smtpfront"),
        ("dnscache", "/etc/dnscache"),
        ("theirs", "/srv/theirs"),
        (".svscan", "/nowhere"),
    ):
        (services / name).symlink_to(target)
    found = removal.judge(str(host), True, (), True)
    assert found.services == ("/service/smtpfront", "/service/dnscache", "/service/stats")
    assert found.others == ("/service/theirs",)
    assert not {"/service", "/etc/systemd/system/svscan.service"} & set(found.removed)
    (services / "theirs").unlink()
    assert "/service" in removal.judge(str(host), True, (), False).removed
    assert "/service" not in removal.judge(str(host), True, (), True).removed


@pytest.mark.parametrize(
    ("name", "target", "ours"),
    [
        ("dnscache", "/etc/dnscache", True),
        ("dnscache", "../etc/dnscache/", True),
        ("qmail-send", "/var/qmail/supervise/qmail-send", True),
        ("clamd", "/var/lib/mailgate/supervise/clamd", True),
        ("dnscachex", "/etc/dnscachex", False),
        ("dnscache", "/etc/dnscachex", False),
        ("dnscachex", "/etc/dnscache", False),
        ("qmail-pop3d", "/var/qmail/supervise/qmail-pop3d", False),
        ("clamd", "/srv/clamd", False),
        ("stats", "/var/lib/mailgate/supervise-theirs/stats", False),
        ("stats", "/var/lib/mailgate/supervise/../theirs", False),
    ],
)
def test_a_service_is_ours_by_its_name_and_its_definition(
    tmp_path: Path, name: str, target: str, ours: bool
) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / name).symlink_to(target)
    assert removal.links(str(tmp_path)) == (
        ([f"/service/{name}"], []) if ours else ([], [f"/service/{name}"])
    )


def test_a_link_that_was_set_aside_is_found_again(tmp_path: Path) -> None:
    (tmp_path / "service").mkdir()
    for name in ("stats", ".smtpfront.ending", ".theirs.ending", ".clamd.4711", ".razor-register"):
        (tmp_path / "service" / name).symlink_to(f"/var/lib/mailgate/supervise/{removal.service_name(name)}")
    ours, others = removal.links(str(tmp_path))
    assert (ours, others) == (["/service/.smtpfront.ending", "/service/stats"], [])
    assert [removal.set_aside(one) for one in ours] == [
        "/service/.smtpfront.ending",
        "/service/.stats.ending",
    ]


def test_somebody_elses_definition_stays_in_a_directory_of_ours(host: Path) -> None:
    make(host, "var/qmail/supervise/qmail-pop3d/run")
    (host / "service").mkdir()
    (host / "service/qmail-pop3d").symlink_to("/var/qmail/supervise/qmail-pop3d")
    take_away(host, data=True)
    assert "var/qmail/supervise/qmail-pop3d/run" in left(host)
    assert "var/qmail/bin/qmail-send" not in left(host)


def test_accounts_of_packages_and_of_somebody_else_stay() -> None:
    passwd = (
        "root:x:0:0::/root:/x\nclamav:x:1:1::/var/lib/clamav:/x\nstats:x:2:2::/s:/x\nqmailq:x:3:3::/q:/x\n"
    )
    group = "root:x:0:\nclamav:x:1:\nstats:x:2:\nqmail:x:3:\nadm:x:4:\n"
    users, groups = removal.accounts_to_remove(passwd, group, {"/var/lib/clamav"}, ["stats"])
    assert (users, groups) == (["qmailq"], ["qmail"])
