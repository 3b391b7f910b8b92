# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run needs of other machines, tried all at once: archives, wheels, signatures, back ends.

Each try is a function that returns "" or why it failed. All of them run beside each other and have the same
few seconds, so a network without a way out costs that time once.
"""

from __future__ import annotations

import configparser
import contextlib
import functools
import http.client
import queue
import socket
import ssl
import threading
import time
import urllib.error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.network_errors import cause
from ..host.preflight import Finding
from ..recipients.ldap_server import LdapDirectory

SECONDS = 10.0
AT_ONCE = 32
Try = Callable[[], str]
Opener = Callable[[str], Any]


def tried(tries: Mapping[str, Try], seconds: float | None = None) -> dict[str, str]:
    """Return what each try returned, by its name; one that is not ready in time is "no answer in N s"."""
    seconds = SECONDS if seconds is None else seconds
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    results: dict[str, str] = {}
    for name in tries:
        waiting.put(name)

    def work() -> None:
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                results[name] = tries[name]()
            except Exception as error:  # a try may raise anything, and is one of many
                results[name] = cause(error)

    end = time.monotonic() + seconds
    threads = [threading.Thread(target=work, daemon=True) for _number in range(min(len(tries), AT_ONCE))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = f"no answer in {seconds:g} s"
    return {name: results.get(name, late) for name in tries}


def fetchable(opener: Opener, url: str) -> str:
    """Return "" when the URL can be read, else why not; opener returns a readable response."""
    try:
        with contextlib.closing(opener(url)) as response:
            return "" if response.read(1) else "it is empty"
    except urllib.error.HTTPError as error:
        return f"HTTP status {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return cause(error)


def answers(opener: Opener, url: str) -> str:
    """Return "" when a server answers for the URL, with whatever status, else why not."""
    found = fetchable(opener, url)
    return "" if found.startswith("HTTP status ") or found == "it is empty" else found


def connects(host: str, port: int, seconds: float = SECONDS / 2) -> str:
    """Return "" when something listens there, else why not: the name, or the connection."""
    try:
        socket.create_connection((host, port), seconds).close()
    except OSError as error:
        return cause(error)
    return ""


def tls(host: str, port: int, authority: str = "", seconds: float = SECONDS / 2) -> str:
    """Return "" when a TLS server with a valid certificate of that name is there; authority: PEM text."""
    context = ssl.create_default_context(cadata=authority or None)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as for the export: many in-house CAs do not follow it
    try:
        with socket.create_connection((host, port), seconds) as raw:
            context.wrap_socket(raw, server_hostname=host).close()
    except (OSError, ValueError) as error:
        return cause(error)
    return ""


# -- what a run fetches ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Needed:
    """Something to fetch: its name, its places (any of them is enough), and what to do without it.

    causes: why each place failed elsewhere before. optional: it is there already, in an earlier version.
    """

    name: str
    places: Sequence[str]
    instead: Sequence[str]
    causes: Sequence[str] = ()
    optional: bool = False


def judge(needed: Sequence[Needed], found: Mapping[str, str]) -> list[Finding]:
    """Return a finding for each thing; found: what trying each place returned, by the place."""
    findings = []
    for one in needed:
        reached = [place for place in one.places if found.get(place) == ""]
        if not one.places and not one.causes:
            continue  # nothing is known about where it would come from
        if reached:
            findings.append(Finding("fetch", "ok", f"{one.name}: {reached[0]}"))
            continue
        causes = [*one.causes, *(f"{place} from the host: {found.get(place)}" for place in one.places)]
        lines = [f"{one.name}: cannot be fetched; expected one of these places", *(f"  {c}" for c in causes)]
        lines += [f"  or {what}" for what in one.instead]
        level = "warning" if one.optional else "error"
        findings.append(Finding("fetch", level, "\n".join(lines)))
    return findings


def pip_indexes(configuration: str, environment: Mapping[str, str]) -> list[str]:
    """Return the URLs of the package indexes that pip's configuration names, from its files' text."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    with contextlib.suppress(configparser.Error):
        parser.read_string(configuration)
    found: list[str] = []
    for key, variable in (("index-url", "PIP_INDEX_URL"), ("extra-index-url", "PIP_EXTRA_INDEX_URL")):
        given = environment.get(variable) or next(
            (parser[name][key] for name in ("install", "global") if parser.has_option(name, key)), ""
        )
        found += given.split()
    return [one.rstrip("/") for one in found]


# -- whom the gateway talks to --------------------------------------------------------------------


def partners(
    backends: Mapping[tuple[str, int], str],
    directories: Sequence[LdapDirectory],
    bind: Callable[[LdapDirectory, tuple[str, int]], str] | None,
    authority: Callable[[str], str | None],
) -> dict[str, Try]:
    """Return a try for each back end, by address with its domain, and for each server of a directory.

    bind: binds to a server, when that is possible here. authority: the text of a file with certificates, None
    when it is not there yet; then the certificate is not looked at.
    """
    found: dict[str, Try] = {}
    for (host, port), domain in backends.items():
        found[f"back end {host}:{port} of {domain}"] = functools.partial(connects, host, port)
    for directory in directories:
        text = authority(directory.ca_file) if directory.ca_file else ""
        for server in directory.servers:
            name = f"directory {directory.name} server {server[0]}:{server[1]}"
            if bind is not None:
                found[name] = functools.partial(bind, directory, server)
            elif directory.encryption == "ldaps" and text is not None:
                found[name] = functools.partial(tls, *server, text)
            else:
                found[name] = functools.partial(connects, *server)
    return found


def partner_findings(found: Mapping[str, str]) -> list[Finding]:
    """Return a warning for each that did not answer: mail or an export would wait for it."""
    expected = {
        "back end": "expected its SMTP server to answer; until then its mail waits in the queue",
        "directory": "expected it to answer the gateway; until then its recipients stay as they are",
        "proxy": "expected it to accept connections",
    }
    return [
        Finding("reach", "warning", f"{name}: {why}; {words}")
        if why
        else Finding("reach", "ok", f"{name}: it answers")
        for name, why in found.items()
        for begin, words in expected.items()
        if name.startswith(begin)
    ]
