# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether clients are offered TLS, and whether a session with it works."""

from __future__ import annotations

import fcntl
import os
import socket
import ssl
import struct
from dataclasses import dataclass

from ..core.errors import BadInput
from ..core.files import open_regular
from ..core.paths import CERTIFICATES_DIRECTORY, REQUIRED_TLS, SMTPTLS_SOCKET
from ..host import certificates
from ..rules.files import read_text
from ..site.tls import wrong_line
from .context import Context, log_tail, without_stamp
from .findings import CRITICAL, OK, WARNING, Finding, several
from .sample_mail import Dialogue
from .services import log_directory

CHECK = "tls"
SERVICE = "smtptls"
SESSION_SECONDS = 12.0
_OFFER = ".offer"  # beside the socket; tlslink.h
_LOCK = "hhqqi4x"  # struct flock on 64 bits: type, whence, start, length, process


@dataclass(frozen=True)
class Tried:
    """A session that was tried: its version and cipher and the certificate's DER, or why there was none."""

    terms: str = ""
    trouble: str = ""
    certificate: bytes = b""


def is_offered(path: str) -> bool:
    """Return whether the file beside smtptls's socket says so, and its writer lives (tlslink_offered())."""
    try:
        with os.fdopen(open_regular(path + _OFFER), "rb") as stream:
            asked = struct.pack(_LOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
            held = struct.unpack(_LOCK, fcntl.fcntl(stream, fcntl.F_GETLK, asked))
            return stream.read(1) == b"1" and held[0] == fcntl.F_WRLCK
    except (OSError, BadInput):
        return False


def try_session(address: tuple[str, int], hostname: str, within_seconds: float) -> Tried:
    """Say EHLO, STARTTLS, and EHLO again inside TLS; the certificate is judged elsewhere."""
    try:
        with socket.create_connection(address, within_seconds) as connection:
            return _converse(connection, hostname, within_seconds)
    except socket.timeout:
        return Tried(trouble=f"no answer within {within_seconds:g} s")
    except ssl.SSLError as error:
        return Tried(trouble=f"the handshake fails: {error.reason or error}")
    except OSError as error:
        return Tried(trouble=error.strerror or str(error))


def _converse(connection: socket.socket, hostname: str, within_seconds: float) -> Tried:
    talk = Dialogue(connection, within_seconds)
    hello = f"EHLO {hostname}\r\n".encode("ascii", "replace")
    greeted = talk.reply()
    talk.say(hello)
    offers = talk.reply()
    if not greeted.startswith("220") or not offers.startswith("250"):
        return Tried(trouble=f"it says {(offers or greeted)[:60]!r}")
    if "STARTTLS" not in offers:
        return Tried(trouble="STARTTLS is not offered")
    talk.say(b"STARTTLS\r\n")
    if not (said := talk.reply()).startswith("220"):
        return Tried(trouble=f"STARTTLS is answered {said[:60]!r}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(connection, server_hostname=hostname) as inside:
        talk = Dialogue(inside, within_seconds)
        talk.say(hello)
        said = talk.reply()
        terms = f"{inside.version()} {(inside.cipher() or ('',))[0]}"
        certificate = inside.getpeercert(binary_form=True) or b""
        talk.say(b"QUIT\r\n")
    if not said.startswith("250") or "STARTTLS" in said:
        return Tried(trouble=f"inside TLS EHLO is answered {said[:60]!r}")
    return Tried(terms, certificate=certificate)


def judge(offered: bool, tried: Tried | None, last_words: str) -> Finding:
    """Judge whether TLS is offered, and the session that was tried; None: none was."""
    see = f"see the end of {log_directory(SERVICE)}/current, and the check certificate"
    words = f"; its last log line: {last_words}" if last_words else ""
    if not offered:
        text = "clients are not offered TLS: who requires it cannot deliver, the others send in plain text"
        return Finding(CHECK, CRITICAL, text + words, see)
    if tried is not None and tried.trouble:
        return Finding(CHECK, CRITICAL, f"a session with TLS fails: {tried.trouble}{words}", see)
    if tried is None:
        return Finding(CHECK, OK, "clients are offered TLS")
    return Finding(CHECK, OK, f"clients are offered TLS; tried with {tried.terms}")


def judge_served(served: bytes, directory: str) -> list[Finding]:
    """Judge whether the certificate that a session showed, as DER, is one of those that are installed."""
    try:
        installed = [certificates.chain(pair.certificate)[:1] for pair in certificates.installed(directory)]
    except (OSError, BadInput):
        return []  # which the check certificate tells
    if [served] in installed:
        return []
    text = (
        f"clients are shown another certificate than those in {os.path.join(directory, certificates.CURRENT)}"
    )
    see = f"see why smtptls did not take it: the end of {log_directory(SERVICE)}/current"
    return [Finding(CHECK, WARNING, text, see)]


def required(context: Context) -> list[Finding]:
    """Check the list of mail that is taken over TLS only: one that cannot be used puts off all plain text."""
    path = context.path(REQUIRED_TLS)
    try:
        line = wrong_line(read_text(path) or "")
    except (OSError, BadInput) as error:
        line = str(error)
    if not line:
        return []
    text = f"{path} cannot be used, so that all mail in plain text is put off with 451: {line!r:.120}"
    return [Finding(CHECK, CRITICAL, text, "run the playbook again; the list is gateway_require_tls")]


def tls(context: Context) -> list[Finding]:
    """Check that smtptls offers sessions and, unless the check has to be quick, that one works."""
    if not context.settings.tls:
        return required(context) or [Finding(CHECK, OK, "the gateway does not offer TLS (gateway_tls)")]
    offered = is_offered(context.path(SMTPTLS_SOCKET))
    lines = log_tail(context.path(f"{log_directory(SERVICE)}/current"), 4096)
    tried = None
    if offered and not context.quick:
        address = context.settings.proof or ("127.0.0.1", 25)
        tried = try_session(address, context.settings.hostname, SESSION_SECONDS)
    found = judge(offered, tried, repr(without_stamp(lines[-1])[:120]) if lines else "")
    served = tried.certificate if tried else b""
    shown = judge_served(served, context.path(CERTIFICATES_DIRECTORY)) if served else []
    return several([found, *shown, *required(context)], CHECK, found.text)
