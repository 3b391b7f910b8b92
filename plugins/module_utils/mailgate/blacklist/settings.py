# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of the adaptive blacklist: /etc/mailgate/blacklist.json, which Ansible writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

from ..core.errors import BadInput
from ..core.paths import BLACKLIST_SETTINGS
from ..core.times import parse_utc, utc
from ..formats.networks import parse_networks
from ..rules.fragments import ADAPTIVE_UNTIL_MAX, ADAPTIVE_WHY_CHARACTERS
from .clients import check_client, in_order

_EXPECTED = "expected the file as Ansible writes it"
MARKED = ("spam", "ham", "neither")
SCORE_MAX = 1000
EVENTS_MEAN = 4  # of all watched addresses
EVIDENCE_MAX = 50  # events that an entry keeps

# Name: minimum, maximum, unit
LIMITS: dict[str, tuple[int, int, str]] = {
    "attempts": (1, 10_000, "attempts"),
    "bad_percent": (0, 99, "percent"),
    "window_seconds": (1, 604_800, "seconds"),
    "listing_seconds": (1, 2_592_000, "seconds"),
    "session_attempts": (1, 10_000, "attempts"),
    "spare_ham": (0, 1_000, "messages"),
    "spare_ham_seconds": (1, 7_776_000, "seconds"),
    "addresses_max": (100, 10_000_000, "addresses"),
    "events_max": (10, 10_000, "events"),
    "entries_max": (1, 100_000, "entries"),
    "ipv6_site_networks": (0, EVIDENCE_MAX, "networks"),
}


@dataclass(frozen=True)
class Added:
    """A client that the site refuses: until unix seconds, or None while it is in the settings."""

    address: str
    until: int | None
    note: str


@dataclass(frozen=True)
class Settings:
    """The definition of an offence, and its effect; the defaults are the Qmail installation guide's, 2007.

    More than attempts within window_seconds, of which more than bad_percent are bad: refused for
    listing_seconds. A session counts for at most session_attempts. An address with spare_ham clean messages
    in spare_ham_seconds is reported instead; 0 turns that off. An IPv6 client is its /64; a /48 is refused,
    too, when ipv6_site_networks of its /64s are at once; 0 for never. marked is how a message counts that
    SpamAssassin takes for spam and the gateway delivers. spam_score is the site's own limit where single
    domains have others: what only these call spam, or clean, says nothing of a client; 0 where none has.
    """

    attempts: int = 10
    bad_percent: int = 50
    window_seconds: int = 3600
    listing_seconds: int = 14_400
    session_attempts: int = 10
    spare_ham: int = 50
    spare_ham_seconds: int = 604_800
    marked: str = "spam"
    spam_score: float = 0.0
    addresses_max: int = 100_000
    events_max: int = 200
    entries_max: int = 10_000
    ipv6_site_networks: int = 8
    never: tuple[str, ...] = ()
    added: tuple[Added, ...] = ()
    released: tuple[str, ...] = ()


def make(
    values: Mapping[str, object], where: str = "settings", left_out: list[str] | None = None
) -> Settings:
    """Make settings from a mapping, with defaults for missing names; raises BadInput.

    With left_out a bad entry of added or released is not in the settings; why is appended there.
    """
    names = {field.name for field in fields(Settings)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise BadInput(
            f"{where}: {unknown[0]!r} is not a setting; expected one of {', '.join(sorted(names))}"
        )
    given: dict[str, object] = {}
    for name, value in values.items():
        if name in LIMITS:
            given[name] = _number(where, name, value)
        elif name == "marked":
            if value not in MARKED:
                raise BadInput(f"{where} marked: {value!r} is unknown; expected {', '.join(MARKED)}")
            given[name] = value
        elif name == "spam_score":
            given[name] = _score(f"{where} spam_score", value)
        elif name == "never":
            given[name] = _networks(f"{where} never", value)
        elif name == "released":
            given[name] = _released(f"{where} released", value, left_out)
        else:
            given[name] = _added(f"{where} added", value, left_out)
    made = Settings(**given)  # type: ignore[arg-type]
    both = sorted({one.address for one in made.added} & set(made.released))
    if both:
        raise BadInput(f"{where}: {both[0]!r} is added and released; expected it in one of the two lists")
    if made.ipv6_site_networks == 1:
        raise BadInput(
            f"{where} ipv6_site_networks: one network /64 is no reason for a /48; expected 0, for never, or "
            f"2 to {EVIDENCE_MAX}"
        )
    if made.events_max <= made.attempts:
        raise BadInput(
            f"{where} events_max: {made.events_max!r} events cannot show more than {made.attempts} attempts; "
            "expected more than attempts"
        )
    return made


def _number(where: str, name: str, value: object) -> int:
    least, greatest, unit = LIMITS[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= greatest:
        raise BadInput(f"{where} {name}: {value!r} is out of range; expected {least} to {greatest} {unit}")
    return value


def _score(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= SCORE_MAX:
        raise BadInput(f"{where}: {value!r} is not a score; expected 0, for none, to {SCORE_MAX}")
    return float(value)


def _list(where: str, value: object) -> Sequence[object]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise BadInput(f"{where}: {value!r} is not a list; expected a list")
    return value


def _networks(where: str, value: object) -> tuple[str, ...]:
    texts = [text if isinstance(text, str) else repr(text) for text in _list(where, value)]
    return tuple(str(network) for network in parse_networks(texts, f"{where} network"))


def _released(where: str, value: object, left_out: list[str] | None) -> tuple[str, ...]:
    found = set()
    for at, text in enumerate(_list(where, value), 1):
        try:
            found.add(check_client(text, f"{where} item {at}"))
        except BadInput as error:
            if left_out is None:
                raise
            left_out.append(str(error))
    return tuple(in_order(found))


def _added(where: str, value: object, left_out: list[str] | None) -> tuple[Added, ...]:
    found: dict[str, Added] = {}
    for at, item in enumerate(_list(where, value), 1):
        place = f"{where} item {at}"
        try:
            one = _one_added(item, place)
            if one.address in found:
                raise BadInput(f"{place}: {one.address!r} is there already; expected each address once")
        except BadInput as error:
            if left_out is None:
                raise
            left_out.append(str(error))
        else:
            found[one.address] = one
    return tuple(found[address] for address in in_order(found))


def _one_added(item: object, place: str) -> Added:
    if not isinstance(item, Mapping) or not set(item) <= {"address", "until", "note"}:
        raise BadInput(f"{place}: {item!r} is not an entry; expected address and perhaps until and note")
    address = check_client(item.get("address"), f"{place} address")
    note = item.get("note") or ""
    if not isinstance(note, str) or not (note.isascii() and (not note or note.isprintable())):
        raise BadInput(f"{place} note: {note!r} is not plain; expected printable ASCII of one line")
    if len(note) > ADAPTIVE_WHY_CHARACTERS:
        raise BadInput(
            f"{place} note: {note[:40]!r}... has {len(note)} characters; "
            f"expected at most {ADAPTIVE_WHY_CHARACTERS}"
        )
    return Added(address, _until(f"{place} until", item.get("until")), note)


def _until(where: str, value: object) -> int | None:
    if value is None or value == "":
        return None
    at = None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        at = value
    elif isinstance(value, str):
        at = parse_utc(value, ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"))
    if at is None:
        expected = "expected UTC as '2026-12-24' or '2026-12-24T18:00:00Z'"
        raise BadInput(f"{where}: {value!r} is not a time; {expected}")
    if not 0 < at <= ADAPTIVE_UNTIL_MAX:
        raise BadInput(
            f"{where}: {value!r} is out of range; expected a time until the year "
            f"{utc(ADAPTIVE_UNTIL_MAX)[:4]}, or none, for as long as the address is in the list"
        )
    return at


def parse(text: str, where: str = BLACKLIST_SETTINGS, left_out: list[str] | None = None) -> Settings:
    """Parse the text of the settings' file, with left_out as in make(); raises BadInput."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{where}: {text[:40]!r} is not valid JSON; {_EXPECTED}") from error
    if not isinstance(values, dict):
        raise BadInput(f"{where}: {text[:40]!r} is not an object; {_EXPECTED}")
    return make(values, where, left_out)


# Measured with CPython 3.11: an address with its list of events, one event, a clean message, an entry.
_BASE_BYTES, _ADDRESS_BYTES, _EVENT_BYTES, _HAM_BYTES, _ENTRY_BYTES = 60_000_000, 520, 240, 8, 500
_MARGIN = 1.2


def needed_bytes(settings: Settings) -> int:
    """Return the memory that the service needs when everything is at its bounds, and full of evidence."""
    address = _ADDRESS_BYTES + EVENTS_MEAN * _EVENT_BYTES + settings.spare_ham * _HAM_BYTES
    entry = _ENTRY_BYTES + EVIDENCE_MAX * _EVENT_BYTES
    return _BASE_BYTES + int(_MARGIN * (settings.addresses_max * address + settings.entries_max * entry))


def fitting(settings: Settings, limit_bytes: int) -> Settings:
    """Return the settings with fewer addresses and entries if the memory does not suffice for so many."""
    needed = needed_bytes(settings)
    if needed <= limit_bytes:
        return settings
    share = max(0.0, (limit_bytes - _BASE_BYTES) / (needed - _BASE_BYTES))
    return replace(
        settings,
        addresses_max=max(LIMITS["addresses_max"][0], int(settings.addresses_max * share)),
        entries_max=max(LIMITS["entries_max"][0], int(settings.entries_max * share)),
    )


def as_values(settings: Settings) -> dict[str, object]:
    """Return the settings as JSON values for make()."""
    return asdict(settings)


def render(settings: Settings) -> str:
    """Return the settings as text for parse()."""
    return json.dumps(as_values(settings), indent=2, sort_keys=True) + "\n"


_WORDS = {
    "attempts": "refused after more than {} attempts",
    "bad_percent": "refused when more than {} % of the attempts are bad",
    "window_seconds": "attempts of the last {} seconds count",
    "listing_seconds": "refused for {} seconds",
    "session_attempts": "a session counts for at most {} attempts",
    "spare_ham": "reported instead of refused from {} clean messages on",
    "spare_ham_seconds": "clean messages of the last {} seconds count",
    "marked": "a message that is marked and delivered counts as {}",
    "spam_score": "where single domains have other limits, the site's is {} points; 0: none has",
    "addresses_max": "at most {} addresses are watched",
    "events_max": "at most {} events of an address are kept",
    "entries_max": "at most {} addresses are refused",
    "ipv6_site_networks": "an IPv6 network /48 is refused when {} of its /64s are; 0 for never",
}


def describe(settings: Settings | None) -> str:
    """Describe the settings, one line each; '' for None. Two of these texts make a diff."""
    if settings is None:
        return ""
    values = as_values(settings)
    lines = [words.format(values[name]) for name, words in _WORDS.items()]
    lines += [f"{network} is never listed" for network in settings.never]
    for one in settings.added:
        until = "permanently" if one.until is None else f"until {utc(one.until)}"
        lines.append(f"{one.address} is refused {until}" + (f" ({one.note})" if one.note else ""))
    lines += [f"{address} is released and never listed" for address in settings.released]
    return "".join(f"{line}\n" for line in lines)
