# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates with the dates that a test needs, which the program openssl does not give."""

from __future__ import annotations

import hashlib
import ipaddress
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Union

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = Union[ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey]


def _key(kind: str) -> Key:
    if kind == "ecdsa":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=1024 if kind == "weak" else 2048)


@dataclass(frozen=True)
class Authority:
    """Who signs a certificate: its name, its key, and its own certificate."""

    name: x509.Name
    key: Key
    pem: bytes


def make_authority(name: str, issuer: Authority | None = None) -> Authority:
    """Make an authority that signs itself, or one that another one has signed."""
    own, key = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), _key("ecdsa")
    now = datetime.now(timezone.utc)
    signer = issuer or Authority(own, key, b"")
    builder = x509.CertificateBuilder(signer.name, own, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=99))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = builder.sign(signer.key, hashes.SHA256())
    return Authority(own, key, made.public_bytes(serialization.Encoding.PEM))


def make_pair(
    directory: Path,
    kind: str = "ecdsa",
    *,
    names: tuple[str, str] = ("certificate.pem", "key.pem"),
    host: str = "mx.example.test",
    days: tuple[float, float] = (-1, 30),
    passphrase: bytes = b"",
    issuer: Authority | None = None,
    also: tuple[str, ...] = (),
) -> tuple[Path, Path]:
    """Make a certificate and its key (ecdsa, rsa, weak), valid from and to so many days from now.

    Without an issuer it is self-signed. host and also are its names; also may have addresses.
    """
    directory.mkdir(exist_ok=True, parents=True)
    directory.chmod(0o755)
    key, now = _key(kind), datetime.now(timezone.utc)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    issued_by = name if issuer is None else issuer.name
    builder = x509.CertificateBuilder(issued_by, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now + timedelta(days=days[0])).not_valid_after(
        now + timedelta(days=days[1])
    )
    names_of = x509.SubjectAlternativeName([_general_name(one) for one in (host, *also)])
    builder = builder.add_extension(names_of, critical=False)
    certificate = builder.sign(key if issuer is None else issuer.key, hashes.SHA256())
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    paths = (directory / names[0], directory / names[1])
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, hidden))
    for path in paths:
        path.chmod(0o644)
    return paths


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Signer:
    """An authority of its own with a directory for what it signs; its certificate is at path."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        directory.mkdir(exist_ok=True, parents=True)
        self._directory, self._authority = directory, make_authority(name)
        self.path = directory / f"{name}.pem"
        self.path.write_bytes(self._authority.pem)

    def issue(
        self,
        title: str,
        kind: str = "ecdsa",
        *,
        hosts: tuple[str, ...] = ("mx.example.test",),
        days: tuple[float, float] = (-1, 30),
    ) -> Path:
        """Return one file with a certificate for hosts, names or addresses, and its key."""
        pair = make_pair(
            self._directory / title, kind, host=hosts[0], also=hosts[1:], days=days, issuer=self._authority
        )
        return in_one_file(pair)


def trust(signer: Signer, directory: Path) -> Path:
    """Put the authority where OpenSSL finds it among those of a directory; return the file."""
    argv = ["openssl", "x509", "-hash", "-noout", "-in", str(signer.path)]
    digest = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    trusted = directory / f"{digest}.0"
    trusted.write_bytes(signer.path.read_bytes())
    trusted.chmod(0o644)
    return trusted


def in_one_file(pair: tuple[Path, Path]) -> Path:
    """Return a file beside those of a pair that has both."""
    whole = pair[0].with_name("both.pem")
    whole.write_bytes(b"".join(path.read_bytes() for path in pair))
    return whole


def tlsa_data(path: Path, usage: int = 3, selector: int = 1, matching: int = 1) -> bytes:
    """Return the data of a TLSA record for the first certificate of a file (RFC 6698, 2.1)."""
    one = x509.load_pem_x509_certificate(path.read_bytes())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    whole, der = one.public_bytes(serialization.Encoding.DER), serialization.Encoding.DER
    content = one.public_key().public_bytes(der, form) if selector else whole
    data = {0: content, 1: hashlib.sha256(content).digest(), 2: hashlib.sha512(content).digest()}
    return bytes([usage, selector, matching]) + data[matching]
