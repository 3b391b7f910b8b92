# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The entries of the operators' lists in their files, together with the site's."""

from __future__ import annotations

import json
import os

from ..core import times
from ..core.errors import BadInput, MailgateError, TryAgain
from ..formats import tcprules
from ..formats.addresses import written_address
from ..formats.cdb import Reader
from ..formats.networks import LOOPBACKS, NOT_EVERYBODY, Network, parse_networks
from ..host import preflight
from ..recipients import keys as recipients
from ..recipients.process import read_settings
from ..recipients.settings import Settings
from ..recipients.store import Store
from ..rules import fragments
from ..rules import senders as bad_senders
from ..rules.files import read_owned, read_text
from . import entries as operator_entries
from . import site_entries as operator_site
from .entries import CLIENTS, OPERATOR, RECIPIENTS, RELAY, SENDERS, Entry
from .places import BY_HAND, OperatorPaths


class Lists:
    """The present entries of each list; every call reads the files again."""

    def __init__(self, places: OperatorPaths) -> None:
        self.places = places

    def entries(self, name: str) -> list[Entry]:
        """Return the site's entries of a list and the operators'; raises BadInput and OSError."""
        own = operator_entries.entries(name, self.text(name), self.places.file(name))
        return [*self.site_entries(name), *own]

    def text(self, name: str) -> str:
        """Return the text of a list's file, '' without one; raises BadInput unless it is root's."""
        text, fault = read_owned(self.places.file(name), "root")
        if fault:
            raise BadInput(fault)
        return text or ""

    def own_entry(self, name: str, value: str) -> Entry | None:
        """Return the operators' entry for this value, or None."""
        found = operator_entries.entries(name, self.text(name), self.places.file(name))
        return next((one for one in found if one.value == value and not one.fixed), None)

    def site_entries(self, name: str) -> list[Entry]:
        """Return the entries of a list that the site file made; raises BadInput and OSError."""
        directory = self.places.rules.directory
        if name in (RELAY, CLIENTS):
            path = os.path.join(directory, fragments.SITE)
            site = tcprules.parse(read_text(path) or "", path)
            return operator_site.rules_entries(name, site, fragments.site_facts(site), self.protected())
        if name == SENDERS:
            path = os.path.join(self.places.rules.senders_directory, bad_senders.SITE)
            return operator_site.senders_entries(read_text(path) or "", path)
        if name == RECIPIENTS:
            settings = self.recipients_settings()
            return operator_site.recipient_entries(settings.domains, settings.hostname)
        paths = {one: os.path.join(self.places.spamassassin, one) for one in BY_HAND}
        texts = {path: read_text(path) or "" for path in paths.values()}
        return operator_site.scored_entries(name, texts)

    def relay_networks(self) -> tuple[Network, ...]:
        """Return the networks that may relay by the site file, and loopback; raises BadInput and OSError."""
        path = os.path.join(self.places.rules.directory, fragments.SITE)
        facts = fragments.site_facts(tcprules.parse(read_text(path) or "", path))
        return (*LOOPBACKS, *facts.relay_networks)

    def protected(self) -> tuple[Network, ...]:
        """Return the networks of operator.json, protected from operators; raises BadInput and OSError."""
        try:
            with open(self.places.settings, encoding="utf-8") as stream:
                networks = json.load(stream)["protected_networks"]
        except FileNotFoundError:
            return ()
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"file {self.places.settings}: {error!r}; expected an object with 'protected_networks'"
            ) from error
        return parse_networks(networks, f"file {self.places.settings}: network", NOT_EVERYBODY)

    def site_domains(self) -> frozenset[str]:
        """Return the site's domains, as in SMTP; none when they are not known."""
        try:
            return frozenset(self.recipients_settings().domain_names)
        except (MailgateError, OSError):
            return frozenset()

    def own_addresses(self) -> list[str]:
        """Return the gateway's own addresses; none when they are not known."""
        try:
            ipv4 = preflight.own_addresses(read_text(self.places.addresses) or "")
            return [*ipv4, *preflight.own_ipv6_addresses(read_text(self.places.ipv6_addresses) or "")]
        except (MailgateError, OSError):
            return []

    def recipients_settings(self) -> Settings:
        """Return the settings of the recipients; raises BadInput and OSError."""
        return read_settings(self.places.recipients_settings)

    def recipient(self, address: str) -> tuple[bool, list[str]]:
        """Return whether an address is a recipient now, and the reasons; raises MailgateError and OSError."""
        value = operator_entries.canonical(RECIPIENTS, address)
        store = Store(self.places.recipients)
        data = store.served()
        if data is None:
            raise TryAgain(f"{store.served_path}: missing, every recipient gets 451; expected a list")
        reader = Reader(data, store.served_path)
        tries = recipients.looked_up(value)
        key = next((one for one in tries if reader.get(one.encode("ascii")) is not None), "")
        if not key:
            return False, [f"{value}: refused, not in the list"]
        words = [f"{value}: accepted, by {key}"]
        written = written_address(key)
        last, own = store.last(), self.own_entry(RECIPIENTS, written)
        if last is not None and key in last.recipients.exported:
            words.append(f"{key}: the directory has it")
        if any(one.value == written for one in self.site_entries(RECIPIENTS)):
            words.append(f"{key}: the site file has it")
        if own is not None:
            until = f", until {times.utc(own.note.until)}" if own.note.until is not None else ""
            words.append(f"{key}: added by {own.note.by or OPERATOR}: {own.note.note}{until}")
        return True, words
