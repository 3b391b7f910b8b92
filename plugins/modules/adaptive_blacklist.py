# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: adaptive_blacklist
short_description: Settings of the adaptive blacklist
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Writes the settings of the service adaptive-blacklist, which refuses clients for a time because of what
    the log of the SMTP service says about them.
  - The service reads them again within two seconds; nothing needs to be restarted.
  - The diff describes the settings in words.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  path:
    description: The file. Its directory must exist.
    type: path
    default: /etc/mailgate/blacklist.json
  attempts:
    description:
      - An address is refused after more than so many attempts, when more than O(bad_percent) of them are bad.
      - An attempt is a scanned message, or a refused recipient; spam, viruses and refused recipients are bad.
    type: int
    default: 10
  bad_percent:
    description: How many percent of the attempts may be bad.
    type: int
    default: 50
  window_seconds:
    description: The seconds in which attempts are counted.
    type: int
    default: 3600
  listing_seconds:
    description: The seconds for which an address is refused.
    type: int
    default: 14400
  session_attempts:
    description: How many attempts of one session count at most.
    type: int
    default: 10
  spare_ham:
    description:
      - An address with so many clean messages in O(spare_ham_seconds) is reported, and not refused.
      - V(0) turns this off.
    type: int
    default: 50
  spare_ham_seconds:
    description: The seconds in which clean messages are counted.
    type: int
    default: 604800
  marked:
    description:
      - How a message counts that SpamAssassin takes for spam and that is marked and delivered.
      - V(neither) counts it as an attempt that is not bad, but not as a clean message.
    type: str
    choices: [spam, ham, neither]
    default: spam
  spam_score:
    description:
      - The site's limit in points, where single domains have limits of their own. What only such a domain
        calls spam, or clean, is an attempt that is not bad, and no clean message.
      - V(0) is for a site where none has.
    type: float
    default: 0
  addresses_max:
    description: How many addresses are watched at once. The one that was silent for longest is dropped first.
    type: int
    default: 100000
  events_max:
    description: How many attempts of one address are kept; more than O(attempts).
    type: int
    default: 200
  entries_max:
    description: How many addresses are refused at once. The entry that ends first is dropped first.
    type: int
    default: 10000
  ipv6_site_networks:
    description:
      - A client of IPv6 is its network /64.
      - A /48 is refused, too, when so many of its /64s are at once, 2 to 50. V(0) turns this off.
    type: int
    default: 8
  never:
    description:
      - Networks in CIDR form of which no address is ever refused, besides those that may relay, are
        whitelisted or protected.
    type: list
    elements: str
    default: []
  added:
    description: Addresses that the site has refused.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description:
          - An IPv4 address, or a network /64 or /48 of IPv6. An IPv6 address means its /64.
        type: str
        required: true
      until:
        description:
          - Until when, in UTC, as C(2026-12-24) or C(2026-12-24T18:00:00Z).
          - Without it, as long as the address is here. A time after the year 5138 is refused.
        type: str
      note:
        description: The reason, in printable ASCII, at most 200 characters.
        type: str
  released:
    description:
      - Addresses whose refusal is ended, and that are not refused as long as they are listed here.
      - In the forms of O(added[].address).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Refuse sooner, and for a day
  mailgate.qmail.adaptive_blacklist:
    attempts: 5
    listing_seconds: 86400

- name: Exempt a partner, and refuse a scanner permanently
  mailgate.qmail.adaptive_blacklist:
    never: [192.0.2.0/24]
    added:
      - address: 203.0.113.9
        note: harvests addresses
    released: [198.51.100.7]
"""

RETURN = r"""
settings:
  description: All settings as they are, or in check mode would be.
  type: dict
  returned: success
changed_paths:
  description: The file, when it changes.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.steps import adaptive_blacklist


def main():
    module = AnsibleModule(argument_spec=adaptive_blacklist.argument_spec(), supports_check_mode=True)
    adaptive_blacklist.run(module)


if __name__ == "__main__":
    main()
