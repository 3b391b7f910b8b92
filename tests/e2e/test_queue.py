# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of an accepted message that cannot be delivered at once, and what qmailctl does about it."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from functools import partial

import pytest
from support.conversations import BACKENDS, HOSTNAME, LOOPBACK, POSTMASTER, SENDER, STRANGER, A, B, message
from support.gateway import GATEWAY_ADDRESS, Bed, submit
from support.queue_checks import (
    DOUBLE_BOUNCE,
    FOREIGN,
    GOOD,
    OTHER,
    accepted,
    bounce,
    changed,
    drain,
    nothing_comes,
    qmailctl,
    waiting,
    whole,
)
from support.smtp_client import Session, stuffed
from support.waiting import SOON_SECONDS, eventually

SERVICES = ("qmail-send", "qmail-send/log", "qmail-smtpd", "qmail-smtpd/log")
SUBCOMMANDS = (
    "start",
    "stop",
    "restart",
    "doqueue",
    "flush",
    "reload",
    "stat",
    "pause",
    "cont",
    "cdb",
    "queue",
    "help",
)


@pytest.fixture(autouse=True)
def normal(bed: Bed) -> Iterator[None]:
    """Begin and end with everything up, nothing refused and nothing waiting."""
    reason = bed.only_real("the stand-in hands each message to the back end itself and has no queue")
    if reason:
        pytest.skip(reason)
    # What other tests left must not be taken for what these send.
    drain(bed)
    yield
    for backend in bed.backends.values():
        backend.refuse, backend.refuse_recipients, backend.delay_seconds = "", {}, 0.0
        if not backend.up:
            backend.start()
    qmailctl(bed, "cont")
    qmailctl(bed, "start")
    bed.wait_until_greeted(SOON_SECONDS)
    assert bed.inside("/var/qmail/bin/qmail-tcpok")[0] == 0
    drain(bed)


def queued(bed: Bed, recipient: str) -> bool:
    return any(re.fullmatch(rf"\tremote\t{re.escape(recipient)}", line) for line in waiting(bed))


def send_log(bed: Bed) -> str:
    return (bed.root / "var/log/qmail/send/current").read_text(encoding="latin-1")


def put_off(log: str, recipient: str) -> bool:
    """Return whether the last attempt for the recipient is over, and was in vain for now."""
    begun = re.findall(rf"starting delivery (\d+): msg \d+ to remote {re.escape(recipient)}\n", log)
    return bool(begun) and f" delivery {begun[-1]}: deferral: " in log


def service_pid(bed: Bed, name: str) -> int:
    """Return the process that svstat names, 0 when it is down."""
    status, output, _ = bed.inside("svstat", f"/service/{name}")
    assert status == 0
    found = re.search(r": up \(pid (\d+)\)", output)
    return int(found.group(1)) if found else 0


def greets(within_seconds: float = 2.0) -> bool:
    try:
        with Session(LOOPBACK, LOOPBACK, timeout_seconds=within_seconds) as session:
            return session.reply().startswith("220 ")
    except OSError:
        return False


def refuses_connections() -> bool:
    try:
        with Session(LOOPBACK, LOOPBACK, timeout_seconds=2):
            return False
    except ConnectionRefusedError:
        return True


# --- back ends that are away, refuse, or are refused -------------------------------------------------------


def test_a_back_end_that_is_down_gets_its_mail_when_it_is_back(bed: Bed) -> None:
    bed.backends[A].stop()
    seen = len(send_log(bed))
    content = accepted("down", GOOD, OTHER)
    eventually(lambda: queued(bed, GOOD) and queued(bed, OTHER), "the message waits")
    eventually(lambda: all(put_off(send_log(bed)[seen:], one) for one in (GOOD, OTHER)), "both were tried")
    listed = qmailctl(bed, "queue")
    assert "messages in queue: " in listed
    assert f"<{SENDER}>" in listed
    assert f"\tremote\t{GOOD}\n" in listed
    bed.backends[A].start()
    nothing_comes(bed)
    qmailctl(bed, "doqueue")
    whole(bed, A, GOOD, content)
    whole(bed, A, OTHER, content)
    eventually(lambda: waiting(bed) == [], "the queue is empty")


def test_one_back_end_that_is_down_does_not_hold_up_the_other(bed: Bed) -> None:
    bed.backends[A].stop()
    content = accepted("half-down", GOOD, FOREIGN)
    whole(bed, B, FOREIGN, content)
    eventually(lambda: queued(bed, GOOD), "the message for the back end that is down waits")
    bed.backends[A].start()
    qmailctl(bed, "doqueue")
    whole(bed, A, GOOD, content)
    nothing_comes(bed)


def test_doqueue_forgets_that_a_back_end_timed_out(bed: Bed) -> None:
    """After two timeouts qmail-remote does not ask an address for an hour; the record is made by hand."""
    address = BACKENDS[A][0]
    when = int(time.time())
    record = socket.inet_aton(address) + bytes([2, 0, 0, 0]) + when.to_bytes(4, "little") + bytes(4)
    with (bed.root / "var/qmail/queue/lock/tcpto").open("r+b") as table:
        table.write(record)
    assert f"{address} timed out " in bed.inside("/var/qmail/bin/qmail-tcpto")[1]
    content = accepted("timed-out", GOOD)
    eventually(lambda: queued(bed, GOOD), "the message waits")
    nothing_comes(bed)
    qmailctl(bed, "doqueue")
    whole(bed, A, GOOD, content)
    assert bed.inside("/var/qmail/bin/qmail-tcpto")[1] == ""


@pytest.mark.parametrize("word", ["doqueue", "flush", "alrm"])
def test_a_message_refused_for_now_stays_until_it_is_taken(bed: Bed, word: str) -> None:
    back = bed.backends[A]
    back.refuse = "451 4.3.0 not now"
    content = accepted(f"not-now-{word}", GOOD)
    eventually(lambda: back.refused > 0 and queued(bed, GOOD), "the message was refused and waits")
    refused = back.refused
    qmailctl(bed, word)
    eventually(lambda: back.refused > refused, f"qmailctl {word} makes qmail-send try again")
    nothing_comes(bed)
    back.refuse = ""
    qmailctl(bed, word)
    whole(bed, A, GOOD, content)


def test_a_recipient_refused_for_now_stays_and_the_others_go(bed: Bed) -> None:
    bed.backends[A].refuse_recipients = {GOOD: "450 4.2.2 mailbox full"}
    content = accepted("rcpt-not-now", GOOD, OTHER)
    whole(bed, A, OTHER, content)
    eventually(lambda: queued(bed, GOOD), "the refused recipient waits")
    bed.backends[A].refuse_recipients = {}
    qmailctl(bed, "doqueue")
    whole(bed, A, GOOD, content)
    nothing_comes(bed)


def test_a_message_refused_for_good_bounces(bed: Bed) -> None:
    bed.backends[A].refuse = "554 5.6.0 no such content here"
    content = accepted("refused-data", GOOD)
    text = bounce(bed, B, SENDER)
    assert f"<{GOOD}>:\r\n" in text
    assert "554 5.6.0 no such content here" in text
    assert BACKENDS[A][0] in text
    header = content.decode("ascii").partition("\r\n\r\n")[0]
    assert text.endswith(f"{header}\r\n")
    nothing_comes(bed)
    assert waiting(bed) == []


def test_a_recipient_refused_for_good_bounces_alone(bed: Bed) -> None:
    bed.backends[A].refuse_recipients = {GOOD: "550 5.1.1 no such mailbox"}
    content = accepted("refused-rcpt", GOOD, OTHER, FOREIGN)
    text = bounce(bed, B, SENDER)
    notice = text.partition("--- Below this line is a copy of the message.")[0]
    assert f"<{GOOD}>:\r\n" in notice
    assert "550 5.1.1 no such mailbox" in notice
    assert OTHER not in notice
    assert FOREIGN not in notice
    whole(bed, A, OTHER, content)
    whole(bed, B, FOREIGN, content)
    nothing_comes(bed)


def test_a_bounce_goes_to_the_senders_own_back_end(bed: Bed) -> None:
    bed.backends[B].refuse_recipients = {"victim@else.where": "550 5.1.1 nobody"}
    accepted("refused-outward", "victim@else.where", sender=OTHER)
    assert "<victim@else.where>:\r\n" in bounce(bed, A, OTHER)
    nothing_comes(bed)


def test_a_refused_bounce_goes_to_the_postmaster_and_not_back(bed: Bed) -> None:
    """The message has the null sender already: only the postmaster gets a notice."""
    bed.backends[A].refuse_recipients = {GOOD: "550 5.1.1 no such mailbox"}
    accepted("refused-null-sender", GOOD, sender="")
    text = bounce(bed, A, POSTMASTER, sender=DOUBLE_BOUNCE)
    assert "the bounce bounced!" in text
    assert f"<{GOOD}>:\r\n" in text
    assert "550 5.1.1 no such mailbox" in text
    nothing_comes(bed)


def test_a_bounce_that_bounces_goes_to_the_postmaster(bed: Bed) -> None:
    bed.backends[A].refuse_recipients = {GOOD: "550 5.1.1 no such mailbox"}
    bed.backends[B].refuse_recipients = {SENDER: "550 5.1.1 no such sender"}
    accepted("double-bounce", GOOD)
    text = bounce(bed, A, POSTMASTER, sender=DOUBLE_BOUNCE)
    assert f"<{SENDER}>:\r\n" in text
    assert "no such sender" in text
    nothing_comes(bed)


def test_a_bounce_that_bounces_at_the_postmaster_ends(bed: Bed) -> None:
    bed.backends[A].refuse = "550 5.7.1 nothing today"
    accepted("triple-bounce", GOOD, sender="")
    eventually(lambda: bed.backends[A].refused >= 2, "message and double bounce are refused")
    eventually(lambda: waiting(bed) == [], "nothing waits")
    nothing_comes(bed)


def test_a_message_that_is_too_old_bounces(bed: Bed) -> None:
    with changed(bed.root / "var/qmail/control/queuelifetime", "1\n"):
        assert bed.inside("svc", "-t", "/service/qmail-send")[0] == 0
        bed.backends[A].stop()
        accepted("too-old", GOOD)
        eventually(lambda: queued(bed, GOOD), "the message waits")
        time.sleep(2.1)
        nothing_comes(bed)
        qmailctl(bed, "doqueue")
        text = bounce(bed, B, SENDER)
    assert bed.inside("svc", "-t", "/service/qmail-send")[0] == 0
    assert f"<{GOOD}>:\r\n" in text
    assert "this message has been in the queue too long" in text
    assert waiting(bed) == []


# --- the host's own mail -----------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["root", f"root@{HOSTNAME}", "postmaster", "mailer-daemon", "abuse"])
def test_the_hosts_own_mail_goes_to_the_postmaster(bed: Bed, to: str) -> None:
    body = f"disk full, says cron to {to}"
    status, _, error = bed.inside("env", "LOGNAME=root", "sendmail", to, text=f"Subject: cron\n\n{body}\n")
    assert (status, error) == (0, "")
    delivery = bed.mailroom.claim(lambda one: one.backend == A and one.recipient == POSTMASTER, SOON_SECONDS)
    assert delivery is not None
    assert delivery.sender == f"root@{HOSTNAME}"
    assert b"\r\nSubject: cron\r\n" in delivery.content
    assert delivery.content.endswith(f"\r\n\r\n{body}\r\n".encode("ascii"))
    nothing_comes(bed)


def test_the_hosts_own_mail_to_nobody_bounces_to_the_postmaster(bed: Bed) -> None:
    """The bounce is for root, who is the postmaster."""
    nobody = f"nobody-at-all@{HOSTNAME}"
    assert bed.inside("env", "LOGNAME=root", "sendmail", nobody, text="Subject: lost\n\nhello\n")[0] == 0
    assert f"<{nobody}>:\r\n" in bounce(bed, A, POSTMASTER)
    nothing_comes(bed)


# --- qmailctl ----------------------------------------------------------------------------------------------


def test_stat_shows_services_and_queue(bed: Bed) -> None:
    lines = qmailctl(bed, "stat").splitlines()
    services = [*SERVICES]
    for one in ("smtpfront", "smtptls"):
        if (bed.root / "service" / one).is_symlink():  # its target is one of the container
            services += [one, f"{one}/log"]
    for service, line in zip(services, lines):
        assert re.fullmatch(rf"/service/{service}: up \(pid \d+\) \d+ seconds", line), line
    # What a kill -9 has left in mess/ counts for a day and a half.
    held = sum(path.is_file() for path in (bed.root / "var/qmail/queue/mess").rglob("*"))
    shown = len(services)
    assert lines[shown:] == [f"messages in queue: {held}", "messages in queue but not yet preprocessed: 0"]
    assert bed.inside("mailq")[1].splitlines()[:2] == lines[shown:]


def test_stop_refuses_sessions_until_start(bed: Bed) -> None:
    with Session(LOOPBACK, LOOPBACK, timeout_seconds=20) as old:
        assert old.reply().startswith("220 ")
        qmailctl(bed, "stop")
        eventually(refuses_connections, "port 25 refuses connections")
        eventually(lambda: service_pid(bed, "qmail-send") == 0, "qmail-send is down")
        content = message("begun-before-stop")
        for line in ("HELO x", f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{GOOD}>", "DATA"):
            old.send(f"{line}\r\n".encode("ascii"))
            assert old.reply()[:1] in "23"
        old.send(stuffed(content))
        assert old.reply().startswith("250 ok "), "a session that had begun must end well"
    nothing_comes(bed)
    assert refuses_connections()
    assert qmailctl(bed, "stat").count(": down ") == (3 if bed.front == "smtpfront" else 2)
    qmailctl(bed, "start")
    eventually(greets, "port 25 greets again")
    whole(bed, A, GOOD, content)
    whole(bed, A, OTHER, accepted("after-start", OTHER))


def test_pause_holds_everything_until_cont(bed: Bed) -> None:
    with Session(LOOPBACK, LOOPBACK, timeout_seconds=20) as old, Session(STRANGER, GATEWAY_ADDRESS) as other:
        assert old.reply().startswith("220 ") and other.reply().startswith("220 ")
        qmailctl(bed, "pause")
        eventually(lambda: not greets(1.0), "port 25 is silent")
        if bed.front == "smtpfront":  # who is connected is served: by smtpfront, and by qmail-smtpd
            assert refuses_connections()
            for session in (old, other):
                session.send(b"NOOP\r\n")
                assert session.reply() == "250 ok"
    stat = qmailctl(bed, "stat")
    # smtpfront or a launcher that stood still would keep clients waiting.
    assert stat.count(", paused") == (1 if bed.front == "smtpfront" else 2)
    assert stat.count(": down ") == 0
    assert ("port 25 is closed" in stat) == (bed.front == "smtpfront")
    assert bed.inside("sendmail", FOREIGN, text=message("paused").decode("ascii"))[0] == 0
    nothing_comes(bed)
    qmailctl(bed, "cont")
    eventually(greets, "port 25 greets again")
    claimed = bed.mailroom.claim(lambda one: one.recipient == FOREIGN, SOON_SECONDS)
    assert claimed is not None
    stat = qmailctl(bed, "stat")
    assert ", paused" not in stat and "closed" not in stat


@pytest.mark.parametrize("word", ["reload", "hup"])
def test_reload_reads_the_local_domains_again(bed: Bed, word: str) -> None:
    """Mail for postmaster@new.example goes outward first, and to the host's own alias afterwards."""
    address, pid = "postmaster@new.example", service_pid(bed, "qmail-send")
    whole(bed, B, address, accepted(f"before-{word}", address))
    try:
        with changed(bed.root / "var/qmail/control/locals", f"{HOSTNAME}\nnew.example\n"):
            whole(bed, B, address, accepted(f"changed-{word}", address))
            qmailctl(bed, word)
            accepted(f"after-{word}", address)
            claimed = bed.mailroom.claim(lambda one: one.recipient != address, SOON_SECONDS)
            assert claimed is not None
            assert (claimed.backend, claimed.recipient) == (A, POSTMASTER)
    finally:
        qmailctl(bed, word)
    whole(bed, B, address, accepted(f"restored-{word}", address))
    assert service_pid(bed, "qmail-send") == pid


def test_restart_makes_new_processes_and_keeps_the_queue(bed: Bed) -> None:
    before = {name: service_pid(bed, name) for name in ("qmail-send", "qmail-smtpd")}
    assert 0 not in before.values()
    bed.backends[A].stop()
    content = accepted("over-restart", GOOD)
    eventually(lambda: queued(bed, GOOD), "the message waits")
    qmailctl(bed, "restart")
    for name, pid in before.items():
        again = partial(lambda name, pid: service_pid(bed, name) not in (0, pid), name, pid)
        eventually(again, f"{name} is a new process")
    eventually(greets, "port 25 greets again")
    assert queued(bed, GOOD)
    bed.backends[A].start()
    qmailctl(bed, "doqueue")
    whole(bed, A, GOOD, content)


def test_cdb_compiles_the_rules(bed: Bed) -> None:
    client = "198.51.100.201"

    def served() -> bool:
        try:
            return submit(message("rules"), FOREIGN, who=client, timeout_seconds=5).startswith("250 ok ")
        except OSError:
            return False

    compiled = bed.root / "etc/tcp.smtp.cdb"
    kept = compiled.read_bytes()
    assert served()
    try:
        with changed(bed.root / "etc/tcp.d/20-operator", f"{client}:deny\n"):
            qmailctl(bed, "cdb")
            assert not served()
    finally:
        qmailctl(bed, "cdb")
    assert served()
    assert compiled.read_bytes() == kept


def test_help_names_every_subcommand(bed: Bed) -> None:
    text = qmailctl(bed, "help")
    for word in (*SUBCOMMANDS[:-1], "alrm", "hup"):
        assert re.search(rf"^{word} +\S|\(also: .*\b{word}\b", text, re.MULTILINE), word


@pytest.mark.parametrize("words", [(), ("nonsense",), ("START",), ("",)])
def test_nonsense_is_answered_with_the_usage(bed: Bed, words: tuple[str, ...]) -> None:
    status, output, error = bed.inside("qmailctl", *words)
    assert (status, output) == (1, "")
    assert error.startswith("Usage: ")
    assert set(re.findall(r"[a-z]+", error.partition("{")[2])) == set(SUBCOMMANDS)
