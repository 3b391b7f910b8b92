# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The counters as Prometheus reads them: its text format 0.0.4, for node_exporter's textfile collector."""

from __future__ import annotations

from ..formats.smtpd_log import NANOSECONDS
from .counter_names import BOUNDS, TIMES
from .counters import Stats, classes

ACCEPTED = ("clean", "marked", "unchecked", "relayed", "unjudged")
_LAYERS = (
    "rule",
    "dnsbl",
    "sender",
    "relay",
    "recipient",
    "protocol",
    "plain",
    "virus",
    "spam",
    "content",
    "limit",
)
_FAMILIES: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("connections", "Connections of clients.", (("", "connections"),)),
    (
        "refused",
        "Refusals by layer: of sessions (rule, dnsbl), recipients (sender, relay, recipient) and messages.",
        tuple((f'layer="{layer}"', f"refused_{layer}") for layer in _LAYERS),
    ),
    ("greylisted", "Sessions deferred by the greylist.", (("", "greylisted"),)),
    ("hung_up", "Sessions ended after too many unknown recipients.", (("", "hung_up"),)),
    ("unfinished", "Messages whose clients left before their end.", (("", "unfinished"),)),
    ("put_off", "Messages put off (deferred) by the scanner with 451.", (("", "put_off"),)),
    (
        "accepted",
        "Messages accepted, by what the scanner found.",
        tuple((f'verdict="{name}"', name) for name in ACCEPTED),
    ),
    (
        "tls_sessions",
        "Sessions that sent commands of mail over TLS, by version.",
        (('version="1.3"', "tls_1_3"), ('version="1.2"', "tls_1_2"), ('version="other"', "tls_other")),
    ),
    (
        "received",
        "Messages accepted, by how they travelled.",
        (('transport="tls"', "accepted_tls"), ('transport="plain"', "accepted_plain")),
    ),
    ("queued", "Messages taken into the queue, bounces and forwarded ones included.", (("", "queued"),)),
    (
        "deliveries",
        "Deliveries by their result.",
        (
            ('result="success"', "delivered"),
            ('result="deferral"', "deferred"),
            ('result="failure"', "failed"),
        ),
    ),
    ("bounces", "Bounces that were queued.", (("", "bounces"),)),
    (
        "bounces_withheld",
        "Bounces that were not sent: of spam, or to a sender that is not an address.",
        (("", "bounces_withheld"),),
    ),
    (
        "trouble",
        "Lines in which a program reports a problem of the gateway.",
        (("", "trouble"),),
    ),
    (
        "log_lines",
        "Lines of the logs that were counted.",
        (('log="smtpd"', "lines_smtpd"), ('log="send"', "lines_send")),
    ),
    ("log_gaps", "Times that lines were lost before they were read.", (("", "gaps"),)),
)
_TIME_WORDS = {
    "session": "How long sessions took.",
    "scan": "How long the scanner took for a message.",
    "delivery": "How long deliveries took, from their start to the back end's answer.",
}


def prometheus(stats: Stats, written: float) -> str:
    """Return the counters as a node_exporter textfile; written is now, in unix seconds."""
    totals = stats.totals
    lines: list[str] = []
    for family, words, samples in _FAMILIES:
        name = f"mailgate_{family}_total"
        lines += [f"# HELP {name} {words}", f"# TYPE {name} counter"]
        for label, counter in samples:
            lines.append(f"{name}{'{' + label + '}' if label else ''} {totals.get(counter, 0)}")
    for time in TIMES:
        name = f"mailgate_{time}_seconds"
        lines += [f"# HELP {name} {_TIME_WORDS[time]}", f"# TYPE {name} histogram"]
        below = 0
        for place, number in enumerate(classes(totals, time)):
            below += number
            bound = f"{BOUNDS[place]:g}" if place < len(BOUNDS) else "+Inf"
            lines.append(f'{name}_bucket{{le="{bound}"}} {below}')
        lines += [f"{name}_sum {totals.get(f'{time}_milliseconds', 0) / 1000:.3f}", f"{name}_count {below}"]
    for name, words, value in (
        ("sessions_open", "Sessions that are open.", str(stats.open_sessions)),
        ("stats_written_timestamp_seconds", "When these numbers were written.", f"{written:.3f}"),
        (
            "stats_last_line_timestamp_seconds",
            "The time of the last line that was counted.",
            f"{max(stats.last.values()) / NANOSECONDS:.3f}",
        ),
    ):
        lines += [
            f"# HELP mailgate_{name} {words}",
            f"# TYPE mailgate_{name} gauge",
            f"mailgate_{name} {value}",
        ]
    return "".join(f"{line}\n" for line in lines)
