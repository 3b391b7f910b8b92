"""The filter as a template calls it."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mailgate.qmail.plugins.filter.relay_prefixes import FilterModule

relay_prefixes = FilterModule().filters()["relay_prefixes"]


def test_networks_become_addresses() -> None:
    assert relay_prefixes(["10.0.0.0/22", "198.51.100.64/26"]) == ["10.0.0-3.", "198.51.100.64-127"]


def test_the_limit_is_a_parameter() -> None:
    assert relay_prefixes(["10.0.0.0/7"], minimum_prefix_length=7) == ["10-11."]


def test_a_bad_network_is_an_error_of_the_filter() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        relay_prefixes(["10.0.0.0/7"])
    assert str(caught.value) == (
        "relay network 1: '10.0.0.0/7' is wider than /8; expected a prefix length from 8 to 32"
    )
