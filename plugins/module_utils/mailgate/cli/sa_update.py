# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate sa-update`: update SpamAssassin's rules, and reload spamd."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ..core.errors import MailgateError, TryAgain
from ..core.exits import PERMANENT, TEMPORARY
from ..core.paths import SA_UPDATE_SETTINGS
from ..host.sa_update import (
    EPILOG,
    become,
    complain,
    lint,
    locked,
    parse_change,
    read_settings,
    reload_spamd,
    site_with,
    update,
)
from .parser import Parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mailgate sa-update [--install FILE | --check NAME=FILE... | --reload]`; return the exit status."""
    parser = Parser(
        prog="mailgate sa-update",
        description="Update SpamAssassin's rules, as its own user, and reload spamd.",
        epilog=EPILOG,
    )
    parser.add_argument("--config", default=SA_UPDATE_SETTINGS, help="the settings (%(default)s)")
    one = parser.add_mutually_exclusive_group()
    one.add_argument(
        "--install",
        metavar="FILE",
        default="",
        help="install the first channel's rules from a file; its .asc, .sha512 or .sha256 must be beside it",
    )
    one.add_argument(
        "--check",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="lint the site's configuration with FILE's content as NAME, and change nothing",
    )
    one.add_argument(
        "--reload", action="store_true", help="reload spamd's configuration if it passes the lint"
    )
    given = parser.parse_args(argv)
    try:
        settings = read_settings(given.config, missing_ok=bool(given.check))
        changes = {}
        for name, path in (parse_change(text) for text in given.check):
            with open(path, "rb") as stream:
                changes[name] = stream.read()
        become(settings.user, settings.home)
        failed: list[str] = []
        if given.check:
            with site_with(settings.site, changes) as site:
                lint(None, site)
            done = []
        elif given.reload:
            lint(None, settings.site)
            done = [reload_spamd(settings)]
        else:
            with locked(settings):
                done, failed = update(settings, os.path.abspath(given.install) if given.install else "")
    except TryAgain as error:
        return complain(str(error), TEMPORARY)
    except MailgateError as error:
        return complain(str(error), PERMANENT)
    except OSError as error:
        return complain(str(error), TEMPORARY)
    for line in done:
        sys.stdout.write(f"sa-update: {line}\n")
    sys.stdout.flush()
    return complain("\n".join(failed), TEMPORARY) if failed else 0
