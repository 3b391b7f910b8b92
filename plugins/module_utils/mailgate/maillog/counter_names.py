# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of the gateway's counters, in words, and the classes of its durations."""

from __future__ import annotations

BOUNDS = (
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    20.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1200.0,
)
TIMES = ("session", "scan", "delivery")
LOGS = ("smtpd", "send")

# Name of a counter: what it counts. The order is that of a session's way through the gateway.
COUNTERS = {
    "connections": "connections of clients",
    "refused_rule": "sessions refused by a rule, at connect or by its RBLSMTPD",
    "refused_dnsbl": "sessions refused because of a DNS list",
    "greylisted": "sessions deferred by the greylist",
    "refused_sender": "recipients refused because of badmailfrom",
    "refused_relay": "recipients refused because the gateway does not accept their domain",
    "refused_recipient": "recipients refused because they do not exist",
    "refused_protocol": "senders, recipients and messages refused for their syntax or a limit",
    "refused_plain": "recipients put off as their mail is taken over TLS only",
    "hung_up": "sessions ended after too many unknown recipients, refusals or commands",
    "refused_virus": "messages refused with a virus",
    "refused_spam": "messages refused as spam",
    "refused_content": "messages refused for an attachment, a pattern or a suspicion of the virus scanner",
    "refused_limit": "messages refused as they are more than the virus scanner looks at",
    "unfinished": "messages whose clients left before their end",
    "put_off": "messages put off (deferred) by the scanner with 451",
    "clean": "messages accepted as clean",
    "marked": "messages accepted and marked as spam",
    "unchecked": "messages accepted without a test for spam",
    "relayed": "messages accepted from relay clients",
    "unjudged": "messages accepted without a verdict of simscan, as a rule passes it by",
    "queued": "messages taken into the queue, bounces and forwarded ones included",
    "delivered": "recipients delivered to",
    "deferred": "deliveries that will be tried again",
    "failed": "recipients that could not be delivered to",
    "bounces": "bounces that were queued",
    "bounces_withheld": "bounces that were not sent: of spam, or to a sender that is not an address",
    "trouble": "lines in which a program reports a problem of the gateway",
    "tls_1_3": "sessions that sent commands of mail over TLS 1.3",
    "tls_1_2": "sessions that sent commands of mail over TLS 1.2",
    "tls_other": "sessions that sent commands of mail over another version of TLS",
    "accepted_tls": "messages accepted over TLS",
    "accepted_plain": "messages accepted in plain text",
    "lines_smtpd": "lines of qmail-smtpd's log that were read",
    "lines_send": "lines of qmail-send's log that were read",
    "gaps": "times that lines were lost, because a log was rotated faster than it was read",
}

# Valid names of counters: those above, and of each duration its classes and its sum.
NAMES = frozenset(
    (
        *COUNTERS,
        *(f"{name}:{place}" for name in TIMES for place in range(len(BOUNDS) + 1)),
        *(f"{name}_milliseconds" for name in TIMES),
    )
)
