# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom no entry of the adaptive blacklist may refuse; the blacklist and the compiler say the same."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist.exemptions import (
    Exemptions,
    facts_of,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tcprules
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.compiler import compile_fragments
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.files import Versions
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.fragments import (
    AdaptiveEntry,
    Facts,
    render_adaptive,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.never_refused import (
    NeverRefused,
    networks_of,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.site_fragment import (
    default_rules,
    site_rules,
)

SITE = site_rules(
    ["10.0.0.0/24"], protected_networks=["203.0.113.0/30"], whitelisted_networks=["192.0.2.128/25"]
)
OPERATOR = (
    '# mailgate: {"relay_networks": ["9.9.8.0/24"]}\n9.9.8.:allow,RELAYCLIENT=""\n'
    '9.9.9.:allow,WHITELISTED=""\n9.9.9.8-15:allow,A="1"\n=a.example:allow,WHITELISTED=""\n8.:deny\n'
)
REASONS = {
    "127.0.0.1": "it is this host",
    "127.255.255.255": "it is this host",
    "128.0.0.0": "",
    "9.255.255.255": "",
    "10.0.0.0": "it may relay",
    "10.0.0.255": "it may relay",
    "10.0.1.0": "",
    "203.0.113.3": "it is protected",
    "203.0.113.4": "",
    "192.0.2.127": "",
    "192.0.2.128": "it is whitelisted",
    "9.9.8.1": "it may relay",
    "9.9.9.7": "it is whitelisted by /d/20-operator line 3",
    "9.9.9.16": "it is whitelisted by /d/20-operator line 3",
    "8.8.8.8": "",
    "255.255.255.255": "",
    "0.0.0.0": "",
}


def blacklist() -> Exemptions:
    never = Exemptions()
    never.take_site(facts_of(SITE))
    never.take_operator(tcprules.parse(OPERATOR, "/d/20-operator"))
    return never


def left_out(address: str) -> str:
    """Why the compiler leaves out an entry for the address, or ''."""
    adaptive = render_adaptive([AdaptiveEntry(address, 2000, "bad")])
    texts = {"10-site": SITE, "20-operator": OPERATOR, "30-adaptive": adaptive, "90-default": default_rules()}
    made = compile_fragments(Versions("/d", texts), 1000)
    assert made.faults() == []
    reasons = [one.reason for one in made.dropped if one.where == "/d/30-adaptive"]
    assert (address in made.adaptive) is not bool(reasons)
    return reasons[0] if reasons else ""


@pytest.mark.parametrize(("address", "reason"), REASONS.items())
def test_the_blacklist_and_the_compiler_say_the_same(address: str, reason: str) -> None:
    assert blacklist()(address) == reason
    assert left_out(address) == reason


def test_an_address_with_a_rule_of_its_own_is_left_to_that_rule_by_the_compiler_alone() -> None:
    assert blacklist()("9.9.9.9") == ""
    assert left_out("9.9.9.9") == "/d/20-operator line 4 decides about it"


def test_what_is_bad_changes_nothing() -> None:
    never = blacklist()
    bad = tcprules.parse('# mailgate: {"relay_networks": 7}\n', "/d/20-operator")
    with pytest.raises(BadInput):
        never.take_operator(bad)
    assert {address: never(address) for address in REASONS} == REASONS
    assert never.known == facts_of(SITE)
    never.take_operator(None)
    assert never("9.9.8.1") == never("9.9.9.7") == ""


def test_without_facts_and_rules_only_the_host_itself_is_spared() -> None:
    never_refused = NeverRefused(networks_of(Facts()).items())
    assert never_refused("127.0.0.1") == "it is this host"
    assert never_refused("10.0.0.1") == ""
