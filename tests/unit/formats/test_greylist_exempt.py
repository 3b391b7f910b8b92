# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What exempts from the greylist, and that the programs read whatever the site check lets through."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.greylist_exempt import (
    exempt_fault,
)
from support.c_programs import INCLUDES, ROOT, gcc, needed

GOOD = (
    "192.0.2.0/24",
    "192.0.2.7/32",
    "128.0.0.0/1",
    "2001:db8::/32",
    "2001:DB8:0::1/128",
    "::ffff:192.0.2.0/120",
    "example.com",
    "Outbound.Protection.Outlook.com",
    "xn--bcher-kva.example",
    "1and1.example",
)
BAD = {
    "0.0.0.0/0": "is wider than /1; expected a prefix length from 1 to 32",
    "2000::/3": "is wider than /4; expected a prefix length from 4 to 128",
    "192.0.2.1": "has no prefix length; expected '192.0.2.1/32' for a host, "
    "or a network such as '10.0.0.0/24'",
    "192.0.2.1/24": "has host bits set; expected '192.0.2.0/24', or '192.0.2.1/32' for this one host",
    "2001:db8::1": "has no prefix length; expected '2001:db8::1/128' for a host, "
    "or a network such as '10.0.0.0/24'",
    "[2001:db8::]/32": "has brackets; expected it without them, '2001:db8::/32'",
    "com": "has no dot; expected a name such as 'mail.example.com'",
    "*.example.com": "is not in the usual form; expected 'example.com', which every host below it has",
    ".example.com": "is not in the usual form; expected 'example.com', which every host below it has",
    "example.com.": "is not in the usual form; expected 'example.com', which every host below it has",
    "a b.example": "is not a domain name; expected a name such as 'mail.example.com': letters, digits and "
    "'-' between dots",
    "192.0.2.300": "ends in a number; expected a name such as 'mail.example.com'",
    "# example.com": "is not a domain name; expected a name such as 'mail.example.com': letters, digits and "
    "'-' between dots",
    "example.com\nevil.example": "is not a domain name; expected a name such as 'mail.example.com': letters, "
    "digits and '-' between dots",
}  # fmt: skip


@pytest.mark.parametrize("item", GOOD)
def test_networks_and_domains(item: str) -> None:
    assert exempt_fault(item, "x") == ""


@pytest.mark.parametrize(("item", "fault"), BAD.items())
def test_what_would_exempt_nobody_or_everybody(item: str, fault: str) -> None:
    assert exempt_fault(item, "x") == f"x: {item!r} {fault}"


@pytest.mark.parametrize("item", ["", None, 7, ["a.example"]])
def test_what_is_neither(item: object) -> None:
    assert exempt_fault(item, "x").startswith(
        f"x: {item!r} is neither a network nor a domain; expected a net"
    )


def providers() -> Iterator[str]:
    text = (ROOT / "roles" / "smtp_policy" / "files" / "greylist_providers").read_text()
    for line in text.splitlines():
        if line and not line.startswith("#"):
            yield line


def test_the_programs_read_the_same(tmp_path: Path) -> None:
    source = tmp_path / "main.c"
    source.write_text(
        "#include <stdio.h>\n"
        '#include "greyexempt.h"\n'
        "int main(void) { char line[400]; struct greyexempt e; const char *w;\n"
        "while (fgets(line, sizeof line, stdin))\n"
        'printf("%d\\n", greyexempt_parse(&e, line, &w)); return 0; }\n'
    )
    gcc(*INCLUDES, source, *needed(source), "-o", tmp_path / "main")
    items = [*GOOD, *providers()]
    done = subprocess.run(
        [tmp_path / "main"], input="\n".join(items), capture_output=True, text=True, check=True
    )
    kinds = ["0" if "/" in item else "1" for item in items]
    assert done.stdout.split() == kinds


def test_every_provider_has_its_source_and_its_day() -> None:
    assert not [one for one in providers() if exempt_fault(one, "x")]
    text = (ROOT / "roles" / "smtp_policy" / "files" / "greylist_providers").read_text()
    for one in providers():
        before = text[: text.index(f"\n{one}\n")].rpartition("\n\n")[2]
        assert one in before and "20" in before
