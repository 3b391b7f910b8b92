# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One place that facts are published to or read from: a Valkey or Redis server, over TLS or a unix socket.

The library is the distribution's python3-redis (4.3 of Debian 12, 6.1 of Debian 13). A peer's engine may
send anything: each answer has a limit in bytes and in time, counted at the socket below the library, and
whatever the library makes of garbage is EngineFault.
"""

from __future__ import annotations

import importlib
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ..core.errors import TryAgain
from .stream import Entry

ANSWER_BYTES_MAX = 8 << 20  # more than READ_BATCHES of the largest size
READ_BATCHES = 100
CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
_Result = TypeVar("_Result")


class EngineFault(TryAgain):
    """An engine does not answer, refuses, or sends what it must not."""


@dataclass(frozen=True)
class Address:
    """An engine: a path of a unix socket, or a host and a port, with the user and what TLS needs."""

    path: str = ""
    host: str = ""
    port: int = 6380
    user: str = ""
    password: str = ""
    ca_file: str = ""
    certificate: str = ""
    key: str = ""

    def __str__(self) -> str:
        return self.path or f"{self.host} port {self.port}"


class Engine(Protocol):
    """What the fleet asks of an engine; every method raises EngineFault and is bounded in time."""

    def now(self) -> float:
        """Return the time of the engine's host, in unix seconds."""

    def get(self, key: str) -> bytes | None:
        """Return a value, None when there is none."""

    def read(self, key: str, after: str, wait_seconds: float) -> Sequence[Entry]:
        """Return up to READ_BATCHES entries of a stream behind an id, waiting for the first one."""

    def last(self, key: str) -> Entry | None:
        """Return the last entry of a stream."""

    def append(self, key: str, fields: Mapping[bytes, bytes], most: int) -> None:
        """Append an entry to a stream that keeps about the last `most`; 0 keeps all."""

    def put(self, key: str, value: bytes) -> None:
        """Set a value."""

    def drop(self, key: str, after_seconds: int) -> None:
        """Remove a key some time from now, or at once for 0."""

    def close(self) -> None:
        """End the connection; the next request connects again."""


class _Bounded:
    """A connected socket whose reads end at the limits of one request."""

    def __init__(self, raw: Any, limits: _Limits) -> None:
        self._raw, self._limits = raw, limits

    def recv(self, size: int, *flags: int) -> bytes:
        data: bytes = self._limits.within(self._raw, lambda: self._raw.recv(size, *flags))
        self._limits.count(len(data))
        return data

    def recv_into(self, buffer: Any, *more: int) -> int:
        size: int = self._limits.within(self._raw, lambda: self._raw.recv_into(buffer, *more))
        self._limits.count(size)
        return size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class _Limits:
    """What one request may still cost."""

    def __init__(self) -> None:
        self._end, self._bytes = 0.0, 0

    def renew(self, seconds: float) -> None:
        self._end, self._bytes = time.monotonic() + seconds, ANSWER_BYTES_MAX

    def within(self, raw: Any, read: Callable[[], _Result]) -> _Result:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer does not end in time")
        given = raw.gettimeout()
        if given is None or given > left:
            raw.settimeout(left)
        return read()

    def count(self, size: int) -> None:
        self._bytes -= size
        if self._bytes < 0:
            raise OSError(f"the answer has more than {ANSWER_BYTES_MAX} bytes")


class RedisEngine:
    """An engine behind python3-redis; one connection, used by one thread."""

    def __init__(self, address: Address) -> None:
        """Prepare the connection, which the first request makes; raises EngineFault without the library."""
        self.address = address
        self._limits = _Limits()
        try:
            self._redis: Any = importlib.import_module("redis")
        except ImportError as error:
            raise EngineFault("module redis: not there; expected the package python3-redis") from error
        self._pool = self._redis.ConnectionPool(
            connection_class=self._connection_class(), max_connections=1, **self._options()
        )
        self._client = self._redis.Redis(connection_pool=self._pool)

    def _connection_class(self) -> type:
        limits = self._limits
        base = self._redis.UnixDomainSocketConnection if self.address.path else self._redis.SSLConnection

        class Connection(base):  # type: ignore[misc, valid-type]
            def _connect(self) -> Any:
                return _Bounded(super()._connect(), limits)

        return Connection

    def _options(self) -> dict[str, Any]:
        one = self.address
        options: dict[str, Any] = {
            "socket_timeout": ANSWER_SECONDS,
            "username": one.user or None,
            "password": one.password or None,
        }
        if one.path:
            return {**options, "path": one.path}
        return {
            **options,
            "host": one.host,
            "port": one.port,
            "socket_connect_timeout": CONNECT_SECONDS,
            "ssl_ca_certs": one.ca_file,
            "ssl_certfile": one.certificate,
            "ssl_keyfile": one.key,
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
        }

    def _ask(self, request: Callable[[Any], _Result], seconds: float = 0.0) -> _Result:
        """Return what the request does with the client, within the limits; raises EngineFault."""
        self._limits.renew(CONNECT_SECONDS + ANSWER_SECONDS + seconds)
        try:
            return request(self._client)
        except (
            self._redis.RedisError,
            OSError,
            ValueError,
            TypeError,
            LookupError,
            ArithmeticError,
            AttributeError,
            RecursionError,
        ) as error:
            self.close()
            raise EngineFault(f"engine {self.address}: {_words(error)}") from error

    def now(self) -> float:
        def request(client: Any) -> float:
            seconds, microseconds = client.time()
            return float(seconds) + float(microseconds) / 1e6

        return self._ask(request)

    def get(self, key: str) -> bytes | None:
        return self._ask(lambda client: _bytes_or_none(client.get(key)))

    def read(self, key: str, after: str, wait_seconds: float) -> Sequence[Entry]:
        block = None if wait_seconds <= 0 else max(1, int(wait_seconds * 1000))

        def request(client: Any) -> list[Entry]:
            found = client.xread({key: after}, count=READ_BATCHES, block=block)
            return [_entry(one) for _name, entries in found or [] for one in entries]

        return self._ask(request, max(0.0, wait_seconds))

    def last(self, key: str) -> Entry | None:
        found = self._ask(lambda client: [_entry(one) for one in client.xrevrange(key, count=1)])
        return found[0] if found else None

    def append(self, key: str, fields: Mapping[bytes, bytes], most: int) -> None:
        self._ask(lambda client: client.xadd(key, dict(fields), maxlen=most or None, approximate=True))

    def put(self, key: str, value: bytes) -> None:
        self._ask(lambda client: client.set(key, value))

    def drop(self, key: str, after_seconds: int) -> None:
        if after_seconds:
            self._ask(lambda client: client.expire(key, after_seconds))
        else:
            self._ask(lambda client: client.delete(key))

    def close(self) -> None:
        self._pool.disconnect()


def _bytes_or_none(value: object) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    raise TypeError(f"the answer is {type(value).__name__}; expected a value")


def _entry(value: Any) -> Entry:
    entry_id, fields = value
    if not isinstance(entry_id, bytes) or not isinstance(fields, dict):
        raise TypeError("the answer is not an entry of a stream; expected an id and fields")
    for one in (*fields, *fields.values()):
        if not isinstance(one, bytes):
            raise TypeError("the answer is not an entry of a stream; expected fields of bytes")
    return entry_id.decode("ascii"), fields


def _words(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "the answer is nested too deeply"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    text = str(error) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."
