# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies of MTA-STS as their domains publish them: records of the DNS, and a web server."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.certificates import Signer, trust
from support.name_servers import txt

WEB = "198.18.0.61"


def records(domain: str) -> list[str]:
    """Return what the DNS says of a domain's policy, in the syntax of tinydns-data."""
    return [txt(f"_mta-sts.{domain}", "v=STSv1; id=1;"), f"+mta-sts.{domain}:{WEB}:1"]


def policy(mode: str, *patterns: str) -> str:
    hosts = "".join(f"mx: {one}\r\n" for one in patterns)
    return f"version: STSv1\r\nmode: {mode}\r\n{hosts}max_age: 86400\r\n"


class _Web(http.server.BaseHTTPRequestHandler):
    policies: Mapping[str, str]
    asked: list[str]

    def do_GET(self) -> None:
        domain = self.headers.get("Host", "").partition(":")[0].removeprefix("mta-sts.")
        self.asked.append(domain)
        found = self.path == "/.well-known/mta-sts.txt" and domain in self.policies
        content = self.policies[domain].encode() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def web(signer: Signer, authorities: Path, policies: Mapping[str, str]) -> Iterator[list[str]]:
    """Serve policies by domain; the gateway trusts the signer meanwhile. Yields the domains asked for.

    authorities: the directory in which OpenSSL looks for them.
    """
    both = signer.issue("web", hosts=tuple(f"mta-sts.{domain}" for domain in policies))
    asked: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    handler = type("Handler", (_Web,), {"policies": policies, "asked": asked})
    with http.server.ThreadingHTTPServer((WEB, 443), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        trusted = trust(signer, authorities)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield asked
        finally:
            trusted.unlink()
            server.shutdown()
