# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""control/smtproutes: the relay that qmail-remote uses for a recipient's domain.

The rules are those of netqmail 1.06: qmail-remote.c (main), control.c (control_readfile), constmap.c and
dns.c, each verified with the running program. A line is `domain:relay[:port]`; trailing blanks and tabs are
ignored, a line that begins with '#' is a comment, and a line without ':' is ignored without a message.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput
from .addresses import ascii_domain

SMTP_PORT = 25

_SYNTAX = "expected 'domain:relay[:port]'"
_RELAY = "expected an IPv4 address, a host name with its domain, or nothing for the domain's MX"
_PORT = "expected a port from 1 to 65535 after the ':', or no ':'"
_DOMAIN = "expected a domain, '.domain' for all below it, '[IPv4 address]', or nothing for all the rest"

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^@/]*@)?(\[[0-9.]+\]|[^:/?#\[\]]+)(:[0-9]+)?(?:[/?#].*)?")

# As Postfix and sendmail write a route, 'smtp:[10.0.0.5]:2525'.
_TRANSPORT = re.compile(r"(?:e?smtps?|lmtp|relay):(?!//)(?=\[|.*\.)", re.IGNORECASE)

# Mail domains and relays with '_' exist, and qmail-remote takes them.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


@dataclass(frozen=True)
class Route:
    """One route, in lower case: domain '' is the default route, relay '' means the MX, port None means 25."""

    domain: str
    relay: str = ""
    port: int | None = None

    @property
    def text(self) -> str:
        """`relay[:port]` as in a site file."""
        return self.relay if self.port is None else f"{self.relay}:{self.port}"

    @property
    def line(self) -> str:
        return f"{self.domain}:{self.text}"

    @property
    def host(self) -> str:
        """The relay without the brackets that an address may have."""
        return self.relay.strip("[]")

    @property
    def effective_port(self) -> int:
        return SMTP_PORT if self.port is None else self.port


@dataclass(frozen=True)
class Line:
    """One line of the file, unchanged; without a route it is blank, a comment, or has a fault."""

    text: str
    route: Route | None = None
    fault: str = ""


@dataclass(frozen=True)
class Table:
    """A whole file. parse() and render() are inverses: render() returns every byte of the file."""

    lines: tuple[Line, ...]
    ends_with_newline: bool = True

    @property
    def routes(self) -> tuple[Route, ...]:
        return tuple(line.route for line in self.lines if line.route is not None)


def _named(text: str) -> bool:
    return len(text) <= 253 and all(_LABEL.fullmatch(label) for label in text.split("."))


def is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    found = re.fullmatch(r"\[?(?:ipv6:)?([0-9a-f:.]+)(?:%\w+)?\]?", text.strip().lower())
    try:
        return found is not None and ipaddress.ip_address(found[1]).version == 6
    except ValueError:
        return False


def _domain_fault(domain: str) -> str:
    name = domain.lower()
    if not name or _named(name[1:] if name.startswith(".") else name):
        return ""
    if name.startswith("[") and name.endswith("]") and is_ipv4(name[1:-1]):
        return ""
    if name != name.strip():
        return f"has a blank beside its domain, which never matches then; {_DOMAIN}"
    if name.endswith("."):
        return f"has a domain with a dot at its end, which never matches; {_DOMAIN}"
    if "*" in name:
        return f"has a '*' in its domain, which stands for itself only; {_DOMAIN}"
    return f"has a domain that is not valid; {_DOMAIN}"


def _relay_fault(relay: str) -> str:
    host = relay.lower()
    if host != host.strip():
        return f"has a blank or a carriage return beside its relay, so that it never resolves; {_RELAY}"
    if host.startswith("[") or host.endswith("]"):
        return (
            ""
            if re.fullmatch(r"\[[0-9.]+\]", host) and is_ipv4(host[1:-1])
            else (f"has brackets around something that is not an IPv4 address; {_RELAY}")
        )
    if not host or is_ipv4(host):
        return ""
    if re.fullmatch(r"[0-9.]+", host):
        return f"has a relay that looks like an address and is not one; {_RELAY}"
    name = host[:-1] if host.endswith(".") else host
    if not _named(name) or re.fullmatch(r"[0-9]+", name.rsplit(".", 1)[-1]):
        return f"has a relay that can never resolve; {_RELAY}"
    # qmail-remote queries DNS only, not /etc/hosts or the search list. Every resolver knows localhost.
    if "." not in name and name != "localhost":
        return f"has a relay without a domain, and qmail-remote uses no search list; {_RELAY}"
    return ""


def _route_fault(route: str) -> str:
    """Return what is wrong with `relay[:port]`, or ''."""
    transport = _TRANSPORT.match(route)
    if "://" in route or transport:
        kind = "the transport of another mail server" if transport else "a URL"
        found = _URL.fullmatch(f"x://{route[transport.end() :]}" if transport else route.strip())
        host, port = (found[1], found[2] or "") if found else ("", "")
        written = f"{host}{port}" if found and not (_relay_fault(host) or port == ":25") else host
        meant = f", here {written!r}" if written and not _relay_fault(host) else ""
        return f"is written as {kind}; expected 'host' or 'host:port'{meant}, or nothing for the domain's MX"
    if _is_ipv6(route) or _is_ipv6(route.rpartition(":")[0]):
        return f"has an address of IPv6, and qmail-remote speaks IPv4 only; {_RELAY}"
    if "::" in route:
        return f"has an IPv6 address or an empty field, and qmail-remote speaks IPv4 only; {_RELAY}"
    relay, colon, port = route.partition(":")
    if fault := _relay_fault(relay):
        return fault
    if not colon:
        return ""
    if not relay:
        return f"has a port and no relay; {_RELAY}"
    if not port:
        return f"has an empty port; {_PORT}"
    if not re.fullmatch(r"[0-9]+", port):
        digits = re.match(r"[0-9]+", port)
        what = f"has {port[digits.end() :]!r} after the port" if digits else f"has the port {port!r}"
        return f"{what}; {_PORT}"
    if len(port) > 5 or not 1 <= int(port) <= 65535:
        return f"has the port {port!r}; {_PORT}"
    return ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= 200 else text[:200] + "...")


def _route(domain: str, route: str) -> Route:
    relay, colon, port = route.partition(":")
    return Route(domain.lower(), relay.lower(), int(port) if colon else None)


def make_route(domain: str, route: str, where: str) -> Route:
    """Make a route from a domain and `relay[:port]` ('': its MX); raises BadInput that begins with where."""
    known = ascii_domain(domain)
    if fault := _domain_fault(known):
        raise BadInput(f"{where}: {_shown(domain)} {fault}")
    if fault := _route_fault(route):
        raise BadInput(f"{where}: {_shown(route)} {fault}")
    return _route(known, route)


def _parse_line(text: str) -> Line:
    # control.c strips blanks, tabs and the newline, and only from the end.
    body = text.rstrip(" \t")
    if not body or body.startswith("#"):
        return Line(text)
    if "\0" in body:
        return Line(text, fault=f"has a NUL byte, where qmail-remote begins a new line; {_SYNTAX}")
    if body.lstrip().startswith("#"):
        return Line(text, fault="has a '#' that is not its first character; expected '#' in the first column")
    domain, colon, route = body.partition(":")
    if not colon:
        return Line(text, fault=f"has no ':'; {_SYNTAX}")
    fault = _domain_fault(domain) or _route_fault(route)
    return Line(text, fault=fault) if fault else Line(text, _route(domain, route))


def parse(text: str) -> Table:
    """Parse the file's text; never raises. A faulty line has no route; faults() returns its fault."""
    if not text:
        return Table(())
    ends = text.endswith("\n")
    return Table(tuple(_parse_line(line) for line in (text[:-1] if ends else text).split("\n")), ends)


def render(table: Table) -> str:
    """Return the file's text."""
    text = "\n".join(line.text for line in table.lines)
    return text + "\n" if table.lines and table.ends_with_newline else text


def faults(table: Table, where: str = "smtproutes") -> list[str]:
    """Return what qmail-remote would bounce, misread or ignore: one text for each such line, in order."""
    found: list[str] = []
    first: dict[str, int] = {}
    for number, line in enumerate(table.lines, 1):
        if line.fault:
            found.append(f"{where} line {number}: {_shown(line.text)} {line.fault}")
        elif line.route is not None:
            before = first.setdefault(line.route.domain, number)
            if before != number:
                found.append(
                    f"{where} line {number}: {_shown(line.text)} gives {line.route.domain!r} a second route; "
                    f"expected one, and line {before} has it"
                )
    return found


def lookup(routes: Iterable[Route], host: str) -> Route | None:
    """Return the route that qmail-remote uses for a recipient's host, or None for its MX.

    Tried in order: the host, the part from each dot on, longest first, then the default route. Of several
    lines with one domain the last counts. A route with an empty relay ends the search: the host's MX is used.
    """
    table: Mapping[str, Route] = {route.domain: route for route in routes}
    name = host.lower()
    for start in (0, *(at for at, character in enumerate(name) if at and character == "."), len(name)):
        if name[start:] in table:
            return table[name[start:]]
    return None


def _unique(wanted: Sequence[Route]) -> dict[str, Route]:
    by_domain: dict[str, Route] = {}
    for route in wanted:
        if route.domain in by_domain:
            raise BadInput(f"smtproutes: {route.domain!r} is given two routes; expected one for each domain")
        by_domain[route.domain] = route
    return by_domain


def set_routes(table: Table, wanted: Sequence[Route]) -> Table:
    """Return the table with these routes: changed where their domain is, otherwise added at the end."""
    missing = _unique(wanted)
    lines: list[Line] = []
    for line in table.lines:
        route = missing.pop(line.route.domain, None) if line.route is not None else None
        lines.append(line if route is None or route == line.route else Line(route.line, route))
    return _with(table, lines, missing.values())


def needed_routes(
    table: Table, wanted: Sequence[Route], hosts: Iterable[str], default: bool = False
) -> list[Route]:
    """Return the routes that would be removed though mail for one of the hosts goes by them now.

    hosts: the domains of recipients that wait in the queue, or are accepted still. A route is not needed for
    a host that would go by a wanted one all the same. With default, a host that goes by a default route that
    would be removed gets that route as its own.
    """
    known = {route.domain for route in wanted}
    routes = table.routes
    found: dict[str, Route] = {}
    for host in hosts:
        route = lookup(routes, host)
        if route is None or route.domain in known or lookup((route, *wanted), host) is not route:
            continue
        if route.domain:
            found[route.domain] = route
        elif default and route.relay and host and not _domain_fault(host):
            found[host.lower()] = Route(host.lower(), route.relay, route.port)
    return [found[domain] for domain in sorted(found)]


def replace_routes(table: Table, wanted: Sequence[Route]) -> Table:
    """Return the table with only these routes; comments and blank lines stay, faulty lines are removed."""
    missing = _unique(wanted)
    lines: list[Line] = []
    for line in table.lines:
        if line.route is None:
            if not line.fault:
                lines.append(line)
        elif (route := missing.pop(line.route.domain, None)) is not None:
            lines.append(line if route == line.route else Line(route.line, route))
    return _with(table, lines, missing.values())


def remove_routes(table: Table, domains: Iterable[str]) -> Table:
    """Return the table without the routes of these domains."""
    unwanted = {ascii_domain(domain) for domain in domains}
    kept = [line for line in table.lines if line.route is None or line.route.domain not in unwanted]
    return _with(table, kept, ())


def describe_changes(before: Table, after: Table) -> list[str]:
    """Describe whose mail goes where after the change; empty when no mail takes another route."""
    old = {route.domain: route.text for route in before.routes}
    new = {route.domain: route.text for route in after.routes}
    words: list[str] = []
    for domain in [*new, *(domain for domain in old if domain not in new)]:
        was, goes = old.get(domain), new.get(domain)
        if was == goes or _goes_there_already(before, domain, was, goes):
            continue
        who = f"mail for {domain}" if domain else "mail for all other domains"
        if domain not in old:
            words.append(f"{who} goes to {_place(goes)}")
        elif domain not in new:
            words.append(f"{who} loses its route to {_place(was)}")
        else:
            words.append(f"{who} goes to {_place(goes)} instead of {_place(was)}")
    return words


def _goes_there_already(before: Table, domain: str, was: str | None, goes: str | None) -> bool:
    """Whether a domain that gets a line of its own went to the same place by another."""
    if was is not None or not domain or domain.startswith("."):
        return False
    route = lookup(before.routes, domain)
    return (route.text if route else "") == goes


def _place(route: str | None) -> str:
    return route or "its MX"


def describe_accepted(
    before: Iterable[str], after: Iterable[str], routes: Iterable[Route] = (), local: Iterable[str] = ()
) -> list[str]:
    """Describe which domains of rcpthosts will be accepted, where their mail goes, and which will not.

    qmail-send looks into local, the domains of control/locals, before any route.
    """
    here = {one.lower() for one in local}
    old, new = {one.lower() for one in before}, {one.lower() for one in after}
    known = list(routes)
    words = []
    for domain in sorted(new - old):
        route = lookup(known, domain)
        goes = "is delivered here" if domain in here else f"goes to {_place(route.text if route else '')}"
        words.append(f"domain {domain} will be accepted and {goes}")
    return words + [f"domain {domain} stops being accepted" for domain in sorted(old - new)]


def _with(table: Table, lines: list[Line], added: Iterable[Route]) -> Table:
    more = [Line(route.line, route) for route in added]
    return Table((*lines, *more), table.ends_with_newline or bool(more))
