# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All addresses of a directory, proven complete, or an error: the only place that speaks LDAP.

An export is one server's answer to every search base, each paged to the last empty cookie with result 0 on
every page, every reference to another server accounted for. Anything else fails it, and the next server is
asked for all of it again. Connection, TLS and bind are those of ldap3, which is imported only here.
"""

from __future__ import annotations

import gc
import importlib
import re
import socket
import ssl
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from . import ber
from .errors import MailgateError

PORTS = {"ldaps": 636, "starttls": 389, "none-password-is-readable": 389}
PRESETS = {
    # Exchange's own idea of a recipient: the Default Global Address List, with dynamic groups.
    # Nothing is left out for being a disabled account: shared, room and linked mailboxes are.
    "exchange": (
        "(&(mailNickname=*)(proxyAddresses=smtp:*)(|(&(objectCategory=person)(objectClass=user))"
        "(&(objectCategory=person)(objectClass=contact))(objectCategory=group)(objectCategory=publicFolder)"
        "(objectClass=msExchDynamicDistributionList)))"
    ),
    # A directory without Exchange's schema, where a filter naming mailNickname matches nothing.
    "plain": (
        "(&(|(objectClass=user)(objectClass=group)(objectClass=contact)(objectClass=publicFolder))"
        "(!(objectClass=computer))(|(proxyAddresses=smtp:*)(mail=*)))"
    ),
}
PAGE_ENTRIES = 1000
ANSWER_SECONDS = 60
# Parts of every forest that hold no recipient; a search of a domain's root is told of them.
PASSED_OVER = ("dc=forestdnszones", "dc=domaindnszones", "cn=configuration")

_READ_BYTES = 262144
_T = TypeVar("_T")

_SUCCESS, _REFERRAL, _NO_SUCH_OBJECT, _INVALID_CREDENTIALS = 0, 10, 32, 49
_RANGE = re.compile(r"(?i)([^;]+);range=(\d+)-(\d+|\*)")
_BIND_REASONS = {
    "525": "the account does not exist",
    "52e": "the password is wrong",
    "530": "the account may not log on at this time",
    "531": "the account may not log on from here",
    "532": "the password has expired",
    "533": "the account is disabled",
    "701": "the account has expired",
    "773": "the password must be changed first",
    "775": "the account is locked",
}


class DirectoryError(MailgateError):
    """The export is not complete; final when asking another server is useless, or would lock the account."""

    def __init__(self, text: str, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


@dataclass(frozen=True)
class Directory:
    """Where a forest or domain is and how it is asked; servers are (host, port) in the order of asking."""

    name: str
    servers: tuple[tuple[str, int], ...]
    bases: tuple[str, ...]
    user: str
    password_file: str
    encryption: str
    ca_file: str
    filter: str
    with_mail: bool
    page_entries: int = PAGE_ENTRIES
    connect_seconds: int = 10
    answer_seconds: int = ANSWER_SECONDS
    export_seconds: int = 900


@dataclass
class Found:
    """What an export read: the addresses as they stand in the directory, and how it came to be complete."""

    addresses: set[str] = field(default_factory=set)
    entries: int = 0
    other_values: int = 0  # of proxyAddresses: X400, SIP and so on
    references: int = 0
    pages: int = 0
    server: str = ""
    failed_servers: list[str] = field(default_factory=list)


class Link(Protocol):
    """A bound connection to one server."""

    def ask(
        self,
        base: str,
        whole_subtree: bool,
        filter_text: str,
        attributes: Sequence[str],
        page: int,
        cookie: bytes,
    ) -> int:
        """Sends a search, paged unless page is 0; its message's number."""

    def receive(self) -> bytes:
        """The next bytes, b"" at the end; raises OSError."""


def parse_dn(text: str) -> tuple[str, ...]:
    """The parts of a distinguished name, from the most specific one, as they are compared (RFC 4514)."""
    parts: list[str] = []
    part: list[str] = []
    raw = text.encode("utf-8", "surrogateescape")
    position = 0
    out = bytearray()
    while position < len(raw):
        byte = raw[position : position + 1]
        if byte == b"\\" and position + 1 < len(raw):
            pair = raw[position + 1 : position + 3]
            if re.fullmatch(rb"[0-9A-Fa-f]{2}", pair):
                out += b"\\" + pair.lower() if int(pair, 16) in b',+"\\<>;=' else bytes([int(pair, 16)])
                position += 3
            else:
                escaped = raw[position + 1]
                out += b"\\%02x" % escaped if escaped in b',+"\\<>;=' else bytes([escaped])
                position += 2
            continue
        if byte in (b",", b";"):
            part.append(out.decode("utf-8", "backslashreplace"))
            parts.append("".join(part))
            part, out = [], bytearray()
        else:
            out += byte
        position += 1
    part.append(out.decode("utf-8", "backslashreplace"))
    parts.append("".join(part))
    plain = (re.sub(r"\s*=\s*", "=", one.strip(), count=1) for one in parts)
    return tuple(re.sub(r"\s+", " ", one).casefold() for one in plain)


def is_below(name: Sequence[str], base: Sequence[str]) -> bool:
    """Whether a parsed name is the base or lies below it."""
    return len(name) >= len(base) and tuple(name[len(name) - len(base) :]) == tuple(base)


def reference_name(url: str) -> tuple[str, ...]:
    """The parsed name in an LDAP URL such as 'ldap://dc2.example.com/DC=child,DC=example,DC=com??base'."""
    path = urllib.parse.urlsplit(url).path.lstrip("/").partition("?")[0]
    return parse_dn(urllib.parse.unquote(path))


def unaccounted(urls: Sequence[str], bases: Sequence[str]) -> str:
    """The first URL of a reference that neither is passed over nor names a base of its own, or ''."""
    known = {parse_dn(base) for base in bases}
    for url in urls:
        name = reference_name(url)
        if name[0] not in PASSED_OVER and name not in known:
            return url
    return ""


def result_fault(result: int, message: str, urls: Sequence[str] = ()) -> str:
    """What a result other than 0 means, in words for the person who has to mend it."""
    said = f"{message.strip()[:300]!r}"
    integrity = "integrity" in message or "BINDSIMPLE" in message or "Transport encryption" in message
    if result == 8 or (result == 13) or (result == 53 and integrity):
        return f"{said} the server wants an encrypted connection; expected encryption 'ldaps' or 'starttls'"
    if result == _INVALID_CREDENTIALS:
        if "80090346" in message:
            return f"{said} the server wants channel binding; expected a simple bind over TLS to be enough"
        code = re.search(r"data ([0-9a-f]+)", message)
        reason = _BIND_REASONS.get(code.group(1) if code else "", "user or password is wrong")
        return f"{said} {reason}; expected a user and a password that may log on"
    words = {
        1: ("the bind is missing, or it failed", "an account that may read"),
        3: ("the server's time limit cut the search", "every entry"),
        4: ("the server's size limit cut the search", "every entry, page by page"),
        11: ("the server's administrative limit cut the search", "a page size that the server allows"),
        12: ("the server does not page", "a server with the paged results control"),
        _NO_SUCH_OBJECT: ("there is no such base, or the account may not see it", "the name of a base"),
        50: ("the account may not read here", "an account that may read"),
        51: ("the server is busy", "an answer"),
        52: ("the server is not available", "an answer"),
    }
    if result == _REFERRAL:
        where = ", ".join(urls[:3]) or said
        return f"{where!r} the server only refers to another one; expected a server that holds this base"
    what, expected = words.get(result, ("the server refuses", "result 0"))
    return f"{said} {what} (result {result}); expected {expected}"


def _page(link: Link, stream: Iterator[bytes], message_id: int) -> tuple[list[bytes], ber.Done]:
    """The undecoded messages of one page, and its end."""
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
        self, link: Link, stream: Iterator[bytes], directory: Directory, bases: Sequence[str]
    ) -> None:
        self.link = link
        self.stream = stream
        self.directory = directory
        self.bases = bases

    def fault(self, base: str, what: str) -> DirectoryError:
        return DirectoryError(f"base {base!r}: {what}")

    def one(self, base: str, attributes: Sequence[str]) -> ber.Entry:
        """The object of that very name."""
        number = self.link.ask(base, False, "(objectClass=*)", attributes, 0, b"")
        kept, done = _page(self.link, self.stream, number)
        if done.result != _SUCCESS:
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
        """Every entry below the base; it has ended well only when the last one was taken."""
        own = self.one(base, ["1.1"]).dn
        suffix, parsed = f",{own}".lower(), parse_dn(own)
        wanted = ["proxyAddresses", *(["mail"] if self.directory.with_mail else [])]
        page = self.directory.page_entries
        number = self.link.ask(base, True, self.directory.filter, wanted, page, b"")
        while True:
            kept, done = _page(self.link, self.stream, number)
            found.pages += 1
            if done.result != _SUCCESS:
                raise self.fault(base, result_fault(done.result, done.message, done.urls))
            if done.cookie is None:
                raise self.fault(
                    base, "the server did not page its answer; expected the paged results control"
                )
            this = number
            # The server gathers the next page while this one is taken apart.
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
        """The values of a multi-valued attribute that the server gives only in ranges."""
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
        text = value.decode("utf-8", "backslashreplace").lower()
        if not prefixed:
            found.addresses.add(text.strip())
        elif text.startswith("smtp:"):
            found.addresses.add(text[5:].strip())
        else:
            found.other_values += 1


def read_all(link: Link, directory: Directory, bases: Sequence[str] = ()) -> Found:
    """What one server knows, complete; raises DirectoryError, BadAnswer and OSError.

    bases: those of all directories, which a reference to another server may name.
    """
    # A hundred thousand entries make no cycles, and looking for them takes a fifth of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _read_all(link, directory, bases)
    finally:
        if collecting:
            gc.enable()


def _read_all(link: Link, directory: Directory, bases: Sequence[str]) -> Found:
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
    directory: Directory,
    password: str,
    bases: Sequence[str] = (),
    connect: Callable[[Directory, tuple[str, int], str], Any] | None = None,
) -> Found:
    """What the first server that answers completely knows; raises DirectoryError with each one's trouble."""
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
            if isinstance(error, DirectoryError) and error.final:
                break
        finally:
            if link is not None:
                link.close()
    raise DirectoryError("; ".join(troubles))


def redact(text: str, password: str) -> str:
    """The text without the password, which a server that was told it could send back."""
    return text.replace(password, "***") if password else text


def _words(error: BaseException) -> str:
    if isinstance(error, MailgateError):
        return str(error)
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "no answer in time; expected one"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is refused: {error.verify_message}; expected one of the CA for this host name"
        )
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}; expected a TLS server"
    if isinstance(error, socket.gaierror):
        return "the name does not resolve; expected a host name or an address"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{text or type(error).__name__}; expected a connection"


class TlsStream:
    """TLS over a connected socket, in large pieces, with what ldap3 uses of a socket; raises OSError.

    An SSLSocket takes two reads of the kernel for each record, and a server makes a record of each entry.
    """

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._until_done(self._tls.do_handshake)

    def _until_done(self, step: Callable[[], _T]) -> _T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                waiting = self._outgoing.read()
                if waiting:
                    self._raw.sendall(waiting)
            block = self._raw.recv(_READ_BYTES)
            if block:
                self._incoming.write(block)
            else:
                self._incoming.write_eof()

    def recv(self, size: int) -> bytes:
        """At least a byte, unless the other side has ended; more than size, if it is there already."""
        try:
            blocks = [self._until_done(lambda: self._tls.read(size))]
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        # ldap3 wants a message or two; an export all that is there.
        while size == _READ_BYTES and blocks[-1]:
            try:
                blocks.append(self._tls.read(size))
            except ssl.SSLError:
                break  # nothing more is here now, or the end, which the next call finds again
        return b"".join(blocks)

    def sendall(self, data: bytes) -> None:
        self._until_done(lambda: self._tls.write(data))

    def settimeout(self, seconds: float | None) -> None:
        self._raw.settimeout(seconds)

    def shutdown(self, how: int) -> None:
        self._raw.shutdown(how)

    def close(self) -> None:
        self._raw.close()


class Connection:
    """ldap3's connection to one server, encrypted and bound; raises DirectoryError and OSError."""

    def __init__(self, directory: Directory, server: tuple[str, int], password: str) -> None:
        try:
            # By name, as no types of it exist.
            ldap3: Any = importlib.import_module("ldap3")
            search: Any = importlib.import_module("ldap3.operation.search")
            rfc2696: Any = importlib.import_module("ldap3.protocol.rfc2696")
        except ImportError as error:
            raise DirectoryError(
                "module ldap3: not there; expected the package python3-ldap3", final=True
            ) from error
        self._search_operation: Callable[..., Any] = search.search_operation
        self._paged: Callable[..., Any] = rfc2696.paged_search_control
        self._end = time.monotonic() + directory.export_seconds
        self._connection: Any = None
        host, port = server
        trouble: list[BaseException] = []

        class VerifiedTls(ldap3.Tls):  # type: ignore[misc]
            """OpenSSL checks chain and name; ldap3's own check knows neither addresses nor Python 3.12."""

            def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
                try:
                    context = ssl.create_default_context(cafile=directory.ca_file or None)
                    context.minimum_version = ssl.TLSVersion.TLSv1_2
                    # From Python 3.13 on form is judged too, which many an in-house CA does not keep.
                    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
                    connection.socket = TlsStream(connection.socket, context, host)
                except OSError as error:
                    trouble.append(error)
                    raise

        encrypted = directory.encryption != "none-password-is-readable"
        tls = VerifiedTls(validate=ssl.CERT_REQUIRED) if encrypted else None
        try:
            target = ldap3.Server(
                host,
                port,
                use_ssl=directory.encryption == "ldaps",
                get_info=ldap3.NONE,
                tls=tls,
                connect_timeout=directory.connect_seconds,
            )
            connection = self._connection = ldap3.Connection(
                target,
                directory.user,
                password,
                authentication=ldap3.SIMPLE,
                auto_referrals=False,
                auto_range=False,
                check_names=False,
                read_only=True,
                receive_timeout=directory.answer_seconds,
            )
            connection.open(read_server_info=False)
            if directory.encryption == "starttls":
                connection.start_tls(read_server_info=False)
            bound = connection.bind(read_server_info=False)
            result = dict(connection.result or {})
        except Exception as error:
            # Of any kind: ldap3's decoder raises what it stumbles over.
            self.close()
            if trouble:
                raise trouble[0] from None
            # The original is not chained: a bind's request holds the password.
            raise DirectoryError(f"{_first_line(error)}; expected a connection") from None
        if not bound:
            self.close()
            code = int(result.get("result", -1))
            raise DirectoryError(
                f"user {directory.user!r}: {result_fault(code, str(result.get('message') or ''))}",
                final=code == _INVALID_CREDENTIALS,
            )
        self._socket: Any = connection.socket
        self._answer_seconds = directory.answer_seconds

    def ask(
        self,
        base: str,
        whole_subtree: bool,
        filter_text: str,
        attributes: Sequence[str],
        page: int,
        cookie: bytes,
    ) -> int:
        try:
            request = self._search_operation(
                base,
                filter_text,
                "SUBTREE" if whole_subtree else "BASE",
                "NEVER",
                list(attributes),
                0,
                0,
                False,
                True,
                True,
                check_names=False,
            )
            controls = [self._paged(True, page, cookie)] if page else None
            return int(self._connection.strategy.send("searchRequest", request, controls))
        except OSError:
            raise
        except Exception as error:
            raise DirectoryError(f"base {base!r}: {_first_line(error)}; expected to ask for it") from None

    def receive(self) -> bytes:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the export took too long")
        self._socket.settimeout(min(left, self._answer_seconds))
        data: bytes = self._socket.recv(_READ_BYTES)
        return data

    def close(self) -> None:
        """Lets go without a word: what is read is complete already, or worth nothing."""
        raw = getattr(self._connection, "socket", None)
        if raw is not None:
            raw.close()


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0][:300] if lines else type(error).__name__
