# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The argument parser of every command."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from ..core.exits import PERMANENT


class Parser(argparse.ArgumentParser):
    """An argument parser that leaves wrong usage with status 100, as the tools around it do.

    Our own, as argparse exits with 2, and reflows what stands below the options in the manner of a man page.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(PERMANENT, f"{self.prog}: {message}\n")
