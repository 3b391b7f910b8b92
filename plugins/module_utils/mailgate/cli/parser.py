# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The argument parser of all commands."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from ..core.exits import PERMANENT


class Parser(argparse.ArgumentParser):
    """An argument parser that exits with status 100 for wrong usage, as the surrounding tools do.

    A class of our own: argparse exits with 2, and reflows the text below the options.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(PERMANENT, f"{self.prog}: {message}\n")
