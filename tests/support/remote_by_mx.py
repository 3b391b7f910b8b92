# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real qmail-remote that finds its hosts by their MX, with a resolver that says what it is told."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from support.qmail_remote import Remote, Report, build_remote
from support.tls_mail_server import Connection, TlsMailServer, Ways
from support.told_resolver import A, Records, Validated, a, record, wire

MX, TLSA = 15, 52
DOMAIN, HOST, OTHER_HOST = "example.test", "mx.example.test", "mx2.example.test"
ADDRESS, OTHER_ADDRESS = "127.0.0.77", "127.0.0.78"


@dataclass
class Place:
    remote: Remote
    smtp_port: int
    resolver_port: int

    def service(self, host: str = HOST) -> tuple[str, int]:
        return f"_{self.smtp_port}._tcp.{host}", TLSA

    def records(self, *tlsa: bytes) -> Records:
        """Return records that all are validated."""
        return {
            (DOMAIN, MX): Validated([mx(HOST, 10)]),
            (HOST, A): Validated([a(HOST, ADDRESS)]),
            self.service(): Validated([record(self.service()[0], TLSA, one) for one in tlsa]),
        }

    def server(self, ways: Ways, address: str = ADDRESS) -> TlsMailServer:
        return TlsMailServer(ways, address, self.smtp_port)

    def by_mx(self) -> None:
        """Write control files: by MX, with the policy may and a resolver that is believed."""
        control = self.remote.control
        for name in ("smtproutes", "stsresolver"):
            (control / name).unlink(missing_ok=True)
        (control / "timeoutremote").write_text("60\n")
        (control / "tlspolicies").write_text(":may\n")
        (control / "daneresolver").write_text(f"127.0.0.1:{self.resolver_port}\n")


def build_place(directory: Path) -> Place:
    smtp_port, resolver_port = _free_port(), _free_port()
    return Place(build_remote(directory, smtp_port), smtp_port, resolver_port)


def _free_port() -> int:
    with socket.create_server((ADDRESS, 0)) as one:
        return int(one.getsockname()[1])


def mx(host: str, preference: int) -> bytes:
    """Return an MX record of the domain."""
    return record(DOMAIN, MX, preference.to_bytes(2, "big") + wire(host))


def outcome(report: Report, connections: list[Connection], found_by: re.Pattern[str]) -> tuple[str, int]:
    """Return the policy by which the message came, or the report of the deferral; and the connections.

    found_by: has the version and the policy in a report of success.
    """
    kept = [one for one in connections if one.messages]
    found = found_by.search(report.message)
    if report.result == "K":
        assert found and len(kept) == 1 and kept[0].version == found[1].partition("/")[0].replace("none", "")
        return found[2], len(connections)
    assert (report.result, kept) == ("Z", []), report.message
    return report.message, len(connections)
