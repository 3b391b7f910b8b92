# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLSA records of a mail server (RFC 6698, and RFC 7672 for SMTP) and policies of MTA-STS (RFC 8461)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import BadInput

TRUST_ANCHOR, END_ENTITY = 2, 3  # the usages that SMTP has; RFC 7672 3.1.3
ENFORCE, TESTING, NONE = "enforce", "testing", "none"
POLICY_BYTES = 65536  # RFC 8461 3.3 has 64 KiB as a limit


@dataclass(frozen=True)
class Record:
    """A TLSA record: its usage, selector (0 certificate, 1 public key), matching type and data."""

    usage: int
    selector: int
    matching: int
    data: bytes


@dataclass(frozen=True)
class Certificate:
    """The DER of a certificate and of its public key."""

    whole: bytes
    public_key: bytes


@dataclass(frozen=True)
class Policy:
    """A policy of MTA-STS: its mode, and the patterns of host names that may be the domain's MX."""

    mode: str
    patterns: tuple[str, ...]


def parse_record(text: str) -> Record:
    """Parse '3 1 1 HEX', in which the data may have blanks; raises BadInput."""
    found = re.fullmatch(r"([0-9]{1,3}) ([0-9]{1,3}) ([0-9]{1,3}) ([0-9a-fA-F ]+)", text)
    digits = "" if found is None else found[4].replace(" ", "")
    if found is None or not digits or len(digits) % 2:
        raise BadInput(f"TLSA record {text!r:.80}: expected 'USAGE SELECTOR MATCHING HEX'")
    return Record(int(found[1]), int(found[2]), int(found[3]), bytes.fromhex(digits))


def matches(record: Record, certificate: Certificate) -> bool:
    """Return whether a record names this certificate, by its content or its public key."""
    if record.selector not in (0, 1):
        return False
    content = certificate.public_key if record.selector else certificate.whole
    if record.matching == 0:
        return record.data == content
    digest = {1: hashlib.sha256, 2: hashlib.sha512}.get(record.matching)
    return digest is not None and digest(content).digest() == record.data


def authenticates(records: Sequence[Record], chain: Sequence[Certificate]) -> bool:
    """Return whether a sender with DANE takes this chain, whose first certificate is the server's own."""
    return any(
        matches(record, one)
        for record in records
        for one in (chain[:1] if record.usage == END_ENTITY else chain[1:])
        if record.usage in (TRUST_ANCHOR, END_ENTITY)
    )


def spki_record(certificate: Certificate) -> str:
    """Return the TLSA record, as RFC 7672 3.1 recommends it, of a server's public key."""
    return f"{END_ENTITY} 1 1 {hashlib.sha256(certificate.public_key).hexdigest()}"


def has_policy(texts: Sequence[str]) -> bool:
    """Return whether one of the TXT records of _mta-sts.DOMAIN says that there is a policy (RFC 8461 3.1)."""
    plain = [re.sub(r'"\s*"', "", text).strip().strip('"') for text in texts]
    return sum(re.match(r"v=STSv1\s*;", text) is not None for text in plain) == 1


def parse_policy(text: str) -> Policy:
    """Parse a policy (RFC 8461 3.2); raises BadInput."""
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), []).append(value.strip())
    version, mode = (fields.get(name, [""])[0] for name in ("version", "mode"))
    if version != "STSv1":
        raise BadInput(f"policy: version {version!r:.40}; expected 'STSv1'")
    if mode not in (ENFORCE, TESTING, NONE):
        raise BadInput(f"policy: mode {mode!r:.40}; expected one of {ENFORCE}, {TESTING}, {NONE}")
    return Policy(mode, tuple(fields.get("mx", [])))


def names_host(patterns: Sequence[str], host: str) -> bool:
    """Return whether a host has one of the names, of which '*.' stands for a first label (RFC 6125 6.4)."""
    plain = host.lower().rstrip(".")
    _label, dot, rest = plain.partition(".")
    wanted = {plain, f"*.{rest}"} if dot else {plain}
    return any(pattern.lower().rstrip(".") in wanted for pattern in patterns)
