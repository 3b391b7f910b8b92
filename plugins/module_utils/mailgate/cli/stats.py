# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate stats`: the gateway's counters and charts, and the service that counts (serve)."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from ..core import times
from ..core.errors import BadInput
from ..core.exits import PERMANENT, TEMPORARY
from ..core.files import read_regular
from ..core.paths import SEND_LOG, SMTP_LOG, STATS_DIRECTORY, STATS_TEXTFILE
from ..maillog.counter_names import COUNTERS, TIMES
from ..maillog.counters import (
    MINUTE,
    QUARTER,
    QUARTERS_SECONDS,
    Counts,
    Stats,
    added,
    percentile,
)
from ..maillog.service import (
    ALIVE_SECONDS,
    STATE,
    ServicePaths,
    State,
    read_state,
    serve,
)
from .parser import Parser

OLD = 1
STATE_BYTES = 1 << 26
OLD_SECONDS = 4 * ALIVE_SECONDS
COLUMNS = 40
LONGEST_SECONDS = QUARTERS_SECONDS - 3600
_BARS = {True: " ▁▂▃▄▅▆▇█", False: " .:-=+*#@"}
_PERCENTS = (50, 90, 99)

_ROWS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "",
        (("connections", "connections"),),
    ),
    (
        "refused or put off",
        (
            ("rule", "refused_rule"),
            ("DNS list", "refused_dnsbl"),
            ("greylisted", "greylisted"),
            ("bad sender", "refused_sender"),
            ("relay denied", "refused_relay"),
            ("unknown recipient", "refused_recipient"),
            ("protocol", "refused_protocol"),
            ("TLS required", "refused_plain"),
            ("virus", "refused_virus"),
            ("spam", "refused_spam"),
            ("content", "refused_content"),
            ("scan limit", "refused_limit"),
            ("put off (451)", "put_off"),
            ("client left", "unfinished"),
        ),
    ),
    (
        "accepted",
        (
            ("clean", "clean"),
            ("marked as spam", "marked"),
            ("not checked", "unchecked"),
            ("from relay clients", "relayed"),
            ("without a verdict", "unjudged"),
        ),
    ),
    (
        "sessions with TLS",
        (("TLS 1.3", "tls_1_3"), ("TLS 1.2", "tls_1_2"), ("another version", "tls_other")),
    ),
    ("accepted, and came", (("over TLS", "accepted_tls"), ("in plain text", "accepted_plain"))),
    (
        "deliveries",
        (
            ("delivered", "delivered"),
            ("deferred", "deferred"),
            ("failed", "failed"),
            ("bounces", "bounces"),
            ("bounces withheld", "bounces_withheld"),
        ),
    ),
)

_TLS_SESSIONS = {"1.3": "tls_1_3", "1.2": "tls_1_2", "other": "tls_other"}

_EPILOG = """\
reads:
  {directory}/state.json   the counters that the service stats has written

With serve it is that service: it reads {smtp} and
{send}, and writes state.json and the file for Prometheus.

Rules, DNS lists and the greylist count sessions; bad sender, relay denied and unknown recipient count
recipients; protocol counts commands (addresses, line ends, limits of RFC 5321); virus, spam, content, scan
limit and put off count messages. Percentiles are those of classes of times, so
they are near, not exact. Spans of up to two hours begin at a minute, longer ones at a quarter of an hour.
"today" begins at midnight here.

exit status:
  0, 1 the numbers are old because the service does not run, 100 bad argument, 111 there are no numbers

example:
  mailgate stats --last 24h
"""


def span_of(text: str, now: float) -> int:
    """Return the unix second at which a span such as '1h' or 'today' begins; raises BadInput."""
    if text == "today":
        return times.local_midnight(now)
    seconds = times.duration(text, "--last")
    if not 60 <= seconds <= LONGEST_SECONDS:
        longest = f"{LONGEST_SECONDS // 3600}h"
        raise BadInput(f"--last: {text!r} is too short or too long; expected 1m to {longest}")
    return int(now) - seconds


def chart(parts: Sequence[tuple[int, Counts]], name: str, begin: int, end: int, step: int, fine: bool) -> str:
    """Return a counter's course as a chart of at most COLUMNS characters, each for several steps."""
    steps = max(1, -(-(end - begin) // step))
    each = -(-steps // COLUMNS) * step
    sums = [0] * -(-(end - begin) // each)
    for at, counts in parts:
        sums[min(len(sums) - 1, max(0, (at - begin) // each))] += counts.get(name, 0)
    most, bars = max(sums, default=0), _BARS[fine]
    if not most:
        return ""
    return "".join(bars[0 if not one else 1 + (len(bars) - 2) * one // most] for one in sums)


def seconds_words(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def describe(stats: Stats, begin: int, end: int, title: str, fine: bool) -> list[str]:
    """Return the numbers of a span as lines for people."""
    parts = stats.parts(begin, end)
    counts = added(one for _at, one in parts)
    step = MINUTE if begin > end - 2 * 3600 else QUARTER
    begin -= begin % step
    stamp = time.strftime("%Y-%m-%d %H:%M", time.localtime(begin))
    lines = [f"{title}, from {stamp}"]
    for head, rows in _ROWS:
        if head:
            total = sum(counts.get(name, 0) for _words, name in rows)
            lines.append(f"{head}" if head == "deliveries" else f"{head:22}{total:>10,}")
        for words, name in rows:
            indent = "  " if head else ""
            course = chart(parts, name, begin, end, step, fine)
            lines.append(f"{indent + words:22}{counts.get(name, 0):>10,}  {course}".rstrip())
    lines.append(f"{'time of':22}" + "".join(f"{f'{percent} %':>10}" for percent in _PERCENTS))
    for name in TIMES:
        found = [seconds_words(percentile(counts, name, percent)) for percent in _PERCENTS]
        lines.append(f"{'  a ' + name:22}" + "".join(f"{one:>10}" for one in found))
    return lines


def values(state: State, begin: int, end: int, age: float) -> dict[str, Any]:
    """Return the numbers of a span, and the totals, as JSON values."""

    def made(counts: Counts) -> dict[str, Any]:
        return {
            "counts": {name: counts.get(name, 0) for name in COUNTERS},
            "tls": {
                "sessions": {name: counts.get(key, 0) for name, key in _TLS_SESSIONS.items()},
                "accepted": {name: counts.get(f"accepted_{name}", 0) for name in ("tls", "plain")},
            },
            "seconds": {
                name: {f"p{percent}": percentile(counts, name, percent) for percent in _PERCENTS}
                for name in TIMES
            },
        }

    return {
        "written": state.written,
        "age_seconds": age,
        "running": age <= OLD_SECONDS,
        "begin": begin,
        "end": end,
        "last": made(state.stats.between(begin, end)),
        "totals": made(state.stats.totals),
        "open_sessions": state.stats.open_sessions,
    }


def _arguments(argv: Sequence[str] | None) -> Any:
    parser = Parser(
        prog="mailgate stats",
        description="The gateway's numbers: connections, each layer's refusals, deliveries, and times.",
        epilog=_EPILOG.format(directory=STATS_DIRECTORY, smtp=SMTP_LOG, send=SEND_LOG),
    )
    parser.add_argument(
        "do",
        nargs="?",
        choices=("show", "serve"),
        default="show",
        metavar="serve",
        help="run the service: count until SIGTERM (default: show the numbers)",
    )
    parser.add_argument(
        "--last", default="1h", metavar="SPAN", help="1h, 24h, today and the like (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, totals included (default: as text)")
    parser.add_argument(
        "--ascii", action="store_true", help="charts in plain ASCII (default: by the terminal's encoding)"
    )
    parser.add_argument(
        "--directory",
        default=STATS_DIRECTORY,
        metavar="DIR",
        help="the service's own files (default: %(default)s)",
    )
    parser.add_argument(
        "--smtp-log",
        default=SMTP_LOG,
        metavar="DIR",
        help="qmail-smtpd's log, for serve (default: %(default)s)",
    )
    parser.add_argument(
        "--send-log",
        default=SEND_LOG,
        metavar="DIR",
        help="qmail-send's log, for serve (default: %(default)s)",
    )
    parser.add_argument(
        "--textfile",
        default=STATS_TEXTFILE,
        metavar="FILE",
        help="the file that serve writes for Prometheus, '' for none (default: %(default)s)",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Show the numbers, or run the service; return 0, 1 when they are old, 100 or 111."""
    given = _arguments(argv)
    try:
        if given.do == "serve":
            return serve(ServicePaths(given.smtp_log, given.send_log, given.directory, given.textfile))
        now = time.time()
        begin = span_of(given.last, now)
        path = os.path.join(given.directory, STATE)
        try:
            # The directory is another user's.
            state = read_state(read_regular(path, STATE_BYTES).decode("utf-8", "replace"))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{path}: does not exist; expected the service stats to run, see svstat /service/stats"
            ) from error
        except BadInput as error:
            raise OSError(f"{path}: {error}") from error
    except BadInput as error:
        return _complain(str(error), PERMANENT)
    except OSError as error:
        return _complain(str(error), TEMPORARY)
    age = max(0.0, now - state.written)
    end = int(now) + 1
    if given.json:
        sys.stdout.write(json.dumps(values(state, begin, end, age), indent=2) + "\n")
    else:
        fine = not given.ascii and (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        title = "today" if given.last == "today" else f"the last {given.last}"
        sys.stdout.write("".join(f"{line}\n" for line in describe(state.stats, begin, end, title, fine)))
    if age > OLD_SECONDS:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state.written))
        return _complain(
            f"the service stats does not run: these numbers are of {since}, {int(age) // 60} minutes old; "
            "see svstat /service/stats",
            OLD,
        )
    return 0


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"mailgate stats: {text.encode('ascii', 'backslashreplace').decode('ascii')}\n")
    return status
