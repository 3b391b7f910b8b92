# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: needs_accounts
short_description: Lines of a run script that end it unless its accounts exist
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Returns lines of sh for the beginning of a service's run script. They end it with a line in its log and
    status 111, after a pause, when one of the accounts is missing, is root by its user or its group, or has a
    group that is missing. Without this check a program could continue as root, as C(tcpserver -u "") does.
  - After these lines C($uid) and C($gid) are the ids of the last account.
positional: _input, accounts
options:
  _input:
    description: The service's name, with which the log line begins.
    type: str
    required: true
  accounts:
    description: Names of accounts.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
run: "{{ 'clamd' | mailgate.qmail.needs_accounts(['clamav']) }}"
"""

RETURN = r"""
_value:
  description: Lines without a newline at their end.
  type: str
"""

import shlex  # noqa: E402

SCRIPT = """\
# No account, no service: nothing here may go on as root instead.
for account in {accounts}; do
  uid="$(id -u "$account" 2>/dev/null)"
  gid="$(id -g "$account" 2>/dev/null)"
  if ! [ "$uid" -gt 0 ] 2>/dev/null || ! [ "$gid" -gt 0 ] 2>/dev/null ||
    ! getent group "$gid" >/dev/null; then
    echo {service}": the account $account is missing, is root, or has no group (uid '$uid', gid '$gid'):" \\
      "refusing to run; run the playbook again" >&2
    sleep 5
    exit 111
  fi
done"""


def needs_accounts(service, accounts):
    return SCRIPT.format(
        service=shlex.quote(service), accounts=" ".join(shlex.quote(name) for name in accounts)
    )


class FilterModule:
    def filters(self):
        return {"needs_accounts": needs_accounts}
