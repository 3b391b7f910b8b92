# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors that every part of the package shares."""

from __future__ import annotations


class MailgateError(ValueError):
    """An error that a person must correct; its text names the place, the value and what was expected."""


class BadInput(MailgateError):
    """Input from a person or a file that is refused before anything is changed."""


class TryAgain(MailgateError):
    """A failure that may be over at the next attempt: the network, a service, another program."""


class Busy(OSError):
    """Another program holds the lock."""
