# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Python runs when it is given a version's directory, in which alone it then looks for the package."""

import sys

from mailgate.cli.main import main

sys.exit(main())
