# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fleet's own authority, which the controller makes and keeps in a directory of its own.

  ca.pem, ca.key         the authority; whoever has its key can be any gateway of the fleet
  secret                 what the passwords of the engines follow from
  NAME.pem, NAME.key     of each gateway

Files with keys have the mode 0600. Runs beside each other hold a lock. What is there is used as long as it
fits; a certificate is made again for another address, and when half of its time is over. Whoever moves the
directory away has another authority with the next run, and other keys and passwords everywhere.

The library is python3-cryptography, which ansible-core needs as well. Nothing here runs on a gateway.
"""

from __future__ import annotations

import contextlib
import importlib
import ipaddress
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from ..core import locks
from ..core.errors import BadInput
from ..core.files import atomic_write, read_regular
from . import engine_users
from .peers import Gateway

CA, SECRET, LOCK, IGNORED = "ca", "secret", ".lock", ".gitignore"
LOCK_SECONDS = 60.0
BYTES_MAX = 1 << 16
CA_DAYS, DAYS = 36_500, 3650
EARLIER = timedelta(days=2)  # a gateway's clock may be behind
SECRET_BYTES = 32
NOT_YET = "made by the run\n"  # in check mode


@dataclass
class Keys:
    """What one gateway gets, as text; made are the files that had to be written, or would have to be."""

    ca: str = NOT_YET
    certificate: str = NOT_YET
    key: str = NOT_YET
    passwords: dict[str, str] = field(default_factory=dict)
    users: str = NOT_YET
    made: list[str] = field(default_factory=list)


def keys(directory: str, host: str, gateways: Sequence[Gateway], now: datetime, check: bool) -> Keys:
    """Return a host's keys, certificate and passwords; make what is not there unless check.

    Raises BadInput for a file that is damaged or a host that is not among the gateways, and OSError.
    """
    own = next((one for one in gateways if one.name == host), None)
    if own is None:
        raise BadInput(f"host {host!r}: is not in the list of gateways; expected its name there")
    with _held(directory, check):
        authority = _Authority(directory, now, check)
        return authority.keys(own, [one.name for one in gateways if one.name != host])


@contextlib.contextmanager
def _held(directory: str, check: bool) -> Iterator[None]:
    if check:  # it writes nothing
        yield
        return
    os.makedirs(directory, mode=0o700, exist_ok=True)
    ignored = os.path.join(directory, IGNORED)
    if not os.path.lexists(ignored):  # sites are often kept in a repository
        with atomic_write(ignored, 0o644) as stream:
            stream.write(b"*\n")
    lock = locks.acquire(os.path.join(directory, LOCK), LOCK_SECONDS)
    try:
        yield
    finally:
        os.close(lock)


class _Authority:
    """The files of the directory, made as they are needed."""

    def __init__(self, directory: str, now: datetime, check: bool) -> None:
        self._directory, self._now, self._check = directory, now, check
        self._made: list[str] = []
        self._x509: Any = importlib.import_module("cryptography.x509")
        self._oid: Any = importlib.import_module("cryptography.x509.oid")
        self._hashes: Any = importlib.import_module("cryptography.hazmat.primitives.hashes")
        self._forms: Any = importlib.import_module("cryptography.hazmat.primitives.serialization")
        self._ec: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ec")

    def keys(self, own: Gateway, peers: Sequence[str]) -> Keys:
        ca = self._pair(CA, self._new_authority, lambda certificate: True)
        if ca is None:  # in check mode; another authority makes all else again
            self._made += [self._path(f"{own.name}.{end}") for end in ("key", "pem")]
            self._secret()
            return Keys(made=self._made)
        ca_certificate, ca_key = ca
        pair = self._pair(
            own.name,
            lambda: self._new_certificate(own, ca_certificate, ca_key),
            lambda certificate: self._fits(certificate, own, ca_certificate),
        )
        secret = self._secret()
        found = Keys(ca=self._pem(ca_certificate), made=self._made)
        if pair is not None:
            found.certificate, found.key = self._pem(pair[0]), self._private(pair[1]).decode("ascii")
        if secret is not None:
            found.passwords = engine_users.passwords(secret, own.name, peers)
            found.users = engine_users.users(secret, own.name, peers)
        return found

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _read(self, name: str) -> bytes | None:
        try:
            return read_regular(self._path(name), BYTES_MAX)
        except FileNotFoundError:
            return None

    def _write(self, name: str, data: bytes, mode: int) -> None:
        self._made.append(self._path(name))
        if not self._check:
            with atomic_write(self._path(name), mode) as stream:
                stream.write(data)

    def _secret(self) -> bytes | None:
        text = self._read(SECRET)
        if text is None:
            secret = secrets.token_bytes(SECRET_BYTES)
            self._write(SECRET, secret.hex().encode("ascii") + b"\n", 0o600)
            return None if self._check else secret
        try:
            secret = bytes.fromhex(text.decode("ascii").strip())
        except ValueError:
            secret = b""
        if len(secret) != SECRET_BYTES:
            raise BadInput(
                f"{self._path(SECRET)}: is damaged; expected {2 * SECRET_BYTES} hexadecimal digits"
            )
        return secret

    def _pair(
        self, name: str, new: Callable[[], tuple[Any, Any]], fits: Callable[[Any], bool]
    ) -> tuple[Any, Any] | None:
        """Return a certificate with its key; None for one that only a run makes."""
        key_text, text = self._read(f"{name}.key"), self._read(f"{name}.pem")
        if name == CA and (key_text is None) != (text is None):
            lost = "key" if key_text is None else "pem"
            raise BadInput(
                f"{self._path(f'{CA}.{lost}')}: is missing beside the other half of the authority; expected "
                f"it from a backup, or {self._directory} moved away for a new authority"
            )
        if key_text is not None and text is not None:
            certificate, key = self._loaded(name, text, key_text)
            if fits(certificate) and self._matches(certificate, key):
                return certificate, key
            if name == CA:
                raise BadInput(f"{self._path(f'{CA}.key')}: is not the key of {CA}.pem; expected that")
        certificate, key = new()
        # The key first: a certificate without its key is made again.
        self._write(f"{name}.key", self._private(key), 0o600)
        self._write(f"{name}.pem", self._pem(certificate).encode("ascii"), 0o644)
        return None if self._check else (certificate, key)

    def _loaded(self, name: str, text: bytes, key_text: bytes) -> tuple[Any, Any]:
        try:
            certificate = self._x509.load_pem_x509_certificate(text)
            return certificate, self._forms.load_pem_private_key(key_text, None)
        except (ValueError, TypeError) as error:
            raise BadInput(
                f"{self._path(name)}.pem and .key: {error}; expected PEM that an earlier run wrote"
            ) from error

    def _matches(self, certificate: Any, key: Any) -> bool:
        return bool(certificate.public_key().public_numbers() == key.public_key().public_numbers())

    def _new_authority(self) -> tuple[Any, Any]:
        key = self._ec.generate_private_key(self._ec.SECP256R1())
        name = self._name("mailgate fleet")
        builder = self._builder(name, name, key.public_key(), CA_DAYS)
        builder = builder.add_extension(self._x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(self._usage(certificates=True), critical=True)
        return builder.sign(key, self._hashes.SHA256()), key

    def _new_certificate(self, own: Gateway, ca: Any, ca_key: Any) -> tuple[Any, Any]:
        """Make a certificate for both ends: its own engine, and the service at the peers' engines."""
        key = self._ec.generate_private_key(self._ec.SECP256R1())
        builder = self._builder(self._name(own.name), ca.subject, key.public_key(), DAYS)
        builder = builder.add_extension(
            self._x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        builder = builder.add_extension(self._usage(certificates=False), critical=True)
        purposes = self._oid.ExtendedKeyUsageOID
        both = self._x509.ExtendedKeyUsage([purposes.SERVER_AUTH, purposes.CLIENT_AUTH])
        builder = builder.add_extension(both, critical=False)
        builder = builder.add_extension(
            self._x509.SubjectAlternativeName(
                [
                    self._x509.IPAddress(ipaddress.ip_address(text))
                    if kind == "IP"
                    else self._x509.DNSName(text)
                    for kind, text in _names(own)
                ]
            ),
            critical=False,
        )
        issuer = self._x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        return builder.sign(ca_key, self._hashes.SHA256()), key

    def _builder(self, subject: Any, issuer: Any, public_key: Any, days: int) -> Any:
        start = self._now.astimezone(timezone.utc).replace(tzinfo=None, microsecond=0) - EARLIER
        builder = self._x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
        builder = builder.public_key(public_key).serial_number(self._x509.random_serial_number())
        builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=days))
        own = self._x509.SubjectKeyIdentifier.from_public_key(public_key)
        return builder.add_extension(own, critical=False)

    def _name(self, text: str) -> Any:
        # A common name has at most 64 characters; what is compared is the alternative name.
        return self._x509.Name([self._x509.NameAttribute(self._oid.NameOID.COMMON_NAME, text[:64])])

    def _usage(self, certificates: bool) -> Any:
        return self._x509.KeyUsage(
            digital_signature=not certificates,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=certificates,
            crl_sign=certificates,
            encipher_only=False,
            decipher_only=False,
        )

    def _fits(self, certificate: Any, own: Gateway, ca: Any) -> bool:
        """Return whether a certificate is of this authority, for this gateway, and in its first half."""
        try:
            names = certificate.extensions.get_extension_for_class(self._x509.SubjectAlternativeName).value
            issuer = certificate.extensions.get_extension_for_class(self._x509.AuthorityKeyIdentifier).value
        except self._x509.ExtensionNotFound:
            return False
        subject = self._x509.SubjectKeyIdentifier.from_public_key(ca.public_key())
        found = [("DNS", text) for text in names.get_values_for_type(self._x509.DNSName)]
        found += [("IP", str(one)) for one in names.get_values_for_type(self._x509.IPAddress)]
        return (
            sorted(found) == sorted(_names(own))
            and issuer.key_identifier == subject.digest
            and _end(certificate) - self._now > timedelta(days=DAYS / 2)
        )

    def _pem(self, certificate: Any) -> str:
        text: bytes = certificate.public_bytes(self._forms.Encoding.PEM)
        return text.decode("ascii")

    def _private(self, key: Any) -> bytes:
        text: bytes = key.private_bytes(
            self._forms.Encoding.PEM, self._forms.PrivateFormat.PKCS8, self._forms.NoEncryption()
        )
        return text


def _names(own: Gateway) -> list[tuple[str, str]]:
    """Return the alternative names: that of the host, and how its peers reach it."""
    found = [("DNS", own.name)]
    try:
        found.append(("IP", str(ipaddress.ip_address(own.address))))
    except ValueError:
        found += [("DNS", own.address)] if own.address != own.name else []
    return found


def _end(certificate: Any) -> datetime:
    if hasattr(certificate, "not_valid_after_utc"):  # since cryptography 42
        end: datetime = certificate.not_valid_after_utc
        return end
    older: datetime = certificate.not_valid_after
    return older.replace(tzinfo=timezone.utc)
