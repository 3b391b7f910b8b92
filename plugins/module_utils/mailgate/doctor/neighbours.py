# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Health of the services that answer on their sockets: blacklist, operator and the resolver of MTA-STS."""

from __future__ import annotations

import socket

from ..blacklist import client as blacklist_command
from ..core.errors import BadInput, MailgateError
from ..core.paths import BLACKLIST_DIRECTORY, OPERATOR_SOCKET, STS_RESOLVER
from ..rules.files import read_text
from .context import Context
from .findings import CRITICAL, OK, WARNING, Finding

# An address has no policy: the resolver says so without a look-up.
_STS_QUESTION, _STS_ANSWER = b"17:mta-sts 127.0.0.1,", b"9:NOTFOUND ,"
_STS_SECONDS = 3.0


def judge_listening(check: str, what: str, trouble: str, text: str, status: int = WARNING) -> Finding:
    """Judge whether a service answers on its socket; check is also the name of its service."""
    if not trouble:
        return Finding(check, OK, text)
    name = {"blacklist": "adaptive-blacklist"}.get(check, check)
    advice = f"svstat /service/{name}, and see the end of /var/log/{name}/current"
    return Finding(check, status, f"{what} does not answer: {trouble}", advice)


def blacklist(context: Context) -> list[Finding]:
    """Check the adaptive blacklist by a request to it."""
    try:
        answer = blacklist_command.ask(context.path(BLACKLIST_DIRECTORY), {"do": "list"})
    except MailgateError as error:
        return [judge_listening("blacklist", "the adaptive blacklist", str(error), "")]
    entries = answer.get("entries")
    count = len(entries) if isinstance(entries, (list, dict)) else 0
    return [judge_listening("blacklist", "", "", f"answers, {count} addresses are refused")]


def operator(context: Context) -> list[Finding]:
    """Check only that the operator service listens: the service itself may wait for this answer."""
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(2)
            peer.connect(context.path(OPERATOR_SOCKET))
    except OSError as error:
        trouble = f"{OPERATOR_SOCKET}: {error.strerror or error}".lower()
        return [judge_listening("operator", "the operator's service", trouble, "")]
    return [judge_listening("operator", "", "", "the operator's service listens")]


def mta_sts(context: Context) -> list[Finding]:
    """Ask the resolver of MTA-STS policies, where qmail-remote does: mail by MX waits for its answers."""
    what = "the resolver of MTA-STS, without which mail by MX waits,"
    try:
        path = (read_text(context.path(STS_RESOLVER)) or "").partition("\n")[0].strip()
        if not path:
            return [judge_listening("mta-sts", "", "", "not asked (gateway_outbound_mta_sts)")]
        answer = _ask(context.path(path))
    except (OSError, BadInput) as error:
        trouble = str(getattr(error, "strerror", None) or error).lower()
        return [judge_listening("mta-sts", what, trouble, "", CRITICAL)]
    trouble = "" if answer == _STS_ANSWER else f"it says {answer!r:.60}"
    return [judge_listening("mta-sts", what, trouble, "the resolver of MTA-STS answers", CRITICAL)]


def _ask(path: str) -> bytes:
    answer = b""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(_STS_SECONDS)
        peer.connect(path)
        peer.sendall(_STS_QUESTION)
        while len(answer) < len(_STS_ANSWER):
            got = peer.recv(64)
            if not got:
                break
            answer += got
    return answer
