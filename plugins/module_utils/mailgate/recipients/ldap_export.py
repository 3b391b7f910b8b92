# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Export all addresses of a directory, complete or not at all.

An export is one server's answer to every search base: each paged until the empty cookie, with result 0 on
every page, and with every reference to another server accounted for. Otherwise the export fails and starts
again with the next server. Connection, TLS and bind are in ldap_connection.
"""

from __future__ import annotations

import gc
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import MailgateError
from ..core.network_errors import cause
from ..formats import ldap_message as ber
from .ldap_connection import Connection
from .ldap_errors import SUCCESS, LdapError, result_fault
from .ldap_names import is_below, parse_dn, unaccounted
from .ldap_server import LdapDirectory, Link

_RANGE = re.compile(r"(?i)([^;]+);range=(\d+)-(\d+|\*)")


@dataclass
class Found:
    """The result of an export: the addresses as in the directory, and how it was read."""

    addresses: set[str] = field(default_factory=set)
    entries: int = 0
    other_values: int = 0  # of proxyAddresses: X400, SIP and so on
    references: int = 0
    pages: int = 0
    server: str = ""
    failed_servers: list[str] = field(default_factory=list)


def _page(link: Link, stream: Iterator[bytes], message_id: int) -> tuple[list[bytes], ber.Done]:
    """Return the undecoded messages of one page, and its end."""
    kept: list[bytes] = []
    for message in stream:
        if ber.is_done(message):
            done = ber.decode(message, message_id)
            if isinstance(done, ber.Done):
                return kept, done
        kept.append(message)
    raise ber.BadAnswer("answer: it ends in the middle; expected the end of the page")


class _Search:
    """One search of one base on one connection."""

    def __init__(
        self, link: Link, stream: Iterator[bytes], directory: LdapDirectory, bases: Sequence[str]
    ) -> None:
        self.link = link
        self.stream = stream
        self.directory = directory
        self.bases = bases

    def fault(self, base: str, what: str) -> LdapError:
        return LdapError(f"base {base!r}: {what}")

    def one(self, base: str, attributes: Sequence[str]) -> ber.Entry:
        """Return the object with exactly this name."""
        number = self.link.ask(base, False, "(objectClass=*)", attributes, 0, b"")
        kept, done = _page(self.link, self.stream, number)
        if done.result != SUCCESS:
            raise self.fault(base, result_fault(done.result, done.message, done.urls))
        answers = [ber.decode(message, number) for message in kept]
        entries = [answer for answer in answers if isinstance(answer, ber.Entry)]
        if len(entries) != 1:
            raise self.fault(
                base, f"{len(entries)} objects of that name; expected one that the account may see"
            )
        if parse_dn(entries[0].dn) != parse_dn(base):
            raise self.fault(base, f"{entries[0].dn[:200]!r} was answered; expected the base itself")
        return entries[0]

    def all(self, base: str, found: Found) -> Iterator[ber.Entry]:
        """Yield every entry below the base; the search is complete only when the last one was returned."""
        own = self.one(base, ["1.1"]).dn
        suffix, parsed = f",{own}".lower(), parse_dn(own)
        wanted = ["proxyAddresses", *(["mail"] if self.directory.with_mail else [])]
        page = self.directory.page_entries
        number = self.link.ask(base, True, self.directory.filter, wanted, page, b"")
        while True:
            kept, done = _page(self.link, self.stream, number)
            found.pages += 1
            if done.result != SUCCESS:
                raise self.fault(base, result_fault(done.result, done.message, done.urls))
            if done.cookie is None:
                raise self.fault(
                    base, "the server did not page its answer; expected the paged results control"
                )
            this = number
            # The server prepares the next page while this one is decoded.
            if done.cookie:
                number = self.link.ask(base, True, self.directory.filter, wanted, page, done.cookie)
            for message in kept:
                answer = ber.decode(message, this)
                if isinstance(answer, ber.Entry):
                    if not answer.dn.lower().endswith(suffix) and not is_below(parse_dn(answer.dn), parsed):
                        raise self.fault(base, f"{answer.dn[:200]!r} lies outside; expected entries below it")
                    yield answer
                elif isinstance(answer, ber.Reference):
                    found.references += 1
                    url = unaccounted(answer.urls, self.bases)
                    if url:
                        raise self.fault(
                            base,
                            f"{url[:200]!r} is said to hold a part of it; expected its name among the bases "
                            "of a directory, or bases that leave it out",
                        )
            if not done.cookie:
                return

    def rest(self, entry: ber.Entry, name: str, start: int) -> Iterator[bytes]:
        """Yield the values of a multi-valued attribute that the server returns only in ranges."""
        while True:
            again = self.one(entry.dn, [f"{name};range={start}-*"])
            for key, values in again.attributes:
                match = _RANGE.fullmatch(key)
                if match and match.group(1).lower() == name.lower() and int(match.group(2)) == start:
                    yield from values
                    break
            else:
                raise self.fault(
                    entry.dn, f"no values of {name} from number {start}; expected the rest of them"
                )
            if match.group(3) == "*":
                return
            start = int(match.group(3)) + 1


def _take(values: Sequence[bytes], found: Found, prefixed: bool) -> None:
    for value in values:
        text = value.decode("utf-8", "backslashreplace")
        # As ascii_domain() does it: a capital sigma at the end of a word is no final one.
        text = text.lower() if text.isascii() else "".join(map(str.lower, text))
        if not prefixed:
            found.addresses.add(text.strip())
        elif text.startswith("smtp:"):
            found.addresses.add(text[5:].strip())
        else:
            found.other_values += 1


def read_all(link: Link, directory: LdapDirectory, bases: Sequence[str] = ()) -> Found:
    """Read all addresses from one server; raises LdapError, BadAnswer and OSError unless it is complete.

    bases: the search bases of all directories, which a reference to another server may name.
    """
    # The entries contain no reference cycles, and looking for cycles takes a fifth of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _read_all(link, directory, bases)
    finally:
        if collecting:
            gc.enable()


def _read_all(link: Link, directory: LdapDirectory, bases: Sequence[str]) -> Found:
    found = Found()
    search = _Search(link, ber.messages(link.receive), directory, [*directory.bases, *bases])
    for base in directory.bases:
        partial: list[tuple[ber.Entry, str, int]] = []
        for entry in search.all(base, found):
            found.entries += 1
            for name, values in entry.attributes:
                plain = name.lower()
                match = None if ";" not in plain else _RANGE.fullmatch(plain)
                if match and match.group(1) == "proxyaddresses":
                    if match.group(3) != "*":
                        partial.append((entry, "proxyAddresses", int(match.group(3)) + 1))
                    plain = "proxyaddresses"
                if plain == "proxyaddresses":
                    _take(values, found, True)
                elif plain == "mail" and directory.with_mail:
                    _take(values, found, False)
        for entry, name, start in partial:
            _take(list(search.rest(entry, name, start)), found, True)
    return found


def export(
    directory: LdapDirectory,
    password: str,
    bases: Sequence[str] = (),
    connect: Callable[[LdapDirectory, tuple[str, int], str], Any] | None = None,
) -> Found:
    """Return what the first server with a complete answer has; raises LdapError with the error of each."""
    troubles: list[str] = []
    opened = connect or Connection
    for host, port in directory.servers:
        where = f"directory {directory.name} server {host}:{port}"
        link = None
        try:
            link = opened(directory, (host, port), password)
            found = read_all(link, directory, bases)
            found.server = f"{host}:{port}"
            found.failed_servers = troubles
            return found
        except (MailgateError, OSError) as error:
            troubles.append(f"{where}: {redact(_words(error), password)}")
            if isinstance(error, LdapError) and error.final:
                break
        finally:
            if link is not None:
                link.close()
    raise LdapError("; ".join(troubles))


def redact(text: str, password: str) -> str:
    """Return the text without the password, which a server could include in its error."""
    return text.replace(password, "***") if password else text


_EXPECTED: tuple[tuple[type[BaseException], str], ...] = (
    (socket.timeout, "one"),
    (TimeoutError, "one"),
    (ssl.SSLCertVerificationError, "one of the CA for this host name"),
    (ssl.SSLError, "a TLS server"),
    (socket.gaierror, "a host name or an address"),
)


def _words(error: BaseException) -> str:
    if isinstance(error, MailgateError):
        return str(error)
    expected = next((text for kind, text in _EXPECTED if isinstance(error, kind)), "a connection")
    return f"{cause(error)}; expected {expected}"
