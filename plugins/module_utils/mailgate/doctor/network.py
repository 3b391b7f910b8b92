# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Health of the network: DNS, reverse names, back ends, directories, and open ports."""

from __future__ import annotations

import importlib
import ipaddress
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import BadInput
from ..core.paths import RECIPIENTS_SETTINGS, ROUTES
from ..core.threads import run_parallel
from ..formats import smtproutes
from ..formats.logged_address import canonical, in_field
from ..recipients.process import read_settings
from ..rules.files import read_text
from .context import Context
from .findings import CRITICAL, OK, WARNING, Finding, Limit, graded, several

# The network


@dataclass(frozen=True)
class Answer:
    """A name server's answer to a question."""

    name: str
    answers: tuple[str, ...] = ()
    error: str = ""
    milliseconds: float = 0.0


def judge_dns(server: str, asked: Sequence[Answer], limits: Mapping[str, Limit]) -> list[Finding]:
    """Judge the cache and the names asked for; the first question needs no other name server."""
    check, found = "dns", []
    for number, one in enumerate(asked):
        if one.error or not one.answers:
            why = one.error or "no such name"
            if number == 0:
                text = f"dnscache on {server} does not answer: {why}"
                advice = "svstat /service/dnscache, and see the end of /var/log/dnscache/current"
            else:
                text = f"{one.name} does not resolve: {why}"
                advice = "look whether UDP and TCP 53 are open to the world's name servers, or the forwarders"
            found.append(Finding(check, CRITICAL, text, advice))
            continue
        level = graded("dns_milliseconds", one.milliseconds, limits)
        if level != OK:
            text = f"{one.name} took {one.milliseconds:.0f} ms to resolve"
            advice = "every scan waits for names: look at the way to the world's name servers"
            found.append(Finding(check, level, text, advice))
    said = ", ".join(f"{one.name} in {one.milliseconds:.0f} ms" for one in asked)
    return several(found, check, f"dnscache on {server} answers: {said}")


def judge_reverse(hostname: str, forward: Answer, back: Mapping[str, Answer]) -> list[Finding]:
    """Judge whether each public address has the gateway's name, and the name has the address."""
    check, found = "reverse", []
    advice = f"have whoever runs the reverse zone set PTR to {hostname}; other servers refuse mail otherwise"
    if not back:
        why = forward.error or "no such name"
        text = f"{hostname} does not resolve: {why}"
        return [
            Finding(
                check, WARNING, text, f"set an A or AAAA record for {hostname}, or gateway_public_addresses"
            )
        ]
    for address, got in back.items():
        if hostname.lower() not in (name.lower().rstrip(".") for name in got.answers):
            shown = f"the name {', '.join(got.answers)}" if got.answers else "no name"
            why = f" ({got.error})" if got.error else ""
            text = f"{address} has {shown} in DNS{why}; expected {hostname}"
            found.append(Finding(check, WARNING, text, advice))
        elif address not in map(canonical, forward.answers):
            shown = ", ".join(forward.answers) or "no address"
            why = f" ({forward.error})" if forward.error else ""
            text = f"{hostname} has {shown} in DNS{why}; expected {address}, whose name it is"
            kind = "AAAA" if ":" in address else "A"
            found.append(Finding(check, WARNING, text, f"set the {kind} record of {hostname} to {address}"))
    return several(found, check, f"{', '.join(back)}: {hostname}, both ways")


@dataclass(frozen=True)
class Reached:
    """An attempt to reach a port; trouble is '' when it answered (and greeted, where it should)."""

    host: str
    port: int
    trouble: str = ""

    @property
    def place(self) -> str:
        return f"{in_field(self.host)}:{self.port}"


_PORTS = {
    "backends": (
        CRITICAL,
        "mail for it waits in the queue: look whether the server runs, and whether the firewall lets "
        "the gateway in",
    ),
    "directories": (
        WARNING,
        "the last list goes on serving: look whether the server runs, and whether the firewall lets the "
        "gateway in",
    ),
    "ports": (WARNING, "open it in the firewall, or take it out of doctor_ports"),
}


def judge_ports(check: str, tried: Sequence[Reached]) -> list[Finding]:
    """Judge whether the ports could be reached; check is backends, directories or ports."""
    level, advice = _PORTS[check]
    found = [
        Finding(check, level, f"{one.place} cannot be reached: {one.trouble}", advice)
        for one in tried
        if one.trouble
    ]
    places = ", ".join(one.place for one in tried)
    return several(found, check, f"{places} answer" if tried else "none is configured")


# Queries to one name server, not to the system's resolver: /etc/resolv.conf may name another one.

_TRIES = 3
_CODES = {
    "FORMERR": "it finds the question malformed",
    "SERVFAIL": "server failure",
    "NOTIMP": "not implemented",
    "REFUSED": "refused",
}


def _dnspython() -> Any:
    """Return python3-dnspython's package, imported only when it is used; raise BadInput without it."""
    try:
        # Imported by name, because the type checks on the controller have no dnspython.
        for part in ("exception", "message", "query", "rcode", "rdataclass", "rdatatype"):
            importlib.import_module(f"dns.{part}")
        return importlib.import_module("dns")
    except ImportError as error:
        raise BadInput("module dns: not there; expected the package python3-dnspython") from error


def resolve(server: str, name: str, kind: str, within_seconds: float, port: int = 53) -> Answer:
    """Return a name server's answer to one question, or its error; kind is 'A', 'AAAA' or 'PTR'.

    It is asked three times, and over TCP when the answer is truncated; raises BadInput without dnspython.
    """
    dns = _dnspython()
    began = time.monotonic()
    try:
        question = dns.message.make_query(name, kind)
        reply = _exchange(dns, question, server, port, began + within_seconds, within_seconds / _TRIES)
    except dns.exception.Timeout:
        return Answer(name, (), f"no answer within {within_seconds:g} s")
    except OSError as error:
        return Answer(name, (), error.strerror or str(error))
    except EOFError:
        return Answer(name, (), "the connection was closed")
    except dns.exception.DNSException as error:
        # Some exceptions have no text, so their class is named.
        return Answer(name, (), f"malformed question or answer: {error or type(error).__name__}")
    milliseconds = (time.monotonic() - began) * 1000
    code = dns.rcode.to_text(reply.rcode())
    if code not in ("NOERROR", "NXDOMAIN"):
        return Answer(name, (), _CODES.get(code, f"code {code}"), milliseconds)
    wanted = (dns.rdataclass.IN, dns.rdatatype.from_text(kind))
    records = [one for found in reply.answer if (found.rdclass, found.rdtype) == wanted for one in found]
    return Answer(name, tuple(one.to_text().rstrip(".") for one in records), "", milliseconds)


def _exchange(dns: Any, question: Any, server: str, port: int, end: float, try_seconds: float) -> Any:
    """Return the reply to a question; raises DNSException, OSError and EOFError."""
    trouble: Exception = dns.exception.Timeout()
    # One socket for all attempts: a late answer to the first one counts, and a closed port is reported at
    # once.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect((server, port))
        udp.setblocking(False)
        address = udp.getpeername()[0]
        for left in range(_TRIES - 1, -1, -1):
            seconds = max(0.0, end - left * try_seconds - time.monotonic())
            try:
                return dns.query.udp(question, address, seconds, port, sock=udp, raise_on_truncation=True)
            except dns.message.Truncated:
                return dns.query.tcp(question, address, max(0.0, end - time.monotonic()), port)
            except dns.exception.DNSException as error:
                trouble = error
    raise trouble


def dns(context: Context) -> list[Finding]:
    """Check dnscache with its own 'localhost', and with one public name."""
    settings = context.settings
    names = ["localhost"]
    if settings.dns_name and not context.quick:
        names.append(settings.dns_name)
    seconds = 3.0 if context.quick else 9.0
    asked = [resolve(settings.dns_server, name, "A", seconds) for name in names]
    return judge_dns(settings.dns_server, asked, settings.limits)


def reverse(context: Context) -> list[Finding]:
    """Check the names of the public addresses, and the address of the gateway's name."""
    settings = context.settings
    kinds = (
        ["A", "AAAA"] if any(":" in one for one in (*settings.listen, *settings.public_addresses)) else ["A"]
    )
    asked = [resolve(settings.dns_server, settings.hostname, kind, 6) for kind in kinds]
    forward = Answer(
        settings.hostname,
        tuple(one for answer in asked for one in answer.answers),
        next((answer.error for answer in asked if answer.error), ""),
    )
    addresses = [canonical(one) for one in settings.public_addresses or forward.answers]
    back = {
        address: resolve(settings.dns_server, ipaddress.ip_address(address).reverse_pointer, "PTR", 6)
        for address in addresses[:8]
    }
    return judge_reverse(settings.hostname, forward, back)


def reach(host: str, port: int, greets: bool, within_seconds: float) -> Reached:
    """Connect to a port and read its greeting, if it should greet as mail servers do; return the result."""
    try:
        with socket.create_connection((host, port), within_seconds) as connection:
            if greets:
                connection.settimeout(within_seconds)
                said = connection.recv(512).decode("ascii", "replace").strip()
                if not said.startswith("220"):
                    return Reached(
                        host, port, f"it says {said[:60]!r}" if said else "the connection was closed"
                    )
                connection.sendall(b"QUIT\r\n")
    except socket.timeout:
        return Reached(host, port, f"no answer within {within_seconds:g} s")
    except OSError as error:
        return Reached(host, port, str(error.strerror or error).lower())
    return Reached(host, port)


def _reach_all(places: Sequence[tuple[str, int]], greets: bool) -> list[Reached]:
    seconds = 8.0
    tries = [
        (lambda host=host, port=port: reach(host, port, greets, seconds), seconds + 2)
        for host, port in dict.fromkeys(places)
    ]
    done = run_parallel(tries)
    return [
        one.value
        if one.value is not None
        else Reached(host, port, "no answer, also not from its name server")
        for (host, port), one in zip(dict.fromkeys(places), done)
    ]


def backends(context: Context) -> list[Finding]:
    """Check the mail servers in control/smtproutes, each of which should greet."""
    text = read_text(context.path(ROUTES)) or ""
    routes = smtproutes.parse(text).routes
    places = [(route.host, route.effective_port) for route in routes if route.relay]
    return judge_ports("backends", _reach_all(places, True))


def directories(context: Context) -> list[Finding]:
    """Check the servers of the recipients' directories."""
    settings = read_settings(context.path(RECIPIENTS_SETTINGS))
    places = [server for one in settings.directories for server in one.servers]
    return judge_ports("directories", _reach_all(places, False))


def ports(context: Context) -> list[Finding]:
    """Check the other ports that the site lists."""
    return judge_ports("ports", _reach_all(context.settings.ports, False))
