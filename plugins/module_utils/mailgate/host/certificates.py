# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates that smtptls speaks with, and how they are replaced.

DIRECTORY/current is a symlink to one directory, which holds certificate.pem and key.pem, and a second pair
with -2 in its names where there is one.  A certificate and its key are thus replaced at the same instant.
Who replaces them holds a lock: a playbook and the hook of certbot may run at once.
"""

from __future__ import annotations

import base64
import contextlib
import grp
import hashlib
import os
import re
import shutil
import ssl
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from ..core import locks
from ..core.errors import BadInput, TryAgain
from ..core.files import fsync_directory, read_regular
from ..core.paths import AUTHORITIES
from ..core.times import parse_english

CURRENT = "current"
NAMES = (("certificate.pem", "key.pem"), ("certificate-2.pem", "key-2.pem"))  # as smtptls reads them
BYTES_MAX = 1 << 20
DIRECTORY_MODE = 0o755
SELF_SIGNED_DAYS = 3650
OPENSSL_SECONDS = 60
LOCK_SECONDS = 60.0
_BROKEN = "install one: mailgate certificate install FULLCHAIN KEY, or remove {} to get self-signed ones"
_LOCK = ".lock"  # not the directory itself, which every local user could lock
_UNFINISHED = ".new-"
_ENDS = re.compile(r"not(Before|After)=(.*)")
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")
_MADE = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Pair:
    """A certificate, with its chain behind it, and its key: PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class Facts:
    """What stands in a certificate."""

    subject: str
    issuer: str
    names: tuple[str, ...]  # DNS names, in small letters
    not_before: datetime
    not_after: datetime
    algorithm: str  # of its key: ECDSA, RSA or other

    @property
    def is_self_signed(self) -> bool:
        return self.subject == self.issuer


def told(found: Facts) -> str:
    """Return a line for a person."""
    names = ", ".join(found.names) or found.subject
    issuer = "itself" if found.is_self_signed else found.issuer
    return f"{found.algorithm} for {names}, by {issuer}, until {found.not_after:%Y-%m-%d}"


def read_pem(path: str) -> bytes:
    """Return the content of a file, or of what it links to; raises BadInput, OSError."""
    return read_regular(os.path.realpath(path), BYTES_MAX)


def read_pair(certificate: str, key: str) -> Pair:
    """Return a pair from two files; raises BadInput, OSError."""
    return Pair(read_pem(certificate), read_pem(key))


def given_pairs(given: Sequence[Mapping[str, str]], name: str) -> tuple[list[Pair], list[tuple[str, str]]]:
    """Return the pairs that a site gives, texts of PEM or paths on the host, and the places of their parts.

    name is that of the list.  Raises BadInput that names the place, and never shows the setting of a key.
    """
    pairs, places = [], []
    for number, one in enumerate(given, 1):
        where = f"{name} item {number}" if len(given) > 1 else name
        content = [_content(one[part], f"{where}: {part}") for part in ("certificate", "key")]
        path = "" if _is_pem(one["certificate"]) else f" {one['certificate']}"
        pairs.append(Pair(*content))
        places.append((f"{where}: certificate{path}", f"{where}: key"))
    return pairs, places


def _is_pem(text: str) -> bool:
    return "-----BEGIN " in text


def _content(text: str, where: str) -> bytes:
    if _is_pem(text):
        return text.strip().encode() + b"\n"
    try:
        return read_pem(text)
    except OSError as error:
        raise BadInput(
            f"{where}: its file on the host: {error.strerror}; expected the path of a file of PEM"
        ) from error


def check_given(
    given: Sequence[Mapping[str, str]], name: str, directory: str, now: datetime
) -> tuple[str, ...]:
    """Return the fault of the pairs that a site gives; those that are in use already have been judged."""
    try:
        pairs, places = given_pairs(given, name)
        if pairs and not in_use(directory, pairs):
            check_beforehand(pairs, places, now)
    except BadInput as error:
        return (str(error),)
    return ()


def check_beforehand(
    pairs: Sequence[Pair], places: Sequence[tuple[str, str]], now: datetime
) -> list[Facts] | None:
    """Do what check_pairs does; return None on a bare host without openssl, where only each key is judged.

    The role installs it, and judges their content then.
    """
    if shutil.which("openssl"):
        return check_pairs(pairs, places, now)
    for pair, place in zip(pairs, places):
        check_match(pair, *place)
    return None


def _run_openssl(argv: Sequence[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["openssl", *argv], input=given, capture_output=True, timeout=OPENSSL_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise TryAgain(
            "the program openssl is not installed; expected the distribution's package openssl"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise TryAgain(f"openssl {argv[0]} did not end within {OPENSSL_SECONDS} seconds") from error


def _openssl(argv: Sequence[str], given: bytes = b"") -> str:
    done = _run_openssl(argv, given)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise BadInput(f"openssl {argv[0]}: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout.decode(errors="replace")


def facts(certificate: bytes, where: str) -> Facts:
    """Return what stands in the first certificate of a PEM text; raises BadInput that names it."""
    wanted = ["-noout", "-subject", "-issuer", "-dates", "-nameopt", "RFC2253", "-ext", "subjectAltName"]
    try:
        text = _openssl(["x509", *wanted], certificate)
        public = _openssl(["x509", "-noout", "-pubkey"], certificate)
        algorithm = _openssl(["pkey", "-pubin", "-noout", "-text"], public.encode())
    except BadInput as error:
        raise BadInput(f"{where}: is not a certificate ({error}); expected one of PEM") from error
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    ends = {name: _time(value, where) for name, value in _ENDS.findall(text)}
    names = re.findall(r"DNS:([^,\s]+)", text)
    return Facts(
        subject=fields.get("subject", ""),
        issuer=fields.get("issuer", ""),
        names=tuple(dict.fromkeys(name.lower() for name in names)),
        not_before=ends["Before"],
        not_after=ends["After"],
        algorithm="RSA" if "Modulus" in algorithm else "ECDSA" if "ASN1 OID" in algorithm else "other",
    )


def chain(certificate: bytes) -> list[bytes]:
    """Return each certificate of a PEM text as DER, the gateway's own first."""
    blocks = _BLOCK.findall(certificate.decode("ascii", "replace"))
    try:
        return [ssl.PEM_cert_to_DER_cert(block) for block in blocks]
    except ValueError as error:
        raise BadInput(f"a certificate of the chain: {error}; expected PEM") from error


def public_key(certificate: bytes) -> bytes:
    """Return the public key (SubjectPublicKeyInfo) of a certificate, both DER; raises BadInput, TryAgain."""
    text = _openssl(["x509", "-noout", "-pubkey"], ssl.DER_cert_to_PEM_cert(certificate).encode())
    return base64.b64decode("".join(line for line in text.splitlines() if "-----" not in line))


def chain_fault(certificate: bytes, authorities: str = AUTHORITIES) -> str:
    """Return why authorities, those of the host, do not vouch for a certificate and its chain; or ''."""
    own, *behind = (ssl.DER_cert_to_PEM_cert(one).encode() for one in chain(certificate))
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "chain.pem")
        with open(path, "wb") as stream:
            stream.write(b"".join(behind))
        words = ["-CAfile", authorities, "-no-CApath", "-no-CAstore"]
        done = _run_openssl(["verify", *words, *(["-untrusted", path] if behind else [])], own)
    if done.returncode == 0:
        return ""
    said = done.stderr.decode(errors="replace")
    found = re.search(r" depth lookup: *([^\n]*)", said)
    return found[1] if found else said.strip().rpartition("\n")[2]


def _time(text: str, where: str) -> datetime:
    date = parse_english(text)
    if date is None:
        raise BadInput(
            f"{where}: openssl gives its date as {text!r}; expected one like Nov 21 08:29:41 2026 GMT"
        )
    return datetime(*date[:6], tzinfo=timezone.utc)


def check_pair(pair: Pair, certificate: str, key: str, now: datetime) -> Facts:
    """Return what stands in it; raises BadInput unless both match and the certificate is valid now.

    certificate and key say where the two are from.
    """
    found = facts(pair.certificate, certificate)
    check_match(pair, certificate, key)
    if not found.not_before <= now <= found.not_after:
        ends = f"{found.not_before:%Y-%m-%d %H:%M} to {found.not_after:%Y-%m-%d %H:%M} UTC"
        raise BadInput(f"{certificate}: is valid from {ends}; expected one that is valid now")
    return found


def check_match(pair: Pair, certificate: str, key: str) -> None:
    """Raise BadInput unless the key is that of the certificate, and has no passphrase."""
    if b"ENCRYPTED" in pair.key:
        raise BadInput(
            f"{key}: is encrypted; expected a key without a passphrase, in a file that only root reads"
        )
    with tempfile.TemporaryDirectory() as place:
        paths = [os.path.join(place, name) for name in NAMES[0]]
        for path, content in zip(paths, (pair.certificate, pair.key)):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                stream.write(content)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                paths[0], paths[1], password=_no_passphrase
            )
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).replace("_", " ").lower()
            # The second is said of a key of another kind.
            foreign = "mismatch" in reason or reason == "no certificate assigned"
            what = "is not the key of" if foreign else "cannot be used with"
            raise BadInput(
                f"{key}: {what} {certificate} ({reason}); expected the key that it was made for"
            ) from error


def _no_passphrase() -> str:
    raise BadInput("the key is encrypted; expected one without a passphrase")


def check_pairs(pairs: Sequence[Pair], places: Sequence[tuple[str, str]], now: datetime) -> list[Facts]:
    """Return what stands in each certificate; raises BadInput, also for two keys of one kind."""
    if not 1 <= len(pairs) <= len(NAMES):
        raise BadInput(f"{len(pairs)} certificates; expected one, or one of ECDSA and one of RSA")
    found = [check_pair(pair, *place, now) for pair, place in zip(pairs, places)]
    if len({one.algorithm for one in found}) < len(found):
        raise BadInput(
            f"{places[0][0]} and {places[1][0]}: both keys are {found[0].algorithm}; "
            "expected one of ECDSA and one of RSA"
        )
    return found


def group_id(name: str) -> int:
    """Return the number of the group that may read the keys; raises BadInput."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise BadInput(f"group {name!r}: is not there; expected the role smtp_tls to have made it") from None


def installed(directory: str) -> list[Pair]:
    """Return the pairs in use, none where none are; raises BadInput, OSError."""
    return pairs_in(os.path.join(directory, CURRENT))


def pairs_in(place: str) -> list[Pair]:
    """Return the pairs in one directory of certificates; raises BadInput, OSError."""
    pairs = []
    for names in NAMES:
        with contextlib.suppress(FileNotFoundError):
            pairs.append(read_pair(*(os.path.join(place, name) for name in names)))
    return pairs


def in_use(directory: str, pairs: Sequence[Pair]) -> bool:
    """Return whether these pairs are those in use; raises OSError."""
    try:
        return installed(directory) == list(pairs)
    except BadInput:
        return False


def check_whole(directory: str) -> None:
    """Raise BadInput, which says what to do, where there is something in use that cannot be used."""
    current = os.path.join(directory, CURRENT)
    if not os.path.lexists(current):
        return
    try:
        pairs = pairs_in(current)
        for pair, names in zip(pairs, NAMES):
            facts(pair.certificate, os.path.join(current, names[0]))
    except BadInput as error:
        raise BadInput(f"{error}; {_BROKEN.format(current)}") from error
    if not pairs:
        place = os.path.realpath(current)
        raise BadInput(f"{current}: no certificate with its key is in {place}; {_BROKEN.format(current)}")


def make_directory(directory: str) -> None:
    """Make the directory, and those above it, such that smtptls can go through them; raises OSError."""
    if os.path.isdir(directory):
        return
    make_directory(os.path.dirname(os.path.abspath(directory)))
    os.mkdir(directory)
    os.chmod(directory, DIRECTORY_MODE)  # not less the umask


@dataclass(frozen=True)
class Wrong:
    """A file or directory whose owner, group or mode has to be another; before and after are for a person."""

    path: str
    before: str
    after: str
    uid: int
    gid: int
    mode: int


def wrong_rights(directory: str, gid: int) -> list[Wrong]:
    """Return what smtptls cannot read, or others can, of what was installed; raises OSError.

    A gid of -1 leaves groups out. What a person made "current" lead to elsewhere is left alone.
    """
    top = os.path.realpath(directory)
    current = os.path.realpath(os.path.join(top, CURRENT))
    wanted = [(top, -1, DIRECTORY_MODE)]
    if os.path.dirname(current) == top and os.path.isdir(current):
        wanted.append((current, gid, 0o750))
        wanted += [(os.path.join(current, name), gid, 0o640) for names in NAMES for name in names]
    found = []
    for path, group, mode in wanted:
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(path)
            is_now = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
            right = (mode, os.geteuid(), status.st_gid if group == -1 else group)
            if is_now != right and not stat.S_ISLNK(status.st_mode):
                before, after = (f"{path}: {one[0]:04o} {one[1]}:{one[2]}" for one in (is_now, right))
                found.append(Wrong(path, before, after, right[1], right[2], mode))
    return found


def set_rights(directory: str, gid: int) -> list[Wrong]:
    """Set right what wrong_rights finds, and return it; raises OSError, TryAgain."""
    with _alone(directory):
        return _set_rights(directory, gid)


def _set_rights(directory: str, gid: int) -> list[Wrong]:
    found = wrong_rights(directory, gid)
    for one in found:
        descriptor = os.open(one.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fchown(descriptor, one.uid, one.gid)
            os.fchmod(descriptor, one.mode)
        finally:
            os.close(descriptor)
    return found


def install(directory: str, pairs: Sequence[Pair], gid: int) -> bool:
    """Put checked pairs into use, readable by that group; return whether anything had to be changed.

    The directory of those before stays, so that a worker which is about to read them finds them.
    Raises OSError, TryAgain.
    """
    with _alone(directory):
        if in_use(directory, pairs):
            return bool(_set_rights(directory, gid))
        _replace(directory, pairs, gid)
        return True


def install_self_signed(directory: str, hostname: str, gid: int) -> list[Pair]:
    """Put self-signed pairs into use where there are none, and return them; return none where there are.

    Raises BadInput also where those that are there cannot be used, OSError, TryAgain.
    """
    check_name(hostname)
    with _alone(directory):
        if os.path.lexists(os.path.join(directory, CURRENT)):
            check_whole(directory)
            return []
        pairs = self_signed(hostname)
        _replace(directory, pairs, gid)
        return pairs


@contextlib.contextmanager
def _alone(directory: str) -> Iterator[None]:
    """Keep other installs out, and clear away what killed ones left."""
    try:
        held = locks.acquire(os.path.join(directory, _LOCK), LOCK_SECONDS)
    except BlockingIOError as error:
        raise TryAgain(f"{directory}: another install has not ended in {LOCK_SECONDS:g} seconds") from error
    try:
        for name in os.listdir(directory):
            if name.startswith(_UNFINISHED):
                shutil.rmtree(os.path.join(directory, name), ignore_errors=True)
        yield
    finally:
        os.close(held)


def _replace(directory: str, pairs: Sequence[Pair], gid: int) -> None:
    digest = hashlib.sha256(b"\0".join(part for pair in pairs for part in (pair.certificate, pair.key)))
    name = digest.hexdigest()[:16]
    target = os.path.join(directory, name)
    before = os.path.basename(os.path.realpath(os.path.join(directory, CURRENT)))
    with _new_directory(directory) as made:
        for pair, names in zip(pairs, NAMES):
            for file, content in zip(names, (pair.certificate, pair.key)):
                _write(os.path.join(made, file), content, gid)
        os.chown(made, -1, gid)
        os.chmod(made, 0o750)
        fsync_directory(made)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(made, target)
    link = os.path.join(directory, ".current")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link)
    os.symlink(name, link)
    os.rename(link, os.path.join(directory, CURRENT))
    _set_rights(directory, gid)
    fsync_directory(directory)
    for old in os.listdir(directory):
        if _MADE.fullmatch(old) and old not in (name, before):
            shutil.rmtree(os.path.join(directory, old), ignore_errors=True)


@contextlib.contextmanager
def _new_directory(directory: str) -> Iterator[str]:
    made = tempfile.mkdtemp(prefix=_UNFINISHED, dir=directory)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)  # it is not there any more when all went well


def _write(path: str, content: bytes, gid: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fchown(stream.fileno(), -1, gid)
        os.fchmod(stream.fileno(), 0o640)
        os.fsync(stream.fileno())


def check_name(hostname: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}", hostname):
        raise BadInput(f"name {hostname!r}: expected letters, digits, - and .")


def self_signed(hostname: str) -> list[Pair]:
    """Return a pair of ECDSA and one of RSA for a name, by the program openssl; raises BadInput, TryAgain."""
    check_name(hostname)
    kinds = (["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], ["rsa:2048"])
    pairs = []
    with tempfile.TemporaryDirectory() as place:
        paths = [os.path.join(place, name) for name in NAMES[0]]
        for kind in kinds:
            # a name longer than 64 bytes has no room in CN
            words = ["-subj", f"/CN={hostname[:64]}", "-addext", f"subjectAltName=DNS:{hostname}"]
            words += ["-days", str(SELF_SIGNED_DAYS), "-out", paths[0], "-keyout", paths[1]]
            _openssl(["req", "-x509", "-nodes", "-newkey", *kind, *words])
            pairs.append(read_pair(*paths))
    return pairs
