# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""os-release(5): assignments of a shell, of which some are quoted."""

from __future__ import annotations

from mailgate.formats.os_release import parse_os_release


def test_values_have_no_quotes() -> None:
    text = '# made\nID=debian\nVERSION_ID="12"\nNAME=\'x y\'\n\nnonsense\nODD="\n'
    assert parse_os_release(text) == {"ID": "debian", "VERSION_ID": "12", "NAME": "x y", "ODD": '"'}
