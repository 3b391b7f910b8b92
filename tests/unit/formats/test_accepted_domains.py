# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""control/rcpthosts is read as qmail reads its control files."""

from __future__ import annotations

from mailgate.formats import accepted_domains


def test_comments_and_blanks_at_the_end_are_no_domains() -> None:
    text = "# served\nExample.com \t\n\n   \n.deep.example.net\n#\n"
    assert accepted_domains.parse(text) == ["Example.com", ".deep.example.net"]
