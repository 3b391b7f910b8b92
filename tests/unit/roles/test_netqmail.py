# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The netqmail role: what has a variable of its own is not set by the environment of qmail-smtpd alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.role_cases import run_cases

PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: mailgate.qmail.netqmail, tasks_from: limits}
"""
SAID = "netqmail_environment: {0} is not for the environment of qmail-smtpd alone; expected {1}"
CASES = [
    ({}, ""),
    ({"netqmail_environment": {}}, ""),
    ({"netqmail_environment": {"QMAILQUEUE": "/var/qmail/bin/qmail-queue", "DATA_BYTES_PER_SECOND": 10}}, ""),
    *(
        ({"netqmail_environment": {"QMAILQUEUE": "x", name: 1}}, SAID.format(name, instead))
        for name, instead in (
            ("DATABYTES", "netqmail_databytes (gateway_databytes)"),
            ("DATA_SECONDS", "netqmail_data_seconds"),
            ("RECIPIENTS_LIMIT", "netqmail_recipients_limit"),
            ("REFUSALS_LIMIT", "netqmail_refusals_limit and smtp_front_refusals_limit"),
            ("SMTPTLS", "netqmail_tls_socket"),
            ("RELAYCLIENT", "gateway_relay_networks, for it would let everybody relay"),
            (
                "VALIDRCPTTO_LIMIT",
                "netqmail_invalid_recipients_limit and smtp_front_invalid_recipients_limit",
            ),
        )
    ),
]


@pytest.mark.slow
def test_what_has_a_variable_of_its_own_is_not_in_the_environment(tmp_path: Path) -> None:
    run_cases(tmp_path, PLAY, CASES)
