# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories for the tests: Samba as Active Directory, slapd with its limits, and servers that misbehave."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bed.ldap import BASE, REALM, Server

from support.ldap_answers import bound
from support.waiting import eventually

AD_ADDRESS, SLAPD_ADDRESS, FAKE_ADDRESS = "198.18.0.30", "198.18.0.31", "198.18.0.32"
AD_NAME, SLAPD_NAME, FAKE_NAME = "dc1.corp.example.test", "ldap.corp.example.test", "dc2.corp.example.test"
READER = f"reader@{REALM}"
CANARY = "Canary-7f3a-Wing"

SLAPD_BASE = "dc=big,dc=example,dc=test"
SLAPD_READER = f"cn=reader,{SLAPD_BASE}"
SLAPD_SIZE_LIMIT = 1000


def answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 2).close()
    except OSError:
        return False
    return True


@dataclass
class Authority:
    """A certificate authority of the test's own, by openssl, and what it signed."""

    directory: Path
    name: str = "Test CA"

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "30", "-subj", f"/CN={self.name}", "-keyout", "ca.key", "-out", "ca.pem"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    @property
    def pem(self) -> str:
        return (self.directory / "ca.pem").read_text()

    def sign(self, name: str) -> tuple[Path, Path]:
        """(certificate, key) of a host name."""
        self._openssl(
            *(
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-subj",
                f"/CN={name}",
            ),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
        )
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth\n")
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", "30", "-extfile", f"{name}.ext", "-out", f"{name}.pem"),
        )
        return self.directory / f"{name}.pem", self.directory / f"{name}.key"

    def _openssl(self, *argv: str) -> None:
        subprocess.run(["openssl", *argv], cwd=self.directory, check=True, capture_output=True, timeout=60)


def put(server: Server, path: str, text: str, mode: str = "600") -> None:
    server.run("sh", "-c", f"umask 077; cat >{path} && chmod {mode} {path}", text=text)


class ActiveDirectory:
    """Samba's domain controller, at address:389 and :636 once it is started; changed while it runs or not."""

    def __init__(self, name: str, authority: Authority, beside: str = "", address: str = "") -> None:
        self.server = Server(name, beside)
        self.address = address
        certificate, key = authority.sign(AD_NAME)
        tls = "/var/lib/samba/private/tls"
        self.server.run("mkdir", "-p", tls)
        put(self.server, f"{tls}/cert.pem", certificate.read_text())
        put(self.server, f"{tls}/key.pem", key.read_text())
        put(self.server, f"{tls}/ca.pem", authority.pem)
        lines = [f"tls {one}file = {tls}/{one}.pem" for one in ("cert", "key", "ca")]
        script = "".join(f"sed -i '/^\\[global\\]/a {line}' /etc/samba/smb.conf;" for line in lines)
        self.server.run("sh", "-c", script)
        self.add(self.user("reader", account_control=None))
        script = "samba-tool user setpassword reader --newpassword=$(cat) && samba-tool user enable reader"
        self.server.run("sh", "-c", script, text=CANARY)

    def start(self) -> None:
        self.server.run("samba", "-D")
        if self.address:
            eventually(lambda: answers(self.address, 636), "Samba listens", 30)

    def stop(self) -> None:
        self.server.run("bash", "-c", "kill -KILL -- -$(cat /run/samba/samba.pid)")
        if self.address:
            eventually(lambda: not answers(self.address, 636), "Samba is gone", 30)

    def add(self, ldif: str) -> None:
        put(self.server, "/tmp/add.ldif", ldif)
        self.server.run("ldbadd", "-H", "/var/lib/samba/private/sam.ldb", "/tmp/add.ldif")

    def remove(self, *names: str) -> None:
        self.server.run("ldbdel", "-H", "/var/lib/samba/private/sam.ldb", *names)

    @staticmethod
    def user(
        name: str,
        *proxies: str,
        mail: str = "",
        account_control: int | None = 514,
        where: str = "CN=Users",
    ) -> str:
        """Return the LDIF of a user; 514 is a disabled account, as shared mailboxes have."""
        lines = [f"dn: CN={name},{where},{BASE}", "objectClass: user", f"sAMAccountName: {name}"]
        lines += [f"userPrincipalName: {name}@{REALM}"]
        lines += [f"userAccountControl: {account_control}"] if account_control else []
        return _entry(lines, proxies, mail)

    @staticmethod
    def group(name: str, *proxies: str, where: str = "CN=Users") -> str:
        lines = [f"dn: CN={name},{where},{BASE}", "objectClass: group", f"sAMAccountName: {name}"]
        return _entry(lines, proxies, "")

    @staticmethod
    def contact(name: str, *proxies: str, where: str = "CN=Users") -> str:
        return _entry([f"dn: CN={name},{where},{BASE}", "objectClass: contact"], proxies, "")

    def close(self) -> None:
        self.server.close()


def _entry(lines: Sequence[str], proxies: Sequence[str], mail: str) -> str:
    more = [f"proxyAddresses: {proxy}" for proxy in proxies] + ([f"mail: {mail}"] if mail else [])
    return "\n".join([*lines, *more]) + "\n\n"


SLAPD_CONF = f"""\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.2.840.113556.1.2.210 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch
  SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.2.840.113556.1.5.9.99 NAME 'mailThing' SUP top AUXILIARY MAY proxyAddresses )
pidfile /run/slapd/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile /etc/ldap/ca.pem
TLSCertificateFile /etc/ldap/cert.pem
TLSCertificateKeyFile /etc/ldap/key.pem
sizelimit {SLAPD_SIZE_LIMIT}
loglevel 0
database mdb
maxsize 1073741824
suffix "{SLAPD_BASE}"
rootdn "cn=admin,{SLAPD_BASE}"
rootpw {CANARY}
directory /var/lib/ldap
limits users size.soft=1000 size.hard=1000 size.pr=1000 size.prtotal=unlimited
index objectClass eq
access to attrs=userPassword by anonymous auth by * none
access to * by users read
"""


class Slapd:
    """OpenLDAP at address:389 and :636 with `count` people that an unpaged search sees a part of."""

    def __init__(
        self,
        name: str,
        authority: Authority,
        count: int,
        beside: str = "",
        address: str = "0.0.0.0",
        ports: tuple[int, int] = (389, 636),
        domain: str = "Example.TEST",
    ) -> None:
        self.server = Server(name, beside)
        self.ports, self.domain = ports, domain
        certificate, key = authority.sign(SLAPD_NAME)
        put(self.server, "/etc/ldap/ca.pem", authority.pem)
        put(self.server, "/etc/ldap/cert.pem", certificate.read_text())
        put(self.server, "/etc/ldap/key.pem", key.read_text())
        put(self.server, "/etc/ldap/test.conf", SLAPD_CONF)
        self.address = address
        put(self.server, "/tmp/all.ldif", "".join(self.ldif(count)))
        self.server.run("sh", "-c", "rm -f /var/lib/ldap/*; mkdir -p /run/slapd")
        self.server.run("slapadd", "-q", "-f", "/etc/ldap/test.conf", "-l", "/tmp/all.ldif")
        self.start()

    def start(self) -> None:
        urls = f"ldap://{self.address}:{self.ports[0]} ldaps://{self.address}:{self.ports[1]}"
        self.server.run("slapd", "-f", "/etc/ldap/test.conf", "-h", urls)

    def stop(self) -> None:
        self.server.run("sh", "-c", "kill -TERM $(cat /run/slapd/slapd.pid); sleep 0.3; true")

    def ldif(self, count: int) -> Iterator[str]:
        yield f"dn: {SLAPD_BASE}\nobjectClass: domain\ndc: big\n\n"
        yield (
            f"dn: {SLAPD_READER}\nobjectClass: person\ncn: reader\nsn: reader\nuserPassword: {CANARY}\n\n"
            f"dn: ou=people,{SLAPD_BASE}\nobjectClass: organizationalUnit\nou: people\n\n"
        )
        for number in range(count):
            yield (
                f"dn: cn=user{number},ou=people,{SLAPD_BASE}\nobjectClass: person\nobjectClass: mailThing\n"
                f"cn: user{number}\nsn: user{number}\nproxyAddresses: SMTP:User{number}@{self.domain}\n"
                f"proxyAddresses: smtp:first.last{number}@{self.domain.lower()}\n"
                f"proxyAddresses: X400:C=US;A= ;P=Test;O=Exchange;S=User{number};\n\n"
            )

    def close(self) -> None:
        self.server.close()


Behaviour = Callable[["Client"], None]


class Client:
    """One connection to a scripted server, which has been bound already."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._pending = b""

    def request(self) -> tuple[int, bytes]:
        """Return (number, whole message) of the next request; raise OSError at the end."""
        while True:
            whole = _whole(self._pending)
            if whole:
                message, self._pending = self._pending[:whole], self._pending[whole:]
                start = 2 if message[1] < 128 else 2 + message[1] - 128
                return int.from_bytes(message[start + 2 : start + 2 + message[start + 1]], "big"), message
            block = self._peer.recv(65536)
            if not block:
                raise ConnectionError("the client has gone")
            self._pending += block

    def say(self, data: bytes) -> None:
        self._peer.sendall(data)


def _whole(data: bytes) -> int:
    """Return the length of the message at the beginning, 0 while it is incomplete."""
    if len(data) < 2:
        return 0
    begin, length = 2, data[1]
    if length >= 128:
        begin += length - 128
        length = int.from_bytes(data[2:begin], "big")
    return begin + length if len(data) >= begin + length else 0


class Scripted(threading.Thread):
    """A server that accepts any bind and then follows a script for each connection; context manager."""

    def __init__(
        self, behaviour: Behaviour, address: str, port: int, certificate: tuple[Path, Path] | None = None
    ) -> None:
        super().__init__(daemon=True)
        self._behaviour = behaviour
        self._context = None
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*certificate)
        self._listener = socket.create_server((address, port))
        self._peers: list[socket.socket] = []
        self.seen = 0

    def run(self) -> None:
        while True:
            try:
                peer, _where = self._listener.accept()
            except OSError:
                return
            self.seen += 1
            self._peers.append(peer)
            with contextlib.suppress(OSError):
                if self._context:
                    peer = self._context.wrap_socket(peer, server_side=True)
                client = Client(peer)
                number, _message = client.request()
                client.say(bound(number))
                self._behaviour(client)
            with contextlib.suppress(OSError):
                peer.close()

    def __enter__(self) -> Scripted:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.close()
        self.join(10)


class Cut(threading.Thread):
    """A proxy in front of a server that hangs up after so many bytes of its answers; context manager."""

    def __init__(self, address: str, port: int, target: tuple[str, int], after_bytes: int) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server((address, port))
        self._target, self._after = target, after_bytes

    def run(self) -> None:
        while True:
            try:
                peer, _where = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), socket.create_connection(self._target, 10) as server, peer:
                left = self._after
                server.setblocking(False)
                peer.setblocking(False)
                while left > 0:
                    ready = select.select([peer, server], [], [], 10)[0]
                    if not ready:
                        break
                    for one in ready:
                        block = one.recv(65536)
                        if not block:
                            left = 0
                        elif one is peer:
                            server.sendall(block)
                        else:
                            peer.setblocking(True)
                            peer.sendall(block[:left])
                            peer.setblocking(False)
                            left -= len(block)

    def __enter__(self) -> Cut:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.join(20)
