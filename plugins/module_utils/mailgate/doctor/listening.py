# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the gateway takes mail at all addresses that the site names, of both families."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from ..formats.listening import EVERY_IPV6, missing, parse_address
from ..host.preflight import listeners
from ..rules.files import read_text
from .context import Context
from .findings import CRITICAL, WARNING, Finding, several

SMTP_PORT = 25
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_CHECK = "listening"


def judge(
    configured: Sequence[str], listening: Sequence[str], has_ipv6: bool, absent: Sequence[str]
) -> list[Finding]:
    """Judge who listens; absent are the configured addresses that the host does not have."""
    wanted = [one for one in configured if has_ipv6 or one != EVERY_IPV6]
    found = [
        Finding(
            _CHECK,
            CRITICAL,
            f"nobody listens at {address} port {SMTP_PORT}",
            "see svstat /service/smtpfront /service/qmail-smtpd; gateway_listen names the address",
        )
        for address in missing(wanted, listening)
    ]
    found += [
        Finding(
            _CHECK,
            WARNING,
            f"{address} is not an address of this host, so no client reaches the gateway there",
            "give it to an interface, or take it out of gateway_listen",
        )
        for address in absent
    ]
    without = "" if len(wanted) == len(configured) else "; this host has no IPv6"
    return several(found, _CHECK, f"{', '.join(wanted)} port {SMTP_PORT}{without}")


def _is_absent(address: str) -> bool:
    """Return whether the host does not have this address, or its interface."""
    bare, _percent, interface = address.partition("%")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    try:
        scope = socket.if_nametoindex(interface) if interface else 0
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.bind((bare, 0, 0, scope) if family == socket.AF_INET6 else (bare, 0))
    except OSError as error:
        return interface != "" or error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return False


def listening(context: Context) -> list[Finding]:
    """Check that somebody listens at every address that is configured."""
    configured = [parse_address(one, "listen") for one in context.settings.listen]
    tcp, tcp6 = (read_text(context.path(path)) for path in _TABLES)
    there = [one.address for one in listeners(tcp or "", tcp6 or "", SMTP_PORT)]
    return judge(configured, there, tcp6 is not None, [one for one in configured if _is_absent(one)])
