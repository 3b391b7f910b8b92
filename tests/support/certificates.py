# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Self-signed certificates with the dates that a test needs, which the program openssl does not give."""

from __future__ import annotations

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
) -> tuple[Path, Path]:
    """Make a certificate and its key (ecdsa, rsa, weak), valid from and to so many days from now.

    Without an issuer it is self-signed.
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
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    certificate = builder.sign(key if issuer is None else issuer.key, hashes.SHA256())
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    paths = (directory / names[0], directory / names[1])
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, hidden))
    for path in paths:
        path.chmod(0o644)
    return paths
