# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host in a directory, for the tests of the service operator: a site's files, and an editor above them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import networks, tcprules
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.list_editor import ListEditor
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.places import (
    Caller,
    OperatorPaths,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.refused import (
    Refused,
    RefusedPaths,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.release import Scanner
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import (
    settings as recipients_settings,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import (
    store as recipients_store,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import (
    update as recipients_update,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import apply as rules_command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import senders as bad_senders
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import (
    site_fragment as rules_compiler,
)

RELAY, PROTECTED, PROTECTED_HERE = "10.0.0.0/24", "192.0.2.10/32", "203.0.113.0/28"
NOW = 1_790_000_000.0
ALICE, BOB = Caller(1001, "alice"), Caller(1002, "bob")
SITE = {
    "hostname": "mx1.example.com",
    "domains": [
        {"name": "example.com", "recipients": "list", "addresses": ["joe"]},
        {"name": "any.example", "recipients": "any"},
    ],
}


class Host:
    """The files of a gateway below one directory."""

    def __init__(self, path: Path) -> None:
        self.path, self.now = path, NOW
        self.said: list[str] = []
        for name in ("tcp.d", "badmailfrom.d", "rules", "sa", "state", "recipients"):
            (path / name).mkdir()
        site = rules_compiler.site_rules([RELAY], protected_networks=[PROTECTED])
        (path / "tcp.d/10-site").write_text(site)
        (path / "tcp.d/90-default").write_text(rules_compiler.default_rules())
        (path / "badmailfrom.d/10-site").write_text(bad_senders.site_text(["site@bad.example"]))
        (path / "fib_trie").write_text("  |-- 192.0.2.200\n     /32 host LOCAL\n")
        (path / "if_inet6").write_text("20010db8005000000000000000000025 02 40 00 80 eth0\n")
        (path / "operator.json").write_text(json.dumps({"protected_networks": [PROTECTED_HERE]}))
        (path / "recipients.json").write_text(json.dumps(SITE))
        (path / "sa/whitelist.cf").write_text("# mine\nwhitelist_from_rcvd *@friend.example friend.example\n")
        store = recipients_store.Store(str(path / "recipients"))
        settings = recipients_settings.parse(SITE)
        with store.locked():
            recipients_update.update(settings, store, now=self.now, by="test")
        self.places = OperatorPaths(
            rules=rules_command.Paths(
                directory=str(path / "tcp.d"),
                compiled=str(path / "cdb"),
                copy=str(path / "copy"),
                senders_directory=str(path / "badmailfrom.d"),
                senders=str(path / "badmailfrom"),
                state=str(path / "rules"),
            ),
            state=str(path / "state"),
            settings=str(path / "operator.json"),
            spamassassin=str(path / "sa"),
            recipients_settings=str(path / "recipients.json"),
            recipients=str(path / "recipients"),
            mailgate=("true",),
            addresses=str(path / "fib_trie"),
            ipv6_addresses=str(path / "if_inet6"),
        )
        rules_command.compile_rules(self.places.rules, self.now, by_hand=False)

    def editor(self, step: Callable[[str], None] = lambda dummy: None, start: bool = False) -> ListEditor:
        editor = ListEditor(self.places, lambda: self.now, self.said.append, step=step)
        if start:
            editor.start()
        return editor

    def text(self, name: str) -> str:
        path = Path(self.places.file(name))
        return path.read_text() if path.exists() else ""

    def files(self) -> dict[str, bytes]:
        """Return the files that acts may change, except the audit log and the locks."""
        names = ("tcp.d", "badmailfrom.d", "sa")
        found = {str(one): one.read_bytes() for name in names for one in (self.path / name).iterdir()}
        extra = self.path / "state/recipients"
        return {
            **{path: data for path, data in found.items() if not path.endswith(".lock")},
            "extra": extra.read_bytes() if extra.exists() else b"",
        }

    def relays(self) -> networks.AddressSet:
        """Return the addresses that may relay, by the compiled rules as they are looked up."""
        rules = self.rules()
        points = [*sorted(tcprules.boundaries(rules)), networks.LINE_END]
        found = []
        for first, following in zip(points, points[1:]):
            rule = tcprules.lookup(rules, networks.number_address(first))
            if rule is not None and rule.variable("RELAYCLIENT") is not None:
                found.append((first, following - 1))
        return networks.AddressSet(found)

    def rules(self) -> tcprules.Rules:
        return rules_command.rules_in_force(self.places.rules.copy)[0]


def add(
    editor: ListEditor, name: str, value: str, action: str = "", **more: Any
) -> tuple[int, tuple[str, ...]]:
    caller = more.get("caller", ALICE)
    return editor.act(caller, "add", name, value, action, more.get("note", "a test"), more.get("seconds"))


def remove(editor: ListEditor, name: str, value: str, caller: Caller = ALICE) -> tuple[int, tuple[str, ...]]:
    return editor.act(caller, "remove", name, value, "", "a test", None)


def together(*works: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def refused_of(editor: ListEditor, host: Host, scanner: str = "false", learner: str = "false") -> Refused:
    """Return the verbs about the kept copies in the host's directory 'refused', with programs of the test."""
    places = RefusedPaths(
        directory=str(host.path / "refused"),
        records=str(host.path / "state/released"),
        domains=str(host.path / "rcpthosts"),
        scanner=Scanner(scanner, user="", seconds=20.0),
        learner=("sh", learner),
        learner_home=str(host.path),
        learner_user="",
    )
    return Refused(editor, places, lambda: host.now)
