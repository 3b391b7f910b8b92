# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compile the rules and the bad senders of this host, and report the result."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput, MailgateError
from ..core.paths import (
    RULES_COMPILED,
    RULES_COPY,
    RULES_DIRECTORY,
    RULES_STATE,
    SENDERS_COMPILED,
    SENDERS_DIRECTORY,
)
from ..formats import tcprules
from . import compiled as rules_compiled
from . import compiler as rules_compiler
from . import fragments, readable_copy, verify
from . import senders as bad_senders
from .files import State, keep_good, locked, publish, read_text, read_versions, write_status

ADAPTIVE_USER = "blacklist"
_SHOWN_LINES = 10


class EditedByHand(MailgateError):
    """The readable copy was edited by hand; a new copy would lose the edits."""


@dataclass(frozen=True)
class Paths:
    """The directories and files of the rules and the bad senders."""

    directory: str = RULES_DIRECTORY
    compiled: str = RULES_COMPILED
    copy: str = RULES_COPY
    senders_directory: str = SENDERS_DIRECTORY
    senders: str = SENDERS_COMPILED
    state: str = RULES_STATE
    adaptive_user: str = ADAPTIVE_USER

    @property
    def good(self) -> str:
        return os.path.join(self.state, "good")

    @property
    def good_senders(self) -> str:
        return os.path.join(self.good, "badmailfrom.d")


@dataclass(frozen=True)
class Done:
    """The result of a compilation, as lines to report."""

    changes: tuple[str, ...] = ()  # whose treatment changes
    notices: tuple[str, ...] = ()  # files and rules without effect
    faults: tuple[str, ...] = ()  # what a person must correct
    summary: tuple[str, ...] = ()
    next_expiry: int | None = None


def stray_files(directory: str, names: Sequence[str] = fragments.FRAGMENTS) -> list[str]:
    """Return a notice for each file in the directory that is not a fragment, and so has no effect."""
    found = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    return [
        f"file {directory}/{name}: has no effect; expected only {', '.join(names)}"
        for name in found
        if name not in names and not name.startswith(".")
    ]


def refuse_edited(copy: str | None, wanted: str, path: str, directory: str) -> None:
    """Raise EditedByHand, showing the rules that would be lost, if the copy was edited by hand."""
    if copy is None or not readable_copy.edited_by_hand(copy):
        return
    now = [line for line in copy.splitlines() if line and not line.startswith("#")]
    then = [line for line in wanted.splitlines() if line and not line.startswith("#")]
    changes = [line for line in difflib.ndiff(then, now) if line[:2] in ("+ ", "- ")]
    shown = [f"\n  {line}" for line in changes[:_SHOWN_LINES]]
    if len(changes) > len(shown):
        shown.append(f"\n  and {len(changes) - len(shown)} more")
    raise EditedByHand(_edited(path, directory, "nothing is changed") + "".join(shown))


def _edited(path: str, directory: str, done: str) -> str:
    operator = os.path.join(directory, fragments.OPERATOR)
    return (
        f"file {path}: was edited by hand since it was generated, {done}; expected changes in "
        f"{operator}: move them there, remove {path}, and run 'qmailctl cdb' again"
    )


def load(paths: Paths, now: float, own: dict[str, str] | None = None) -> rules_compiled.Compiled:
    """Compile the fragments on the disk, with own texts in place of theirs; raises BadInput and OSError."""
    others = {fragments.ADAPTIVE: paths.adaptive_user}
    found = read_versions(paths.directory, fragments.FRAGMENTS, paths.good, others, own)
    return rules_compiler.compile_fragments(found, now)


def load_senders(paths: Paths, now: float, own: dict[str, str] | None = None) -> bad_senders.Compiled:
    """Compile the bad senders on the disk, with own texts in place of theirs; raises BadInput and OSError."""
    found = read_versions(paths.senders_directory, bad_senders.FRAGMENTS, paths.good_senders, own=own)
    return bad_senders.compile_fragments(found, now)


def rules_in_force(copy: str) -> tuple[tcprules.Rules, tuple[str, ...]]:
    """Return the rules in the readable copy and the denied addresses; none if it is missing or damaged."""
    try:
        return readable_copy.parse_copy(read_text(copy) or "", copy)
    except BadInput:
        return tcprules.Rules(copy, (), ()), ()


def _as_values(states: Mapping[str, State]) -> dict[str, dict[str, str]]:
    """Return the states in the form of status.json."""
    return {name: {"version": state.version, "fault": state.fault} for name, state in states.items()}


def compile_rules(paths: Paths, now: float, *, by_hand: bool) -> Done:
    """Update the compiled rules; raises MailgateError and OSError.

    A readable copy that was edited by hand stops a compilation by a person, who can move the edits; the
    service leaves the copy unchanged and compiles.
    """
    if not os.path.isdir(paths.directory):
        raise BadInput(f"directory {paths.directory}: missing; expected what mailgate.qmail.tcp_rules makes")
    with locked(paths.directory):
        made = load(paths, now)
        copy = read_text(paths.copy)
        edited = copy is not None and readable_copy.edited_by_hand(copy)
        if by_hand:
            refuse_edited(copy, made.copy, paths.copy, paths.directory)
        before = rules_in_force(paths.copy)
        changed = publish(
            paths.compiled, made.cdb, lambda data: verify.verify_cdb(data, made, paths.compiled)
        )
        if not edited:
            publish(paths.copy, made.copy.encode("utf-8", "surrogateescape"))
        keep_good(paths.good, made.good)
    faults = made.faults()
    if edited:
        faults.append(_edited(paths.copy, paths.directory, "the copy is left alone"))
    write_status(
        paths.state,
        "rules",
        {
            "rules": len(made.rules.rules),
            "adaptive": len(made.adaptive),
            "next_expiry": made.next_expiry,
            "copy_edited": edited,
            "error": "",
            "fragments": _as_values(made.states),
        },
    )
    return Done(
        changes=tuple(rules_compiler.describe_changes(before, made)) if changed and not edited else (),
        notices=(*stray_files(paths.directory), *made.notices),
        faults=tuple(faults),
        summary=(
            f"{paths.compiled}: {made.count} rules, {'in force now' if changed else 'in force already'}",
        ),
        next_expiry=made.next_expiry,
    )


def compile_senders(paths: Paths, now: float) -> Done:
    """Update control/badmailfrom; raises MailgateError and OSError."""
    if not os.path.isdir(paths.senders_directory):
        return Done()
    with locked(paths.senders_directory):
        made = load_senders(paths, now)
        before = bad_senders.in_force(read_text(paths.senders) or "")
        changed = publish(paths.senders, made.text.encode("utf-8", "surrogateescape"))
        keep_good(paths.good_senders, made.good)
    write_status(
        paths.state,
        "bad_senders",
        {
            "senders": len(made.senders),
            "next_expiry": made.next_expiry,
            "error": "",
            "fragments": _as_values(made.states),
        },
    )
    return Done(
        changes=tuple(bad_senders.describe_changes(before, made.senders)),
        notices=tuple(stray_files(paths.senders_directory, bad_senders.FRAGMENTS)),
        faults=tuple(made.faults()),
        summary=(
            f"{paths.senders}: {len(made.senders)} senders, in force {'now' if changed else 'already'}",
        ),
        next_expiry=made.next_expiry,
    )
