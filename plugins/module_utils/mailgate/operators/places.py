# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths and limits of the operators' service, its callers, and judged changes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ..core.errors import MailgateError
from ..core.paths import (
    MAILGATE_COMMAND,
    OPERATOR_DIRECTORY,
    OPERATOR_SETTINGS,
    RECIPIENTS_DIRECTORY,
    RECIPIENTS_SETTINGS,
    SPAMASSASSIN_SITE,
)
from ..rules import fragments as tcprules
from ..rules import senders as bad_senders
from ..rules.apply import Paths
from .entries import CLIENTS, RECIPIENTS, RELAY, SENDERS, Entry

OPERATOR_CF, BY_HAND = "operator.cf", ("whitelist.cf", "blocklist.cf")
SECONDS_MAX = 10 * 365 * 86_400


class Renewed(MailgateError):
    """The entry was renewed or removed meanwhile, so it has not ended."""


@dataclass(frozen=True)
class OperatorPaths:
    """The paths of the rules, the service, SpamAssassin and the recipients."""

    rules: Paths = field(default_factory=Paths)
    state: str = OPERATOR_DIRECTORY
    settings: str = OPERATOR_SETTINGS
    spamassassin: str = SPAMASSASSIN_SITE
    recipients_settings: str = RECIPIENTS_SETTINGS
    recipients: str = RECIPIENTS_DIRECTORY
    mailgate: tuple[str, ...] = (MAILGATE_COMMAND,)
    addresses: str = "/proc/net/fib_trie"  # of the host, see proc(5)
    ipv6_addresses: str = "/proc/net/if_inet6"

    @property
    def audit(self) -> str:
        return os.path.join(self.state, "audit.jsonl")

    @property
    def extra(self) -> str:
        return os.path.join(self.state, "recipients")

    def file(self, name: str) -> str:
        """Return the file of a list."""
        if name in (RELAY, CLIENTS):
            return os.path.join(self.rules.directory, tcprules.OPERATOR)
        if name == SENDERS:
            return os.path.join(self.rules.senders_directory, bad_senders.OPERATOR)
        return self.extra if name == RECIPIENTS else os.path.join(self.spamassassin, OPERATOR_CF)

    def lock(self, name: str) -> str:
        """Return the directory whose lock the writers of that file hold."""
        if name in (RELAY, CLIENTS, SENDERS):
            return os.path.dirname(self.file(name))
        return self.state


@dataclass(frozen=True)
class Caller:
    """The user who sends a request: the uid from the kernel, and the login name."""

    uid: int
    name: str


@dataclass(frozen=True)
class Change:
    """One judged edit of a list: the file's text before and after, its effects, or why it is refused."""

    name: str
    value: str
    old: str
    new: str
    before: Entry | None
    after: Entry | None
    effects: tuple[str, ...] = ()
    problem: str = ""
