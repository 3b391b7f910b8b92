# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One connection to a directory server with python3-ldap3; TLS certificates are verified."""

from __future__ import annotations

import importlib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .ldap_errors import INVALID_CREDENTIALS, LdapError, result_fault
from .ldap_server import LdapDirectory

_READ_BYTES = 262144
_T = TypeVar("_T")


class TlsStream:
    """TLS over a connected socket, with the methods that ldap3 uses of a socket; raises OSError.

    Reads large blocks: an SSLSocket needs two system calls for each record, and a server sends one for each
    entry.
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
        """Return at least one byte, b"" at the end; more than size when more has already arrived."""
        try:
            blocks = [self._until_done(lambda: self._tls.read(size))]
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        # ldap3 wants one message or two; an export wants everything that has arrived.
        while size == _READ_BYTES and blocks[-1]:
            try:
                blocks.append(self._tls.read(size))
            except ssl.SSLError:
                break  # nothing more has arrived, or the end, which the next call finds again
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
    """ldap3's connection to one server, encrypted and bound; raises LdapError and OSError."""

    def __init__(self, directory: LdapDirectory, server: tuple[str, int], password: str) -> None:
        try:
            # Imported by name, because ldap3 has no type stubs.
            ldap3: Any = importlib.import_module("ldap3")
            search: Any = importlib.import_module("ldap3.operation.search")
            rfc2696: Any = importlib.import_module("ldap3.protocol.rfc2696")
        except ImportError as error:
            raise LdapError(
                "module ldap3: not there; expected the package python3-ldap3", final=True
            ) from error
        self._search_operation: Callable[..., Any] = search.search_operation
        self._paged: Callable[..., Any] = rfc2696.paged_search_control
        self._end = time.monotonic() + directory.export_seconds
        self._connection: Any = None
        host, port = server
        trouble: list[BaseException] = []

        class VerifiedTls(ldap3.Tls):  # type: ignore[misc]
            """TLS verified by OpenSSL; ldap3's own check supports neither IP addresses nor Python 3.12."""

            def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
                try:
                    context = ssl.create_default_context(cafile=directory.ca_file or None)
                    context.minimum_version = ssl.TLSVersion.TLSv1_2
                    # Python 3.13 and later also check X.509 rules that many in-house CAs do not follow.
                    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
                    connection.socket = TlsStream(connection.socket, context, host)
                except OSError as error:
                    trouble.append(error)
                    raise

        # ldap3's own error for a name that does not resolve is "invalid server address".
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
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
            # Any exception: ldap3's decoder raises many kinds.
            self.close()
            if trouble:
                raise trouble[0] from None
            # The original is not chained: a bind's request holds the password.
            raise LdapError(f"{_first_line(error)}; expected a connection") from None
        if not bound:
            self.close()
            code = int(result.get("result", -1))
            raise LdapError(
                f"user {directory.user!r}: {result_fault(code, str(result.get('message') or ''))}",
                final=code == INVALID_CREDENTIALS,
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
            raise LdapError(f"base {base!r}: {_first_line(error)}; expected to ask for it") from None

    def receive(self) -> bytes:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the export took too long")
        self._socket.settimeout(min(left, self._answer_seconds))
        data: bytes = self._socket.recv(_READ_BYTES)
        return data

    def close(self) -> None:
        """Close the connection without unbinding; what was read is complete already, or not used."""
        raw = getattr(self._connection, "socket", None)
        if raw is not None:
            raw.close()


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0][:300] if lines else type(error).__name__
