# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs and what is in them: root, operators and the services that count may read it, nobody else."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest
from support.conversations import STRANGER, message
from support.gateway import Bed, submit
from support.policy_playbook import change

READER, OTHER, AGENT = "rita", "otto", "monitor"
STRANGERS = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
LOGGED_SECONDS = 20.0


def as_user(bed: Bed, user: str, *argv: str) -> tuple[int, str, str]:
    return bed.inside("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *argv)


@pytest.fixture(scope="module")
def logins(bed: Bed) -> Iterator[Bed]:
    for user in (READER, OTHER, AGENT):
        bed.inside("useradd", "--no-create-home", user)
    members = bed.inside("getent", "group", "mailgate-log")[1].strip().rpartition(":")[2]
    try:
        yield bed
    finally:
        bed.inside("gpasswd", "--members", members, "mailgate-log")
        for user in (READER, OTHER, AGENT):
            bed.inside("userdel", user)


@pytest.fixture(scope="module")
def canary(bed: Bed) -> str:
    """Return a word that stands in the subject and in the sender of a message in the logs."""
    word = f"canary{random.randrange(10**12):012}"
    said = submit(message(word), "alice@example.test", sender=f"{word}@sender.example", who=STRANGER)
    assert said.startswith("250 "), said
    deadline = time.monotonic() + LOGGED_SECONDS
    while bed.inside("sh", "-c", f"grep -qs {word} /var/log/qmail/*/current")[0]:
        assert time.monotonic() < deadline, "the message is not in the logs"
        time.sleep(0.2)
    return word


def test_no_stranger_reads_a_log(bed: Bed) -> None:
    script = f"""
    sed -n 's/^exec .* multilog .* //p' /service/*/log/run | tr -d "'" | sort -u | while read -r place; do
      stat -c '%a %U:%G %n' "$place"
      find "$place" -type f | while read -r file; do
        if {STRANGERS} cat "$file" >/dev/null 2>&1 </dev/null; then echo "$file is open"; fi
      done
    done
    """
    status, said, trouble = bed.inside("sh", "-c", script)
    assert (status, trouble) == (0, "")
    lines = said.splitlines()
    assert len(lines) >= 8
    assert [line for line in lines if not line.startswith("750 qmaill:mailgate-log /var/log/")] == []


def test_no_stranger_finds_a_message_anywhere(bed: Bed, canary: str) -> None:
    places = "/var /etc /run /tmp /srv /home"
    _status, found, _trouble = bed.inside("sh", "-c", f"exec {STRANGERS} grep -rlsF {canary} {places}")
    assert found == ""
    assert bed.inside("sh", "-c", f"grep -rlsF {canary} /var/log/qmail")[1] != ""


def test_services_read_the_logs_without_root(bed: Bed) -> None:
    group = bed.inside("getent", "group", "mailgate-log")[1].split(":")[2]
    script = "for pid in $(pgrep -f 'mailgate.* (stats|blacklist) serve'); do cat /proc/$pid/status; done"
    lines = bed.inside("sh", "-c", script)[1].splitlines()
    assert [line.split()[1:] for line in lines if line.startswith("Groups:")] == [[group]] * 2
    assert not [line for line in lines if line.startswith(("Uid:", "Gid:")) and "0" in line.split()]


def test_operators_and_readers_of_the_site_trace_and_others_are_told_why_not(
    logins: Bed, canary: str
) -> None:
    change(logins, gateway_operators=[READER], gateway_log_readers=[AGENT])
    for user in (READER, AGENT):
        status, out, err = as_user(logins, user, "mailgate", "trace", canary)
        assert status == 0, err
        assert canary in out
    refused = (
        "mailgate trace: log /var/log/qmail/smtpd: not allowed; expected root or a member of the group "
        "'mailgate-log', by gateway_operators or gateway_log_readers of the site, and a new login\n"
    )
    assert as_user(logins, OTHER, "mailgate", "trace", canary) == (100, "", refused)
    assert as_user(logins, OTHER, "mailgate", "stats")[0] == 0
    change(logins, gateway_operators=[], gateway_log_readers=[])
    for user in (READER, AGENT):
        assert as_user(logins, user, "mailgate", "trace", canary) == (100, "", refused)
