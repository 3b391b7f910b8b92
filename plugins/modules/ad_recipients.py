# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ad_recipients
short_description: The recipients that the gateway accepts, from Active Directory and from the site file
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Does immediately what the recipients' service does on its schedule, with the same code and as the same
    user. Exports the directories, verifies that the export is complete, compares it with the limits, and
    publishes the cdb in which qmail-smtpd looks up each recipient.
  - Every domain also gets postmaster and abuse, the gateway's own name postmaster, abuse, root and
    mailer-daemon, and postmaster without a domain is always there.
  - The new file is read back, key by key, before it replaces the old one.
  - A directory that does not answer, or an export that is refused, changes nothing of what the directories
    gave before. The module does not fail then, but returns RV(problem), so that a play can go on and fail at
    its end. It fails when a domain that is not yet in the list is to come from that directory, because the
    list that serves would refuse all of its recipients.
  - In check mode the directories are also exported, but nothing is written.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  directory:
    description:
      - The directory of the list, its earlier generations and its state. It must exist.
      - The files belong to O(user).
    type: path
    default: /var/lib/mailgate/recipients
  user:
    description: The user that exports and publishes. In check mode it need not exist yet.
    type: str
    default: recipients
  hostname:
    description: The gateway's fully qualified host name.
    type: str
    required: true
  domains:
    description:
      - The gateway's domains, each with C(name), C(recipients) and perhaps C(addresses).
      - With V(list) C(addresses) are all recipients, with V(any) the only one is C(@domain), and with
        V(directory) C(addresses) are added to those of the directories.
      - An address whose local part ends in C(-default) accepts every local part with the text before it.
    type: list
    elements: dict
    required: true
  directories:
    description:
      - The directories without their passwords, as P(mailgate.qmail.directories#filter) makes them.
    type: list
    elements: dict
    default: []
  required:
    description: Addresses without which an export is refused.
    type: list
    elements: str
    default: []
  loss_percent:
    description: The percentage of a domain's addresses that one export may remove.
    type: int
    default: 10
  loss_number:
    description: The number of a domain's addresses that one export may remove.
    type: int
    default: 1000
  loss_floor:
    description: This many addresses of a domain may always be removed, unless none is left.
    type: int
    default: 5
  generations:
    description: How many generations of the list are kept. Those of the last exports stay longest.
    type: int
    default: 10
  max_age_hours:
    description: Not used here; an older export is an alarm of C(mailgate recipients status).
    type: int
    default: 24
  extra:
    description: A file with recipients of the operators, which are added if the file exists.
    type: path
    default: /var/lib/mailgate/operator/recipients
  diff_limit:
    description: The maximum number of addresses of each kind in the diff and the result.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: Accept the recipients of the site's domains
  mailgate.qmail.ad_recipients:
    hostname: mx1.example.com
    domains:
      - name: example.com
        recipients: directory
        addresses: [fax]
      - name: example.net
        recipients: any
    directories: "{{ gateway_directory | mailgate.qmail.directories }}"
"""

RETURN = r"""
count:
  description: How many keys the list has, or in check mode would have; 0 when there is no list.
  type: int
  returned: success
generation:
  description: The generation that serves; in check mode the one before.
  type: int
  returned: success
gained_count:
  description: How many keys are new.
  type: int
  returned: success
lost_count:
  description: How many keys are removed.
  type: int
  returned: success
gained:
  description: The first of the new keys, O(diff_limit) at most.
  type: list
  elements: str
  returned: success
lost:
  description: The first of the removed keys, O(diff_limit) at most.
  type: list
  elements: str
  returned: success
damage:
  description: What was wrong with the file that served; empty for a valid file or none.
  type: str
  returned: success
problem:
  description: Why the directories' answer is not used; empty without a problem.
  type: str
  returned: success
notices:
  description: What was exported, and how many of its addresses are not recipients and why.
  type: list
  elements: str
  returned: success
changed_paths:
  description: The list, when it changes.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.steps import ad_recipients


def main():
    module = AnsibleModule(argument_spec=ad_recipients.argument_spec(), supports_check_mode=True)
    ad_recipients.run(module)


if __name__ == "__main__":
    main()
