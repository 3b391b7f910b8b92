"""The filters of the roles: shapes only, decisions are the package's."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.filter.as_files import as_files
from ansible_collections.mailgate.qmail.plugins.filter.ascii_domain import FilterModule
from ansible_collections.mailgate.qmail.plugins.filter.domain_rules import domain_rules
from ansible_collections.mailgate.qmail.plugins.filter.peers import peers
from ansible_collections.mailgate.qmail.plugins.filter.route_addresses import route_addresses
from ansible_collections.mailgate.qmail.plugins.filter.smtproutes import smtproutes
from ansible_collections.mailgate.qmail.plugins.filter.update_faults import update_faults
from ansible_collections.mailgate.qmail.plugins.filter.version_name import version_name
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput

ascii_domain = FilterModule().filters()["ascii_domain"]


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("mx1.example.com", "mx1.example.com\n"),
        (120, "120\n"),
        (["a.example", "b.example"], "a.example\nb.example\n"),
        ([], ""),
        ("", "\n"),
    ],
)
def test_a_value_is_lines(value, content):
    assert as_files({"name": value}, "/c") == [{"path": "/c/name", "content": content}]


def test_files_come_in_the_order_of_their_names():
    assert [entry["path"] for entry in as_files({"me": 1, "databytes": 2}, "/c")] == ["/c/databytes", "/c/me"]


def test_a_domain_that_goes_to_its_mx_has_a_line_for_that():
    """Without one its mail would go by the smart host, and an earlier route would look needed still."""
    domains = [{"name": "a.example", "route": "10.0.0.5:2525"}, {"name": "b.example", "route": ""}]
    assert smtproutes(domains) == [
        {"domain": "a.example", "route": "10.0.0.5:2525"},
        {"domain": "b.example", "route": ""},
    ]


def test_a_domain_in_unicode_has_a_form_in_ascii():
    assert ascii_domain("B\u00fccher.example") == "xn--bcher-kva.example"
    assert ascii_domain("Example.COM") == "example.com"


def test_addresses_of_routes_come_once_and_names_are_left_out():
    routes = ["10.0.0.5:2525", "", "mail.example:25", "10.0.0.5", "[10.0.0.6]", "10.0.0.7", "2001:db8::1"]
    assert route_addresses([{"route": route} for route in routes]) == ["10.0.0.5", "10.0.0.6", "10.0.0.7"]


def test_the_name_of_a_version_depends_on_paths_and_contents_alone():
    files = [{"path": "a/b", "content": "1"}, {"path": "c", "content": ""}]
    name = version_name(files)
    assert name == version_name(list(reversed(files)))
    assert len(name) == 16
    others = [
        [{"path": "a/b", "content": "2"}, {"path": "c", "content": ""}],
        [{"path": "a/b", "content": "1"}, {"path": "d", "content": ""}],
        [{"path": "a/b", "content": "1"}],
        [{"path": "a/b", "content": ""}, {"path": "c", "content": "1"}],
    ]
    assert len({name, *map(version_name, others)}) == 5


def test_rules_of_domains_are_the_lines_of_their_file():
    domains = [{"name": "a.example", "spam": {"reject": 8}}, {"name": "b.example"}]
    assert domain_rules(domains) == ["rule", "reject 8", "domain a.example", "end"]
    assert domain_rules([{"name": "a.example", "spam": {"mark": 4}}], "[S]")[2] == "subject_tag [S]"
    assert domain_rules([]) == ["end"]
    with pytest.raises(BadInput):
        domain_rules([{"name": "a.example", "spam": {"reject": "8,5"}}])


def test_gateways_have_a_name_and_an_address():
    assert peers(["MX1.example.com", {"name": "mx2.example.com", "address": "192.0.2.2"}]) == [
        {"name": "mx1.example.com", "address": "mx1.example.com"},
        {"name": "mx2.example.com", "address": "192.0.2.2"},
    ]
    assert peers([]) == []
    with pytest.raises(BadInput, match="item 2: 7 is not a mapping"):
        peers(["mx1.example.com", 7])


def test_a_host_that_was_no_gateway_has_no_state_before():
    answer = '{"findings": [{"check": "virus", "status": 0, "text": ""}]}'
    assert update_faults([answer], None) == update_faults([answer], "") != []
