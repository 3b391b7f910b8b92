"""Bad senders: what a fragment may hold, who is refused, until when, and what serves when one is bad."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import senders as bad_senders
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.files import Versions
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.senders import compile_fragments

SITE = bad_senders.site_text(["x@bad.example", "@Worse.example", "X@bad.example"])


def test_the_sites_fragment() -> None:
    assert SITE.splitlines()[2:] == ["x@bad.example", "@worse.example"]


def test_who_is_refused_and_by_whom() -> None:
    text = '# mine\n# {"by": "al", "note": "n", "until": 2000}\n@Third.example\n@worse.example \t\n'
    made = compile_fragments(Versions("/d", {"10-site": SITE, "20-operator": text}), 1000)
    assert made.text.splitlines()[2:] == ["x@bad.example", "@third.example", "@worse.example"]
    assert bad_senders.in_force(made.text) == {"x@bad.example", "@third.example", "@worse.example"}
    assert made.next_expiry == 2000
    for sender, where in (
        ("X@Bad.Example", "/d/10-site line 3"),
        ("y@bad.example", None),
        ("a@b@third.example", "/d/20-operator line 3"),
        ("y@sub.worse.example", None),
        ("", None),
    ):
        found = bad_senders.explain(made, sender)
        assert (found.where if found else None) == where
    later = compile_fragments(Versions("/d", {"10-site": SITE, "20-operator": text}), 2000)
    assert "@third.example" not in later.senders


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (
            "*@bad.example",
            "'*@bad.example' has a '*', which stands for itself only; expected 'user@host' or '@host'",
        ),
        ("bad.example", "'bad.example' "),
        ("@", "'@' "),
        ("a b@bad.example", "'a b@bad.example' "),
    ],
)
def test_a_bad_line_is_named_and_the_last_good_version_serves(line: str, fault: str) -> None:
    texts = {"10-site": SITE, "20-operator": f"@ok.example\n{line}\n"}
    made = compile_fragments(Versions("/d", texts, good={"20-operator": "@good.example\n"}), 0)
    assert "@good.example" in made.senders
    assert "@ok.example" not in made.senders
    (told,) = made.faults()
    assert told.startswith(f"/d/20-operator line 2: {fault}")
    assert told.endswith("; its last good version is in force")
    assert "20-operator" not in made.good
    (told,) = compile_fragments(Versions("/d", texts), 0).faults()
    assert told.endswith("; it has no last good version and is left out")
    with pytest.raises(BadInput):
        compile_fragments(Versions("/d", {"10-site": f"{line}\n"}), 0)


def test_a_sender_is_compared_as_qmail_smtpd_has_it() -> None:
    """The sender is compiled without quotes, and with its domain in ASCII, however the fragment writes it."""
    text = '"John Doe"@bad.example\n@b\u00fccher.example\n"a\\"b"@bad.example\n'
    made = compile_fragments(Versions("/d", {"10-site": SITE, "20-operator": text}), 0)
    wanted = {"john doe@bad.example", "@xn--bcher-kva.example", 'a"b@bad.example'}
    assert wanted <= set(made.text.splitlines())
    assert bad_senders.explain(made, '"john doe"@BAD.example')
    assert bad_senders.explain(made, "john doe@bad.example")
    assert bad_senders.explain(made, "x@B\u00dcCHER.example")
    again = bad_senders.site_text(['"John Doe"@bad.example', "@b\u00fccher.example"])
    assert again.splitlines()[2:] == ['"john doe"@bad.example', "@xn--bcher-kva.example"]
    assert {one.address for one in bad_senders.parse(again, "x")} == {
        "john doe@bad.example",
        "@xn--bcher-kva.example",
    }


def test_changes_in_words() -> None:
    before = bad_senders.in_force("# x\n\nA@a.example \n@b.example\n")
    assert bad_senders.describe_changes(before, ["@b.example", "@c.example"]) == [
        "every sender @c.example will be refused",
        "sender a@a.example will no longer be refused",
    ]
