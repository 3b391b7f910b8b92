# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A signed zone, and the name server that has it, on the loopback."""

from __future__ import annotations

import socket
import threading

import dns.dnssec
import dns.dnssectypes
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec

ADDRESS, PORT = "127.0.0.9", 5310
_WAIT_SECONDS = 0.2
_DATAGRAM_BYTES = 4096


def make_zone(origin: str, records: str) -> tuple[dns.zone.Zone, str]:
    """Return a signed zone with these lines, and the DS record that vouches for it."""
    head = f"{origin} 300 IN SOA ns.{origin} h.{origin} 1 2 3 4 5\n{origin} 300 IN NS ns.{origin}\n"
    zone = dns.zone.from_text(f"{head}ns.{origin} 300 IN A {ADDRESS}\n{records}", origin, relativize=False)
    key = ec.generate_private_key(ec.SECP256R1())
    public = dns.dnssec.make_dnskey(key.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, flags=257)
    with zone.writer() as transaction:
        dns.dnssec.sign_zone(
            zone, transaction, [(key, public)], lifetime=86400, add_dnskey=True, dnskey_ttl=300
        )
    return zone, f"{origin} DS {dns.dnssec.make_ds(origin, public, 'SHA256')}"


class NameServer(threading.Thread):
    """Answers from one zone, and denies by all its NSEC records; unsigned: types without signatures."""

    def __init__(self, zone: dns.zone.Zone, unsigned: tuple[dns.rdatatype.RdataType, ...] = ()) -> None:
        super().__init__(daemon=True)
        self._zone, self._unsigned = zone, unsigned
        self._ended = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((ADDRESS, PORT))
        self._socket.settimeout(_WAIT_SECONDS)

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                packet, peer = self._socket.recvfrom(_DATAGRAM_BYTES)
            except TimeoutError:
                continue
            answer = self._answer(dns.message.from_wire(packet))
            self._socket.sendto(answer.to_wire(max_size=_DATAGRAM_BYTES), peer)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        answer.use_edns(0, dns.flags.DO, _DATAGRAM_BYTES)
        name, kind = query.question[0].name, query.question[0].rdtype
        if not self._add(answer.answer, name, kind):
            self._add(answer.authority, self._zone.origin, dns.rdatatype.SOA)
            for one in self._zone.nodes:
                self._add(answer.authority, one, dns.rdatatype.NSEC)
            if not any(one.is_subdomain(name) for one in self._zone.nodes):
                answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

    def _add(
        self, section: list[dns.rrset.RRset], name: dns.name.Name | None, kind: dns.rdatatype.RdataType
    ) -> bool:
        """Add the records of a name and their signatures; return whether there are some."""
        if name is None or self._zone.origin is None or not name.is_subdomain(self._zone.origin):
            return False
        found = self._zone.get_rdataset(name, kind)
        signed = self._zone.get_rdataset(name, dns.rdatatype.RRSIG, kind)
        for one in (found, None if kind in self._unsigned else signed):
            if one is not None:
                section.append(dns.rrset.from_rdata_list(name, one.ttl, list(one)))
        return found is not None

    def __enter__(self) -> NameServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join(10)
        self._socket.close()
