# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The site's settings of TLS: gateway_tls_minimum, _sessions, gateway_require_tls and gateway_certificate.

A private key is a secret: what is judged, printed and shown is a description of it, never the key itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..core.errors import BadInput
from ..formats import addresses, networks

MINIMUMS = ("1.2", "1.3")
SESSIONS_MAX = 4000  # as many workers as smtptls can have
PAIRS_MAX = 2  # one of ECDSA and one of RSA
PARTS = ("certificate", "key")
REQUIRED = {"sender_domains": "sender", "recipient_domains": "recipient", "clients": "client"}  # requiretls.h
_TEXT = "text: "
_LABEL = re.compile(r"-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,40})-----")
_KEYS = ("PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY")
_BESIDE_KEYS = ("EC PARAMETERS",)
_EXPECTED = {
    "certificate": "expected its text (PEM) with the chain behind it, or the path of a file on the host",
    "key": "expected its text (PEM), which a vault should hold, or the path of a file on the host",
}


def _is_text(value: object) -> bool:
    """Return whether it is a text; one of a vault is, before ansible-core 2.19, a class of its own."""
    return value is not None and not isinstance(value, (Mapping, list, tuple, set, bool, int, float, bytes))


def _described(value: object) -> object:
    """Return a path as it is, and of another text which blocks of PEM it has."""
    if not _is_text(value):
        return None if value is None else f"a {type(value).__name__}"
    text = str(value).strip()
    if re.fullmatch(r"/[^\0\r\n]{0,1000}", text):
        return text
    return _TEXT + ", ".join(_LABEL.findall(text))


def _several(given: object) -> list[object]:
    return list(given) if isinstance(given, (list, tuple)) else [given]


def without_keys(given: object) -> list[object]:
    """Return gateway_certificate, one or a list, in words that hold no secret, for certificate_faults()."""
    return [
        {str(name): _described(value) for name, value in item.items()}
        if isinstance(item, Mapping)
        else _described(item)
        for item in _several(given)
    ]


def _places(count: int) -> list[str]:
    if count == 1:
        return ["gateway_certificate"]
    return [f"gateway_certificate item {number}" for number in range(1, count + 1)]


def certificate_faults(described: object) -> list[str]:
    """Return every fault of the form of what without_keys() has returned."""
    if not isinstance(described, Sequence) or isinstance(described, str):
        return [f"gateway_certificate: {described!r} is not a list of certificates; expected one or two"]
    if len(described) > PAIRS_MAX:
        expected = "expected one, or one of ECDSA and one of RSA"
        return [f"gateway_certificate: {len(described)} certificates; {expected}"]
    return [
        fault
        for where, item in zip(_places(len(described)), described)
        for fault in _pair_faults(where, item)
    ]


def _pair_faults(where: str, item: object) -> list[str]:
    if not isinstance(item, Mapping):
        shown = "a text" if isinstance(item, str) and item.startswith(_TEXT) else repr(item)
        return [f"{where}: {shown} is not a mapping; expected certificate and key"]
    found = [
        f"{where}: {name!r} is not known; expected one of {', '.join(PARTS)}"
        for name in item
        if name not in PARTS
    ]
    for part, other in (PARTS, PARTS[::-1]):
        if item.get(part) is None:
            beside = f" for its {other}" if item.get(other) is not None else ""
            found.append(f"{where}: has no {part}{beside}; {_EXPECTED[part]}")
    if not found:
        found = _part_faults(where, "certificate", item["certificate"])
        found += _part_faults(where, "key", item["key"])
    return found


def _part_faults(where: str, part: str, described: object) -> list[str]:
    text = described if isinstance(described, str) else repr(described)
    if text.startswith("/"):
        return []
    if not text.startswith(_TEXT):
        return [f"{where}: {part} is {text}; {_EXPECTED[part]}"]
    labels = [label for label in text[len(_TEXT) :].split(", ") if label]
    if not labels:
        return [f"{where}: {part} is neither PEM nor a path that begins with '/'; {_EXPECTED[part]}"]
    if "ENCRYPTED PRIVATE KEY" in labels:
        return [f"{where}: {part} has an encrypted key; expected one without a passphrase, in a vault"]
    if part == "certificate":
        wrong = [label for label in labels if label != "CERTIFICATE"]
    else:
        wrong = [label for label in labels if label not in (*_KEYS, *_BESIDE_KEYS)]
        if not wrong and sum(label in _KEYS for label in labels) != 1:
            return [f"{where}: key has {len(labels)} blocks of PEM; expected one private key"]
    if wrong:
        return [f"{where}: {part} has a block {wrong[0]!r}; {_EXPECTED[part]}"]
    return []


def pairs(given: object) -> list[dict[str, str]]:
    """Return gateway_certificate as a list of {certificate, key}, all texts, without those with a fault."""
    return [
        {part: str(item[part]) for part in PARTS}
        for item, described in zip(_several(given), without_keys(given))
        if isinstance(item, Mapping) and not _pair_faults("", described)
    ]


def required_faults(given: object, offered: object) -> list[str]:
    """Return every fault of gateway_require_tls; offered is gateway_tls."""
    where = "gateway_require_tls"
    if not isinstance(given, Mapping):
        return [f"{where}: {given!r} is not a mapping; expected some of {', '.join(REQUIRED)}"]
    found = [
        f"{where}: {key!r} is not known; expected one of {', '.join(REQUIRED)}"
        for key in given
        if key not in REQUIRED
    ]
    for key in REQUIRED:
        items = given.get(key) or []
        if isinstance(items, str) or not isinstance(items, Sequence):
            found.append(f"{where}: {key} {items!r} is not a list; expected a list")
            continue
        for number, item in enumerate(items, 1):
            found += _required_item_faults(item, key, f"{where}: {key} item {number}")
    if not found and any(given.get(key) for key in REQUIRED) and not offered:
        found.append(
            f"{where}: asks for TLS, and gateway_tls is false, so this mail would never come; expected true"
        )
    return found


def _required_item_faults(item: object, key: str, where: str) -> list[str]:
    if not isinstance(item, str):
        return [f"{where}: {item!r} is not a text; expected a {'network' if key == 'clients' else 'domain'}"]
    if key == "clients":
        try:
            networks.parse_network(item, where)
        except BadInput as error:
            return [str(error)]
        return []
    fault = addresses.domain_fault(addresses.ascii_domain(item.removeprefix(".")))
    return [f"{where}: {item!r} {fault}; with a '.' before it for every domain below"] if fault else []


def required_lines(given: object) -> list[str]:
    """Return the lines of control/requiretls (requiretls.h) of a gateway_require_tls without a fault."""
    if not isinstance(given, Mapping):
        return []
    return [
        f"{word} {item if key == 'clients' else addresses.ascii_domain(str(item))}"
        for key, word in REQUIRED.items()
        for item in given.get(key) or []
    ]


def wrong_line(text: str) -> str:
    """Return the first line of control/requiretls that requiretls.h does not understand, or ''."""
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        key = next((key for key, word in REQUIRED.items() if word == words[0]), "")
        if not key or len(words) != 2 or required_faults({key: [_with_length(words[1], key)]}, True):
            return line
    return ""


def _with_length(text: str, key: str) -> str:
    """Return a network as the site file has it; the programs take an address without a length, too."""
    return text if key != "clients" or "/" in text else f"{text}/{128 if ':' in text else 32}"


def minimum_faults(value: object) -> list[str]:
    if str(value) in MINIMUMS:
        return []
    return [f"gateway_tls_minimum: {value!r} is not a version of TLS; expected one of {', '.join(MINIMUMS)}"]


def sessions_faults(value: object) -> list[str]:
    text = str(value)
    if re.fullmatch(r"[0-9]{1,6}", text) and 1 <= int(text) <= SESSIONS_MAX:
        return []
    return [f"gateway_tls_sessions: {value!r} is not a number of sessions; expected 1 to {SESSIONS_MAX}"]
