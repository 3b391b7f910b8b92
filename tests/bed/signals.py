# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals as a test expects them, however the run was started: by nohup, by cron, in the background."""

from __future__ import annotations

import signal


def _stay(_number: int, _frame: object) -> None:
    """Survive the signal; what is started later has its default."""


def reset_signals() -> None:
    """Undo what this process inherited, so that whatever it starts has every signal's default.

    An ignored or blocked signal is inherited by all that is started.  Under nohup this process itself goes on
    to survive a hangup: a handler does not outlive exec, where an ignored signal would stay ignored.
    """
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _stay)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Python itself ignores SIGPIPE and SIGXFSZ; subprocess gives their defaults back.
    kept = {signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGKILL, signal.SIGSTOP}
    for number in signal.valid_signals() - kept:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
