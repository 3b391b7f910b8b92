# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that the recipients' benchmark runs in its container."""

from __future__ import annotations

import pytest
from bench import recipients


@pytest.mark.parametrize("program", [recipients.EXPORT, recipients.UPDATE])
def test_what_a_program_imports_is_in_the_package(program: str) -> None:
    imports = [line for line in program.splitlines() if line.startswith("from mailgate")]
    assert imports
    exec("\n".join(imports), {})
