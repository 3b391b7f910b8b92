# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verbs about kept copies of refused messages: list, show, release, learn, forget."""

from __future__ import annotations

import pwd
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import BadInput, MailgateError, TryAgain
from ..core.paths import (
    ACCEPTED_DOMAINS,
    REFUSED_DIRECTORY,
    RELEASED_DIRECTORY,
    SA_LEARN,
    SCANNER,
    SPAMD_HOME,
)
from ..core.text import one_line
from ..formats import accepted_domains, message_text
from ..formats.refused_copy import Copy, Envelope, Head, parse_envelope
from ..host.refused_store import RefusedStore, opened
from ..rules.files import read_text
from . import release
from .entries import TRUSTED, canonical
from .list_editor import ListEditor
from .places import Caller

LISTED_MAX = 500
RECIPIENTS_SHOWN = 20
SEEN_BYTES = 16_384  # of a message, for its subject
LEARN_BYTES_MAX = 1 << 20  # Bayes needs no more, and takes long for it
LEARN_SECONDS = 40.0
HAM, SPAM = KINDS = ("ham", "spam")


@dataclass(frozen=True)
class RefusedPaths:
    """Where the copies and the records of their release are, and the programs that get them."""

    directory: str = REFUSED_DIRECTORY
    records: str = RELEASED_DIRECTORY
    domains: str = ACCEPTED_DOMAINS
    scanner: release.Scanner = field(default_factory=lambda: release.Scanner(SCANNER))
    learner: tuple[str, ...] = (SA_LEARN, "--max-size=0")
    learner_home: str = SPAMD_HOME
    learner_user: str = "spamd"


class Refused:
    """The verbs; every call opens the directory again."""

    def __init__(self, editor: ListEditor, places: RefusedPaths, clock: Callable[[], float]) -> None:
        self._editor, self._places, self._clock = editor, places, clock
        self._records = release.Records(places.records)

    def answer(self, caller: Caller, do: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer of one verb; raises MailgateError and OSError."""
        with opened(self._places.directory) as store:
            if do == "refused":
                return self._list(store, asked["search"].strip())
            name = asked["name"]
            if do == "refused-show":
                return self._show(caller, store, name)
            if do == "refused-forget":
                return self._forget(caller, store, name, asked["note"])
            if do == "refused-release":
                return self._release(caller, store, name, asked["note"], again=asked["again"])
            return self._learn(caller, store, name, asked["kind"], asked["note"])

    # Lookups

    def _list(self, store: RefusedStore, search: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        items = store.items()
        for place, item in enumerate(items):
            if len(found) == LISTED_MAX:
                return {"messages": found, "more": len(items) - place}
            values = self._values(store, item.name)
            if values is not None and (not search or _holds(values, search.casefold())):
                found.append(values)
        return {"messages": found, "more": 0}

    def _values(self, store: RefusedStore, name: str) -> dict[str, Any] | None:
        """Return a copy as callers see it; None when it was removed meanwhile, or cannot be understood."""
        try:
            head, envelope, begin = store.begin(name, SEEN_BYTES)
            to = parse_envelope(envelope, name)
            record = self._records.read(name)
        except (MailgateError, OSError):
            return None
        return values(name, head, to, begin, record)

    def _show(self, caller: Caller, store: RefusedStore, name: str) -> dict[str, Any]:
        head, envelope, begin = store.begin(name, message_text.BYTES_MAX)
        to = parse_envelope(envelope, f"refused message {name}")
        text = message_text.message_text(begin, head.message_bytes)
        self._editor.say(f"{caller.name} reads the refused message {name}")  # it is somebody else's mail
        return {
            "message": values(name, head, to, begin, self._records.read(name)),
            "header": list(text.header),
            "body": list(text.body),
            "cut": text.cut,
        }

    # Acts

    def _release(
        self, caller: Caller, store: RefusedStore, name: str, note: str, *, again: bool
    ) -> dict[str, Any]:
        what = f"refused message {name}"
        trusted = trust(parse_envelope(store.begin(name, 0)[1], what))  # no act about what is not there

        def work() -> list[str]:
            why = release.fault(self._records.read(name), again=again)
            if why:
                raise BadInput(f"{what}: {why}")
            copy = store.read(name)  # here, where only one is in memory at a time
            envelope = parse_envelope(copy.envelope, what)
            self._refuse_strangers(what, envelope)
            self._records.forget_others([one.name for one in store.items()])
            words = self._give(caller, name, copy)
            return [f"{name} is delivered to {', '.join(_recipients(envelope))}: no virus was found, {words}"]

        effects = self._editor.keep(caller, "refused-release", name, note, work)
        return {"effects": effects, "trust": trusted}

    def _give(self, caller: Caller, name: str, copy: Copy) -> str:
        """Give a copy to simscan between two records; return words, or raise MailgateError."""
        now = self._clock()
        self._records.write(name, release.Record(release.BEGUN, int(now), caller.name))
        marked = release.mark(name, copy.head, now) + copy.message
        try:
            found = release.outcome(self._places.scanner.run(marked, copy.envelope))
        except TryAgain as error:  # it was not started
            found = release.Outcome(release.FAILED, str(error), temporary=True)
        ended = release.Record(found.stage, int(now), caller.name, found.words)
        if found.stage != release.DONE:
            self._records.write(name, ended)
            raise release.refuse(found, f"refused message {name}")
        try:
            self._records.write(name, ended)
        except OSError as error:  # 'begun' is on the disk, so it is not delivered once more
            self._editor.say(f"refused message {name}: was released; its record cannot be written: {error}")
        return found.words

    def _refuse_strangers(self, what: str, envelope: Envelope) -> None:
        text = read_text(self._places.domains)
        if text is None:
            raise TryAgain(f"file {self._places.domains}: is missing; expected the domains that are served")
        accepted = frozenset(one.lower() for one in accepted_domains.parse(text))
        for one in envelope.recipients:
            # simscan keeps what came for the site's own domains. A copy with another recipient would make a
            # relay of the release, for whoever can write into simscan's directory.
            if not release.served(one, accepted):
                raise BadInput(
                    f"{what}: {_shown(one)!r:.300} is in no domain that is served here; expected one that is"
                )

    def _learn(self, caller: Caller, store: RefusedStore, name: str, kind: str, note: str) -> dict[str, Any]:
        def work() -> list[str]:
            message = store.read(name).message[:LEARN_BYTES_MAX]  # here, as in a release
            said = self._run_learner(kind, message)
            return [f"{name} as {kind}: {one_line(said)}"]

        store.begin(name, 0)  # no act about what is not there
        return {"effects": self._editor.keep(caller, "refused-learn", f"{name} {kind}", note, work)}

    def _run_learner(self, kind: str, message: bytes) -> str:
        """Return what sa-learn says; raises TryAgain when it fails."""
        places = self._places
        home = places.learner_home
        options: dict[str, Any] = {}
        try:
            if places.learner_user:
                user = pwd.getpwnam(places.learner_user)
                options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "umask": 0o077}
            done = subprocess.run(
                [*places.learner, f"--{kind}"],
                input=message,
                capture_output=True,
                timeout=LEARN_SECONDS,
                check=False,
                cwd=home,
                env={"HOME": home, "LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"},
                **options,
            )
        except subprocess.TimeoutExpired as error:
            raise TryAgain(
                f"{places.learner[0]}: did not end within {LEARN_SECONDS:g} s; try again"
            ) from error
        except (OSError, KeyError) as error:
            raise TryAgain(f"{places.learner[0]}: {error}; nothing was learned") from error
        said = (done.stdout if done.returncode == 0 else done.stderr).decode("utf-8", "replace").strip()
        last = (said.splitlines() or [""])[-1]
        if done.returncode != 0:
            raise TryAgain(f"{places.learner[0]}: {last or f'status {done.returncode}'}; nothing was learned")
        return last or "learned"

    def _forget(self, caller: Caller, store: RefusedStore, name: str, note: str) -> dict[str, Any]:
        def work() -> list[str]:
            store.forget(name)
            return [f"{name} is no longer kept"]

        return {"effects": self._editor.keep(caller, "refused-forget", name, note, work)}


def _shown(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _recipients(envelope: Envelope) -> list[str]:
    shown = [_shown(one) for one in envelope.recipients[:RECIPIENTS_SHOWN]]
    more = len(envelope.recipients) - len(shown)
    return [*shown, *([f"and {more} more"] if more else [])]


def values(
    name: str, head: Head, envelope: Envelope, begin: bytes, record: release.Record | None
) -> dict[str, Any]:
    """Return what callers see of a copy, but for its text."""
    return {
        "name": name,
        "at": head.at,
        "verdict": head.verdict,
        "score": head.score,
        "limit": head.limit,
        "rules": list(head.rules),
        "virus": head.name,
        "client": head.client,
        "id": head.id,
        "bytes": head.message_bytes,
        "sender": _shown(envelope.sender),
        "recipients": _recipients(envelope),
        "subject": message_text.field(begin, "subject"),
        "from": message_text.field(begin, "from"),
        "released": record.words() if record is not None else "",
    }


def trust(envelope: Envelope) -> str:
    """Return the sender in the form in which it can be trusted, or '' when it cannot."""
    try:
        return canonical(TRUSTED, envelope.sender.decode("ascii"))
    except (MailgateError, UnicodeDecodeError):
        return ""


def _holds(shown: Mapping[str, Any], word: str) -> bool:
    texts: Sequence[Any] = [
        shown[key] for key in ("name", "sender", "subject", "from", "client", "id", "virus")
    ]
    return any(word in str(one).casefold() for one in (*texts, *shown["recipients"], *shown["rules"]))
