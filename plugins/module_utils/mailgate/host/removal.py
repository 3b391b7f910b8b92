# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection makes on a host, in one list, and what of it is removed.

tests/unit/host/test_removal.py holds the lists here to the tasks of the roles. Programs that were built from
source are in their stamps, too. What a package of the distribution owns is left to it.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..core import paths
from ..core.files import atomic_write
from . import accounts, backup

SVSCAN_UNIT = "/etc/systemd/system/svscan.service"
STAMPS = f"{paths.STATE_DIRECTORY}/stamps"
# Those through which mail comes, first.
LISTENERS = ("smtpfront", "qmail-smtpd")
NAMES = (
    *LISTENERS,
    "adaptive-blacklist",
    "bayes-expiry",
    "clamd",
    "dccifd",
    "dnscache",
    "fleet",
    "fleet-engine",
    "freshclam",
    "mta-sts",
    "operator",
    "qmail-send",
    "razor-register",
    "recipients",
    "rules",
    "sa-update",
    "simscan-cleaner",
    "smtptls",
    "spamd",
    "stats",
    "unbound",
)
# Where the definitions of our services lie, to which the links in /service lead; dnscache has djb's place.
DEFINITIONS = (paths.SERVICE_DEFINITIONS, "/var/qmail/supervise")

# Files of ours in a directory that belongs to a package when SpamAssassin does.
_SPAMASSASSIN_FILES = ("mailgate.pre", "trusted.cf", "TextBeyondLimit.pm", "razor.cf", "dcc.pre", "dcc.cf")
_MASKED = (
    "clamav-clamonacc.service",
    "clamav-daemon.service",
    "clamav-daemon.socket",
    "clamav-freshclam-once.service",
    "clamav-freshclam-once.timer",
    "clamav-freshclam.service",
    "postfix-mta-sts-resolver.service",
    "redis-server.service",
    "spamassassin-maintenance.service",
    "spamassassin-maintenance.timer",
    "spamd.service",
    "unbound-resolvconf.service",
    "unbound.service",
    "valkey-server.service",
)
_MASKS = tuple(f"/etc/systemd/system/{name}" for name in _MASKED)

# Which services were defined: what is of_service is known by it when data go in a later run.
REMOVED_SERVICES = f"{paths.STATE_DIRECTORY}/removed-services"
# Places with names that others use, too: they are the gateway's if one of these services was defined.
_LOGS_OF_SERVICE = {
    f"{paths.LOGS}/qmail": ("qmail-send", "qmail-smtpd"),
    **{f"{paths.LOGS}/{name}": (name,) for name in NAMES if not name.startswith("qmail-")},
}
_OF_SERVICE = {
    **_LOGS_OF_SERVICE,
    "/etc/unbound": ("unbound",),
    "/var/lib/unbound": ("unbound",),
}

# Only this host knows these; they stay unless data are removed, too.
DATA = (
    *(place for part in backup.PARTS for place in part.places),
    *(f"/etc/spamassassin/{name}" for name in paths.SPAMASSASSIN_OPERATORS),
    paths.SPAMD_HOME,
    paths.QMAIL_QUEUE,
    "/var/qmail/alias",  # an operator may have written forwards there
    *_LOGS_OF_SERVICE,
    REMOVED_SERVICES,
)

# With these, svscan and daemontools, which stay while somebody else's service needs them.
SUPERVISION = (
    SVSCAN_UNIT,
    "/etc/systemd/system/multi-user.target.wants/svscan.service",
    "/usr/local/sbin/mailgate-svscan",
    paths.SERVICES,
)
# Other software in djb's layout shares these: they go when daemontools' own entries left nothing in them.
COMMANDS = "/command"
SHARED = (COMMANDS, "/package/admin", "/package")
_DAEMONTOOLS = "/package/admin/daemontools"
_DAEMONTOOLS_STAMP = f"{STAMPS}/daemontools.json"
MADE = (
    paths.RULES_DIRECTORY,
    paths.RULES_COMPILED,
    paths.RULES_COPY,
    paths.SENDERS_DIRECTORY,
    paths.SETTINGS_DIRECTORY,
    "/etc/apt/apt.conf.d/90mailgate",
    "/etc/clamav",
    "/etc/default/spamassassin",
    "/etc/default/spamd",
    "/etc/dnscache",
    paths.SPAMASSASSIN_SITE,
    *(f"/etc/spamassassin/{name}" for name in (*_SPAMASSASSIN_FILES, *paths.SPAMASSASSIN_OPERATORS)),
    *_MASKS,
    "/run/clamav",
    "/run/fleet-engine",
    "/run/mailgate",
    "/run/mta-sts",
    "/run/qmail-smtpd",
    "/run/smtptls",
    "/etc/unbound",
    "/run/spamd",
    "/usr/bin/QmailAdmin",
    paths.QMAILCTL,
    "/usr/local/bin/QmailAdmin",
    *(f"/usr/local/bin/cdb{name}" for name in ("make-12", "make-sv", "test")),  # of 0.2.0 and before
    paths.CLAMDSCAN,
    paths.MAILGATE_COMMAND,
    "/usr/local/bin/qmailadmin",
    *(f"/usr/local/bin/razor-{name}" for name in ("admin", "check", "client", "report", "revoke")),
    "/usr/local/bin/ripmime",
    *(f"/usr/local/bin/{name}" for name in ("sa-learn", "sa-update", "spamassassin", "spamc", "spamd")),
    "/usr/local/lib/mailgate",
    "/usr/local/lib/qmailadmin",
    "/usr/local/sbin/mailgate-razor-register",
    "/usr/local/share/spamassassin",
    "/var/dcc",
    "/var/lib/unbound",
    paths.CLAMAV_DATABASES,
    paths.SPAMASSASSIN_UPDATED_RULES,
    "/var/qmail",
    paths.SIMSCAN_DIRECTORY,
    *DATA,
    paths.STATE_DIRECTORY,  # with the stamps, so it comes last
)

USERS = (
    accounts.BUILD_USER,
    "alias",
    "blacklist",
    "clamav",
    "dcc",
    "dnscache",
    "fleet",
    "fleetengine",
    "mtasts",
    "qmaild",
    "qmaill",
    "qmailp",
    "qmailq",
    "qmailr",
    "qmails",
    "recipients",
    "simscan",
    "smtpfront",
    "smtptls",
    "spamd",
    "stats",
)
SESSION_USERS = ("qmaild", "smtpfront")  # who take mail of clients
GROUPS = (*USERS, "mailgate-log", "nofiles", "operators", "qmail")

_ASIDE = re.compile(r"[.](.+)[.]ending")


@dataclass(frozen=True)
class Found:
    """What is on the host: links of our services and of others, what is removed, what stays and why."""

    services: tuple[str, ...]
    others: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]  # data
    left: tuple[str, ...]  # they belong to packages


def links(root: str = "") -> tuple[list[str], list[str]]:
    """Return the links in /service that lead to services of ours, listeners first, and all others.

    Those that a run which broke off had set aside are among ours.
    """
    ours: list[str] = []
    others: list[str] = []
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(f"{root}{paths.SERVICES}")):
            path = f"{paths.SERVICES}/{name}"
            target = os.readlink(root + path) if os.path.islink(root + path) else ""
            if target and _is_ours(service_name(path), target):
                ours.append(path)
            elif not name.startswith("."):  # svscan does not look at those
                others.append(path)
    ours.sort(key=lambda path: (service_name(path) not in LISTENERS, path))
    return ours, others


def service_name(link: str) -> str:
    """Return the name of the service to which the link leads, set aside or not."""
    name = os.path.basename(link)
    found = _ASIDE.fullmatch(name)
    return found[1] if found else name


def set_aside(link: str) -> str:
    """Return the link's name while its service ends: svscan does not look at it, and the next run does."""
    return f"{os.path.dirname(link)}/.{service_name(link)}.ending"


def definitions(name: str) -> list[str]:
    """Return where a service of ours with this name may be defined."""
    places = [f"{directory}/{name}" for directory in DEFINITIONS]
    return [*places, "/etc/dnscache"] if name == "dnscache" else places


def _is_ours(name: str, target: str) -> bool:
    place = os.path.normpath(os.path.join(paths.SERVICES, target))
    return name in NAMES and any(_at_or_in(place, one) for one in definitions(name))


def _others_definitions(root: str, others: Iterable[str]) -> list[str]:
    """Return where the links of others lead: it may lie below a directory of ours."""
    targets = [os.readlink(root + one) for one in others if os.path.islink(root + one)]
    return [os.path.normpath(os.path.join(paths.SERVICES, target)) for target in targets]


def stamped(root: str = "") -> list[str]:
    """Return what was built from source, by the stamps: artifacts alone."""
    found: list[str] = []
    for stamp in sorted(glob.glob(f"{root}{STAMPS}/*.json")):
        for path in artifacts(stamp):
            found += _commands(root) if path == COMMANDS else [path]
    return found


def _commands(root: str) -> list[str]:
    """Return the entries in the directory of commands that lead to daemontools."""
    with contextlib.suppress(OSError):
        every = [f"{COMMANDS}/{name}" for name in sorted(os.listdir(root + COMMANDS))]
        links = [path for path in every if os.path.islink(root + path)]
        return [path for path in links if _at_or_in(os.readlink(root + path), _DAEMONTOOLS)]
    return []


def artifacts(stamp: str) -> list[str]:
    """Return the paths that a stamp names; none for one that is damaged or not there."""
    try:
        with open(stamp, encoding="utf-8") as stream:
            return [str(path) for path in json.load(stream)["recipe"]["artifacts"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def candidates(root: str = "") -> list[str]:
    """Return all paths of ours that exist, in the order in which they are removed."""
    every = [*stamped(root), *MADE, *SUPERVISION]
    known = services_known(root)
    return [
        path for path in dict.fromkeys(every) if os.path.lexists(root + path) and _made(root, path, known)
    ]


def services_known(root: str = "") -> list[str]:
    """Return the services of the gateway that are defined, or were when a run removed their definitions."""
    noted: list[str] = []
    with contextlib.suppress(FileNotFoundError), open(root + REMOVED_SERVICES, encoding="utf-8") as stream:
        noted = stream.read().split()
    return [
        name
        for name in NAMES
        if name in noted or any(os.path.lexists(root + one) for one in definitions(name))
    ]


def note_services(root: str) -> None:
    """Note which services were defined, for a later run; raises OSError."""
    known = services_known(root)
    if known:
        os.makedirs(root + paths.STATE_DIRECTORY, exist_ok=True)
        with atomic_write(root + REMOVED_SERVICES, 0o644) as stream:
            stream.write("".join(f"{name}\n" for name in known).encode())


def _made(root: str, path: str, known: Collection[str]) -> bool:
    """Return whether what is at a path of the lists may be the gateway's; known are its services."""
    if path in _OF_SERVICE:
        return any(name in known for name in _OF_SERVICE[path])
    if path in _MASKS:  # an administrator's own unit has the same place
        return os.path.islink(root + path) and os.readlink(root + path) == "/dev/null"
    return True


def judge(
    root: str, data: bool, owned: Collection[str], svscan_runs: bool, mounted: Collection[str] = ()
) -> Found:
    """Return what a removal does; owned are the candidates that belong to packages.

    data: what only this host knows is removed, too. svscan_runs: its directory cannot go yet. mounted: where
    file systems are mounted; such a place is emptied, and stays.
    """
    services, others = links(root)
    there = candidates(root)
    kept = [] if data else [path for path in dict.fromkeys(DATA) if path in there]
    kept = [path for path in kept if not _inside(path, kept)]
    spared = {*kept, *owned, *masks_in_use(root), *_others_definitions(root, others)}
    if others:
        # With the stamp, which tells a later run what is the gateway's of it.
        spared |= {*SUPERVISION, *artifacts(root + _DAEMONTOOLS_STAMP), _DAEMONTOOLS_STAMP}
    elif svscan_runs:
        spared.add(paths.SERVICES)
    removed: dict[str, None] = {}
    for path in there:
        if not _inside(path, removed):
            removed.update(dict.fromkeys(_doomed(root, path, spared, mounted)))
    shown = {*services, *removed}
    return Found(
        tuple(services),
        tuple(others),
        tuple(path for path in removed if not _inside(path, shown)),
        tuple(kept),
        tuple(path for path in there if path in owned),
    )


def masks_in_use(root: str = "") -> list[str]:
    """Return the masks of units that are installed: without its mask one would start at the next boot."""
    units = [f"{root}{directory}" for directory in ("/usr/lib/systemd/system", "/lib/systemd/system")]
    return [
        f"/etc/systemd/system/{name}"
        for name in _MASKED
        if any(os.path.lexists(f"{directory}/{name}") for directory in units)
    ]


def _inside(path: str, others: Iterable[str]) -> bool:
    return any(path.startswith(f"{other}/") for other in others)


def _at_or_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def _doomed(root: str, path: str, spared: Collection[str], mounted: Collection[str]) -> Iterator[str]:
    """Yield the highest paths at and below this one that hold nothing which is spared, and no mount."""
    if path in spared or _inside(path, spared):
        return
    holds = any(one.startswith(f"{path}/") and os.path.lexists(root + one) for one in spared)
    if not holds and not any(_at_or_in(one, root + path) for one in mounted):
        yield path
    elif os.path.isdir(root + path) and not os.path.islink(root + path):
        for name in sorted(os.listdir(root + path)):
            if name != "lost+found" or root + path not in mounted:  # it belongs to the file system
                yield from _doomed(root, f"{path}/{name}", spared, mounted)


def remove(root: str, removed: Sequence[str]) -> None:
    """Remove these paths with all below them; raises OSError."""
    for path in removed:
        place = root + path
        if os.path.isdir(place) and not os.path.islink(place):
            shutil.rmtree(place)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place)
    for directory in SHARED:
        if any(_inside(path, [directory]) for path in removed):
            with contextlib.suppress(OSError):  # somebody else's is in it
                os.rmdir(root + directory)


def accounts_to_remove(
    passwd: str, group: str, spared_homes: Collection[str], others: Collection[str]
) -> tuple[list[str], list[str]]:
    """Return our users and our groups that are there; others are names that were somebody else's.

    passwd and group are the texts of /etc/passwd and /etc/group. A user whose home is spared stays.
    """
    homes = {row[0]: row[5] for row in (line.split(":") for line in passwd.splitlines()) if len(row) == 7}
    there = {line.split(":")[0] for line in group.splitlines()}
    stay = {name for name, home in homes.items() if home in spared_homes} | {*others}
    users = [name for name in USERS if name in homes and name not in stay]
    return users, [name for name in GROUPS if name in there and name not in stay]


def owners(said: str) -> set[str]:
    """Return the paths that belong to a package, from what `dpkg-query -S` printed."""
    rows = [line.partition(": /") for line in said.splitlines() if not line.startswith("diversion ")]
    return {f"/{path}" for package, colon, path in rows if colon and " diversion " not in f" {package} "}
