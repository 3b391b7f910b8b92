# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Update the recipients' list: export, compare with the limits, publish, roll back, report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..core.errors import BadInput, MailgateError
from . import keys as recipients
from . import ldap_export as ldap
from . import limits
from .settings import Settings
from .store import Last, Store

_SHOWN = 20
_SECRET_BYTES = 4096

# The export of all directories: (addresses, one line for each directory); tests pass their own.
Export = Callable[[Settings], "tuple[set[str], list[str]]"]


class Uncovered(MailgateError):
    """A domain's list is to come from a directory that has not answered yet, while another list serves."""


@dataclass
class Outcome:
    """The result of an update, or of its preview."""

    changed: bool = False
    generation: int = 0
    count: int = 0
    gained_count: int = 0
    lost_count: int = 0
    gained: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    damage: str = ""
    problem: str = ""  # why the directory's answer is not used; '' without a problem
    notices: list[str] = field(default_factory=list)
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Plan:
    """The list that is to serve; wanted is None when there is none and the present file stays."""

    wanted: recipients.Recipients | None
    fresh: bool  # whether it has the directories' new answer
    problem: str


def plan(
    settings: Settings,
    last: Last | None,
    exported: frozenset[str] | None,
    trouble: str,
    *,
    accept_shrink: bool = False,
) -> Plan:
    """Decide which list is to serve; raises BadInput and Uncovered.

    exported: the usable addresses of all directories; None when one of them failed, and trouble says why.
    When the export is refused, the addresses that the directories gave before stay; the site file takes
    effect all the same.
    """
    domains = settings.directory_domains
    if exported is not None or not domains:
        wanted = _keys(settings, exported or frozenset())
        before: Iterable[str] = last.recipients.keys if last else ()
        faults = limits.objections(
            before,
            wanted,
            domains,
            limits=settings.limits,
            required=settings.required,
            accept_shrink=accept_shrink,
        )
        if not faults:
            return Plan(wanted, bool(domains), "")
        trouble = "; ".join(faults[:_SHOWN])
    if not domains or last is None:
        return Plan(None, False, trouble)
    new = sorted(domains - last.directory_domains)
    if new:
        raise Uncovered(
            f"domain {new[0]}: has no list yet, and the one that serves would refuse all of it: {trouble}; "
            "expected its directory to answer before the domain is accepted"
        )
    kept = (key for key in last.recipients.exported if key.rpartition("@")[2] in domains)
    return Plan(_keys(settings, frozenset(kept)), False, trouble)


def _keys(settings: Settings, exported: frozenset[str]) -> recipients.Recipients:
    made = recipients.keys(settings.domains, hostname=settings.hostname, exported=exported)
    # A domain that is no longer served gets no mail, not even for an operator's recipient.
    served = settings.domain_names
    extra = {address for address in settings.extra if address.rpartition("@")[2] in served}
    return recipients.Recipients(tuple(sorted({*made.keys, *extra})), made.exported)


def without_export(settings: Settings, last: Last | None) -> recipients.Recipients:
    """Return the list from the present settings and the directories' last answer.

    Raises BadInput and Uncovered.
    """
    domains = settings.directory_domains
    if not domains:
        return _keys(settings, frozenset())
    decided = plan(settings, last, None, "the directory was not asked")
    if decided.wanted is None:
        raise Uncovered("list: none serves yet; expected the directory to answer first")
    return decided.wanted


def refresh(settings: Settings, store: Store, *, now: float, by: str) -> Outcome:
    """Publish the list of without_export(), asking no directory. Raises BadInput, Uncovered and OSError.

    Used for the operators' recipients, which take effect at once. The caller holds the store's lock.
    """
    last = store.last()
    wanted = without_export(settings, last)
    keys = last.recipients.keys if last else ()
    outcome = Outcome(count=len(wanted.keys), generation=last.number if last else 0)
    if store.serves(last, wanted):
        return outcome
    change = limits.difference(keys, wanted.keys)
    outcome.changed = True
    outcome.gained_count, outcome.lost_count = change.gained_count, change.lost_count
    reason = {
        "made": now,
        "by": by,
        "reason": "refresh",
        **_origin(last),
        "gained": change.gained_count,
        "lost": change.lost_count,
        "directory_domains": sorted(settings.directory_domains),
        "exported_at": last.exported_at if last else None,
    }
    outcome.generation = store.publish(wanted, reason, settings.generations)
    return outcome


def _origin(last: Last | None) -> dict[str, object]:
    """Return the part of a generation's reason that names the origin of its export."""
    return {} if last is None or not last.origin else {"origin": last.origin}


def read_password(path: str) -> str:
    """Read the password in the service's own file; raises OSError and BadInput, which do not contain it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if os.fstat(stream.fileno()).st_mode & 0o077:
            raise BadInput(f"file {path}: others may read it; expected mode 0400")
        data = stream.read(_SECRET_BYTES)
    try:
        password = data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise BadInput(f"file {path}: is not UTF-8; expected a password in one line") from None
    if not password:
        raise BadInput(f"file {path}: is empty; expected a password in one line")
    return password


def export_all(settings: Settings) -> tuple[set[str], list[str]]:
    """Export the addresses of all directories; raises MailgateError and OSError unless all are complete."""
    bases = [base for one in settings.directories for base in one.bases]
    found: set[str] = set()
    said: list[str] = []
    for one in settings.directories:
        result = ldap.export(one, read_password(one.password_file), bases)
        found |= result.addresses
        said.append(
            f"directory {one.name}: {result.entries} entries with {len(result.addresses)} addresses, "
            f"{result.pages} pages of {result.server}"
        )
        said += result.failed_servers
    return found, said


def _gather(settings: Settings, export: Export) -> tuple[frozenset[str] | None, str, list[str]]:
    """Return (usable addresses or None, the error, the notices)."""
    try:
        addresses, said = export(settings)
    except MailgateError as error:
        return None, str(error), []
    except OSError as error:
        return None, f"{error.filename or 'export'}: {error.strerror or error}; expected to read it", []
    usable = recipients.sort_exported(addresses, settings.directory_domains)
    return usable.kept, "", [*said, *recipients.describe_dropped(usable.dropped)]


def update(
    settings: Settings,
    store: Store,
    *,
    now: float,
    by: str,
    export: Export = export_all,
    write: bool = True,
    accept_shrink: bool = False,
    release: bool = False,
    shown: int = _SHOWN,
) -> Outcome:
    """Update the list, or with write False return what it would do.

    Raises BadInput for invalid settings, Uncovered, and OSError when the disk cannot be written. The caller
    holds the store's lock when it writes.
    """
    state = store.state()
    last = store.last()
    outcome = Outcome(damage=store.damage())
    exported, trouble = None, ""
    domains = settings.directory_domains
    held = "" if release else str(state.get("held") or "")
    if held:
        trouble = f"list: held, {held}; expected 'mailgate recipients update --release' to go on"
    elif domains:
        exported, trouble, outcome.notices = _gather(settings, export)
    told: dict[str, object] = {"last_attempt": now}
    if release:
        told["held"] = ""
    try:
        decided = plan(settings, last, exported, trouble, accept_shrink=accept_shrink)
        told["problem"] = decided.problem
        if decided.fresh:
            told["last_export"] = now
    except Uncovered as error:
        told["problem"] = str(error)
        raise
    finally:
        if domains and write:
            store.set_state(**told)
    outcome.problem = decided.problem
    keys = last.recipients.keys if last else ()
    outcome.count, outcome.generation = len(keys), last.number if last else 0
    if decided.wanted is None:
        return outcome
    wanted = decided.wanted
    outcome.count = len(wanted.keys)
    if store.serves(last, wanted):
        return outcome
    serving = not outcome.damage and store.served() is not None
    change = limits.difference(keys if serving else (), wanted.keys, limit=shown)
    outcome.changed = True
    outcome.gained_count, outcome.lost_count = change.gained_count, change.lost_count
    outcome.gained, outcome.lost = list(change.gained), list(change.lost)
    outcome.before, outcome.after = limits.describe(change)
    if outcome.damage:
        outcome.before = f"{outcome.damage}\n"
    elif serving and not change.gained_count and not change.lost_count:
        outcome.after += "same recipients, written again\n"
    if write:
        reason = {
            "made": now,
            "by": by,
            "reason": "update" + (", shrink accepted" if accept_shrink else ""),
            **({} if decided.fresh else _origin(last)),
            "gained": change.gained_count,
            "lost": change.lost_count,
            "directory_domains": sorted(domains),
            "exported_at": now if decided.fresh else (last.exported_at if last else None),
        }
        outcome.generation = store.publish(wanted, reason, settings.generations)
    return outcome


def rollback(store: Store, number: int | None, settings: Settings, *, now: float, by: str) -> int:
    """Let an earlier export serve again, with the settings of now, hold it, and return the generation made.

    Without a number it is the last one before the export that serves. Raises BadInput unless every domain of
    a directory is in the export, and each required address in the list: what is missing there would be 550.
    """
    domains = settings.directory_domains
    if not domains:
        raise BadInput(
            "rollback: no domain has recipients 'directory', so there is no export to go back to; expected "
            "a change of the site file or of the operators' recipients instead"
        )
    last = store.last()
    older = _before(store, last) if number is None else store.generation(number)
    exported = frozenset(key for key in older.recipients.exported if key.rpartition("@")[2] in domains)
    uncovered = domains - older.directory_domains | _lost_domains(last, exported, domains)
    faults = [
        f"generation {older.number}: has no address of the directory for the domain {domain!r}, all of it "
        "would be refused; expected a generation with every domain of now"
        for domain in sorted(uncovered)
    ]
    wanted = _keys(settings, exported)
    if not faults:
        faults = limits.objections(
            (), wanted, domains, limits=settings.limits, required=settings.required, accept_shrink=True
        )
    if faults:
        raise BadInput("\n".join(faults[:_SHOWN]))
    change = limits.difference(last.recipients.keys if last else (), wanted.keys)
    reason = {
        "made": now,
        "by": by,
        "reason": f"rollback to generation {older.number}",
        "origin": older.origin,
        "gained": change.gained_count,
        "lost": change.lost_count,
        "directory_domains": sorted(domains),
        "exported_at": older.exported_at,
    }
    made = store.publish(wanted, reason, settings.generations)
    store.set_state(held=f"rolled back to generation {older.number} by {by}")
    return made


def _before(store: Store, last: Last | None) -> Last:
    """Return the newest undamaged generation with an older export than the serving one; raises BadInput.

    A generation that only repeats an older export counts as that, if it was made later than the export that
    serves. When the file that serves matches no generation, the newest undamaged one is returned.
    """
    end = last.origin if last is not None and store.is_served(last) else None
    older = [
        (number, True, number) if end is None or number < end else (origin, False, number)
        for number, origin in store.origins().items()
        if end is None or origin < end
    ]
    for _place, _before_it, number in sorted(older, reverse=True):
        found = store.whole(number)
        if found is not None:
            return found
    raise BadInput(
        f"generation: none has an older export than the one that serves; expected one of {store.numbers()}"
    )


def _lost_domains(last: Last | None, exported: frozenset[str], domains: frozenset[str]) -> frozenset[str]:
    """Return the domains of which an export has no address, although the serving list has some."""
    served = {key.rpartition("@")[2] for key in (last.recipients.exported if last else ())} & domains
    return frozenset(served - {key.rpartition("@")[2] for key in exported})


def status(settings: Settings, store: Store, *, now: float) -> tuple[dict[str, object], list[str]]:
    """Return (facts, what a person should look at)."""
    state, last = store.state(), store.last()
    alarms = []
    damage = store.damage()
    if damage:
        alarms.append(damage)
    if not damage and store.served() is None:
        alarms.append(f"{store.served_path}: missing, every recipient gets 451; expected a list")
    if settings.directory_domains:
        if state.get("problem"):
            alarms.append(str(state["problem"]))
        elif state.get("held"):
            alarms.append(
                f"list: held, {state['held']}; expected 'mailgate recipients update --release' to go on"
            )
        alarms += age_alarm(settings, state, now)
    per_domain: dict[str, int] = {}
    for key in last.recipients.keys if last else ():
        domain = key.rpartition("@")[2]
        per_domain[domain] = per_domain.get(domain, 0) + 1
    facts: dict[str, object] = {
        "file": store.served_path,
        "generation": last.number if last else None,
        "generations": store.numbers(),
        "count": len(last.recipients.keys) if last else 0,
        "domains": {name: per_domain[name] for name in sorted(per_domain) if name != "postmaster"},
        "directory_domains": sorted(settings.directory_domains),
        "last_export": state.get("last_export"),
        "last_attempt": state.get("last_attempt"),
        "held": state.get("held") or "",
        "alarms": alarms,
    }
    return facts, alarms


def age_alarm(settings: Settings, state: Mapping[str, object], now: float) -> list[str]:
    """Return the alarm for directories whose last complete export is too old."""
    at = state.get("last_export")
    if not isinstance(at, (int, float)):
        return ["alarm: the directory was never exported; expected an export"]
    age = now - at
    if age <= settings.max_age_seconds:
        return []
    hours = settings.max_age_seconds // 3600
    return [f"alarm: the directory's last export is {age / 3600:.1f} hours old; expected at most {hours}"]
