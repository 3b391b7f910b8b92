# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mail addresses and domains in the form that rcpthosts and validrcptto use."""

from __future__ import annotations

import ipaddress
import re
import unicodedata

from ..core.errors import BadInput

# RFC 5321, 4.5.3.1.1 and 4.5.3.1.3: a path has at most 256 octets, two of them '<' and '>'.
MAX_LOCAL_PART_BYTES = 64
MAX_ADDRESS_BYTES = 254
MAX_DOMAIN_BYTES = 253
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+")
QUOTED_LOCAL_PART = re.compile(r'"((?:[^"\\]|\\.)*)"')
_JOINERS = "\u200c\u200d"


def ascii_domain(text: str) -> str:
    """Return a domain as DNS and SMTP have it: in lower case, its labels in Unicode as A-labels.

    RFC 5890 to 5895; as there, and unlike Python's own codec of IDNA 2003, 'ß' stays a letter of its own. A
    text that has no such form comes back in lower case, and domain_fault() says why.
    """
    if text.isascii():
        return text.lower()
    lower = "".join(map(str.lower, text))  # letter by letter: a capital sigma is never a final one
    mapped = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", lower).lower()).replace("\u3002", ".")
    if any(unicodedata.category(one)[0] in "CZ" and one not in _JOINERS for one in mapped):
        return text.lower()
    labels = mapped.split(".")
    return ".".join(
        one if one.isascii() else f"xn--{one.encode('punycode').decode('ascii')}" for one in labels
    )


def domain_fault(text: str) -> str:
    """Return why a text is not a fully qualified domain name, or ''."""
    expected = "expected a name such as 'mail.example.com'"
    if not text:
        return f"is empty; {expected}"
    if not text.isascii():
        known = ascii_domain(text)
        form = f" {known!r}" if known.isascii() and not domain_fault(known) else ""
        return f"has a letter outside ASCII; {expected}, in its 'xn--' form{form}"
    try:
        ipaddress.ip_address(text.strip("[]"))
        return f"is an IP address; {expected}"
    except ValueError:
        pass
    labels = text.lower().split(".")
    if len(text) > MAX_DOMAIN_BYTES:
        return f"has {len(text)} characters; {expected} of at most {MAX_DOMAIN_BYTES}"
    if not all(_LABEL.fullmatch(label) for label in labels):
        return f"is not a domain name; {expected}: letters, digits and '-' between dots"
    if len(labels) < 2:
        return f"has no dot; {expected}"
    if labels[-1].isdigit():
        return f"ends in a number; {expected}"
    return ""


def shortened(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 200 else f"{shown[:200]}..."


def _local_part_fault(text: str) -> str:
    if not text:
        return "has an empty local part; expected 'user@domain'"
    if not text.isascii():
        return "has a character outside ASCII; expected ASCII"
    quoted = text.startswith('"')
    if any(one < " " or one == "\x7f" or (one == " " and not quoted) for one in text):
        return "has a blank or a control character; expected none"
    if len(text) > MAX_LOCAL_PART_BYTES:
        return f"has a local part of {len(text)} bytes; expected at most {MAX_LOCAL_PART_BYTES}"
    if quoted:
        whole = QUOTED_LOCAL_PART.fullmatch(text) is not None and len(text) > 2
        return "" if whole else "has a local part with broken or empty quotes; expected '\"...\"@domain'"
    if "@" in text:
        return "has two '@'; expected one, or a local part in quotes"
    if not all(text.split(".")):
        return "has a dot at an end of its local part, or two together; expected text around each dot"
    if not all(_ATOM.fullmatch(atom) for atom in text.split(".")):
        return "has a character that needs quotes; expected letters, digits and !#$%&'*+/=?^_`{|}~-."
    return ""


def local_part_at_smtp(local_part: str) -> str:
    """Return a local part as qmail-smtpd compares it: without quotes and backslashes, in lower case."""
    quoted = QUOTED_LOCAL_PART.fullmatch(local_part)
    text = re.sub(r"\\(.)", r"\1", quoted.group(1)) if quoted else local_part
    return text.lower()


def written_address(key: str) -> str:
    """Return an address that was read by parse_address() as a line of a file, with quotes if it needs them.

    '@example.com', and a local part alone, stay as they are.
    """
    local_part, at, domain = key.rpartition("@")
    comment = local_part.startswith("#")
    if not local_part or not (comment or _local_part_fault(local_part)):
        return key
    escaped = re.sub(r'(["\\])', r"\\\1", local_part)
    return f'"{escaped}"{at}{domain}'


def address_fault(text: str) -> str:
    """Return why a text is not a complete address, or ''."""
    local_part, at, domain = text.rpartition("@")
    if not at:
        return "has no '@'; expected 'user@domain'"
    if fault := _local_part_fault(local_part):
        return fault
    if not domain:
        return "has an empty domain; expected 'user@domain'"
    known = ascii_domain(domain)
    if fault := domain_fault(known):
        return f"has a domain that {fault}"
    length = len(local_part) + 1 + len(known)
    if length > MAX_ADDRESS_BYTES:
        return f"has {length} bytes; expected at most {MAX_ADDRESS_BYTES}"
    return ""


def parse_address(text: str, where: str) -> tuple[str, str]:
    """Return (local part, domain) as qmail-smtpd compares them; raises BadInput that begins with where."""
    if fault := address_fault(text):
        raise BadInput(f"{where}: {shortened(text)} {fault}")
    local_part, dummy, domain = text.rpartition("@")
    return local_part_at_smtp(local_part), ascii_domain(domain)
