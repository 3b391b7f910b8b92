# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real qmail-remote, and hosts that say what is no reply of SMTP, at each step of a session."""

from __future__ import annotations

import pytest
from support.certificates import Signer
from support.qmail_remote import Remote, Report
from support.tls_mail_server import Connection, TlsMailServer, Ways

SENT = b"Subject: x\r\n\r\n..body\r\n"
# What the report names, by the verb whose reply it is about.
STEPS = {
    "": "the connection",
    "HELO": "HELO",
    "MAIL": "MAIL",
    "RCPT": "RCPT",
    "DATA": "DATA",
    ".": "the message",
}
SUCCESS = {"": "220 mx", "DATA": "354 go on"}
NONE = "is no SMTP reply"
# What is said, why it is no reply, and what of it the report has. {good} is the step's reply of success.
WRONG: dict[str, tuple[bytes, str, str]] = {
    "an empty line": (b"\r\n", NONE, "(an empty line)"),
    "an empty line, LF": (b"\n{good}\r\n", NONE, "(an empty line)"),
    "letters": (b"abc\r\n", NONE, "abc"),
    "two digits": (b"25\r\n", NONE, "25"),
    "two digits, LF": (b"25\n0 ok\r\n", NONE, "25"),
    "NULs": (b"\0\0\0\0\r\n", NONE, "????"),
    "CRs": (b"\r\r\r\r\n", NONE, "???"),
    "the eighth bit": (b"\xff\xfe2\xb25\r\n", NONE, "??2?5"),
    "HTTP": (
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\n500 \r\n",
        NONE,
        "HTTP/1.1 400 Bad Request",
    ),
    "a report": (b"D\0K\0Zno\0r\n\r\n", NONE, "D?K?Zno?r"),
    "000": (b"000 ok\r\n", NONE, "000 ok"),
    "1xx": (b"150 ok\r\n", NONE, "150 ok"),
    "6xx": (b"650 no\r\n", NONE, "650 no"),
    "9xx": (b"999 no\r\n", NONE, "999 no"),
    "four digits": (b"2500 ok\r\n", NONE, "2500 ok"),
    "a blank first": (b" {good}\r\n", NONE, " {good}"),
    "a CR within": (b"5\r50 no\r\n", NONE, "5?50 no"),
    "a refusal, then success": (b"550-no\r\n{good}\r\n", "has lines with different codes", "550-no / {good}"),
    "success, then a refusal": (b"250-ok\r\n550 no\r\n", "has lines with different codes", "250-ok / 550 no"),
    "a line that has no code": (b"550-no\r\n\r\n", NONE, "550-no / "),
    "no end of a line": (b"x" * 5000, NONE, "x" * 200),
    "no end of a text": (b"550 " + b"y" * 100_000, "does not end", "550 " + "y" * 196),
    "no end of lines": (b"550-no\r\n" * 20_000, "does not end", "550-no / 550-no"),
    "half of a line": (b"HTTP/1.0 50", NONE, "HTTP/1.0 50"),
}


def sent(remote: Remote, ways: Ways, policy: str = "none") -> tuple[Report, list[Connection]]:
    with TlsMailServer(ways) as server:
        report = remote.send(server.port, f":{policy}\n")
        return report, server.connections()


def deferral(step: str, why: str, heard: str) -> str:
    again = "Possible duplicate! " if step == "." else ""
    return (
        f"ZConnected to 127.0.0.1 but its reply to {STEPS[step]} {why}. {again}(#4.5.0)\n"
        f"Remote host said: {heard}\n"
    )


@pytest.mark.parametrize("step", STEPS, ids=lambda step: STEPS[step].replace(" ", "-"))
@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_reply_defers(name: str, step: str, remote: Remote) -> None:
    good = SUCCESS.get(step, "250 ok")
    said, why, heard = WRONG[name]
    report, connections = sent(remote, Ways(raw={step: said.replace(b"{good}", good.encode())}))
    assert report.message == deferral(step, why, heard.replace("{good}", good))
    assert report.recipient == ("r" if step in ("DATA", ".") else "")
    assert len(connections) == 1
    commands = [line.split(" ")[1].partition(":")[0] for line in connections[0].commands]
    # nothing is said behind it, and nothing of the message where DATA was not answered
    assert commands == list(STEPS)[1 : 1 + list(STEPS).index(step)][: len(commands)]
    assert bool(connections[0].messages) == (step == ".")


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r\r\n"], ids=["CRLF", "LF", "CRCRLF"])
@pytest.mark.parametrize(
    "lines",
    [
        "{0}",
        "{0} text",
        "{0}-\n{0}",
        "{0}-one\n{0}-two\n{0} three",
        "{0} \0x",
        "{0}***0*2**",
        "{0}\tok",
        "{0}ok",
    ],
)
def test_replies_are_what_they_were(lines: str, end: str, remote: Remote) -> None:
    def reply(code: int) -> bytes:
        return (lines.format(code) + "\n").replace("\n", end).encode()

    codes = {"": 220, "HELO": 250, "MAIL": 250, "RCPT": 251, "DATA": 354, ".": 250}
    good = {step: reply(code) for step, code in codes.items()}
    report, connections = sent(remote, Ways(raw=good))
    kept = [message for one in connections for message in one.messages]
    assert (report.result, report.recipient, kept) == ("K", "r", [SENT]), report.message
    heard = reply(250).decode().replace("\r", "").replace("\0", "?")
    assert report.message.endswith(f"Remote host said: {heard}")


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("", ("Z", "")),
        ("HELO", ("Z", "")),
        ("MAIL", ("D", "")),
        ("RCPT", ("D", "h")),
        ("DATA", ("D", "r")),
        (".", ("D", "r")),
    ],
)
def test_a_refusal_is_one_with_all_of_its_lines(step: str, expected: tuple[str, str], remote: Remote) -> None:
    report, _connections = sent(remote, Ways(raw={step: b"550-5.7.1 no\n550-5.7.1 not\r\n550 5.7.1 now\n"}))
    text = "Remote host said: 550-5.7.1 no\n550-5.7.1 not\n550 5.7.1 now\n"
    assert (report.result, report.recipient[:1]) == expected
    assert (report.recipient if step == "RCPT" else report.message).endswith(text)


@pytest.mark.parametrize(
    ("step", "reply", "said"),
    [
        ("MAIL", b"354 go on\r\n", "sender was rejected"),
        ("RCPT", b"354 go on\r\n", "does not like recipient"),
        ("DATA", b"250 ok\r\n", "failed on DATA command"),
        ("DATA", b"220 ok\r\n", "failed on DATA command"),
        (".", b"354 go on\r\n", "failed after I sent the message"),
    ],
)
def test_a_success_of_another_command_is_none(step: str, reply: bytes, said: str, remote: Remote) -> None:
    report, _connections = sent(remote, Ways(raw={step: reply}))
    assert said in report.recipient + report.message
    assert (report.recipient[:1] if step == "RCPT" else report.result) == ("s" if step == "RCPT" else "Z")


@pytest.mark.parametrize("more", [b"550 no\r\n", b"250 ok\r\n", b"\r\n", b"5"])
@pytest.mark.parametrize("step", list(STEPS)[:-1], ids=lambda step: STEPS[step].replace(" ", "-"))
def test_what_came_before_the_command_is_no_reply_to_it(step: str, more: bytes, remote: Remote) -> None:
    good = SUCCESS.get(step, "250 ok").encode()
    then = list(STEPS)[list(STEPS).index(step) + 1]
    report, _connections = sent(remote, Ways(raw={step: good + b"\r\n" + more}))
    heard = more.decode().strip() or "(an empty line)"
    assert report.message == deferral(then, "came too early", heard)


@pytest.mark.parametrize(
    ("raw", "reached"),
    [
        ({"EHLO": b"\r\n"}, "plain EHLO"),
        ({"EHLO": b"HTTP/1.1 400 Bad Request\r\n"}, "plain EHLO"),
        ({"EHLO": b"250-mx\r\n250-STARTTLS\r\n250 ok\r\n500 no\r\n"}, "plain STARTTLS"),
        ({"tls EHLO": b"999 x\r\n"}, "EHLO"),
        ({"tls MAIL": b"\0\0\0 x\r\n"}, "MAIL"),
    ],
)
def test_with_may_it_is_tried_again_in_plain_text(
    raw: dict[str, bytes], reached: str, remote: Remote, authority: Signer
) -> None:
    report, connections = sent(remote, Ways(authority.issue("good"), raw=raw), "may")
    assert (report.result, report.recipient) == ("K", "r"), report.message
    assert "\ntls=none,may,a reply was no SMTP\n" in report.message
    first, second = connections
    assert first.commands[-1].startswith(reached)
    assert (first.messages, second.messages) == ([], [SENT])


@pytest.mark.parametrize("policy", ["encrypt", "verify:mx.example.test"])
@pytest.mark.parametrize("step", ["EHLO", "tls EHLO", "tls MAIL", "tls RCPT", "tls DATA", "tls ."])
def test_a_stricter_policy_defers(step: str, policy: str, remote: Remote, authority: Signer) -> None:
    if policy.startswith("verify"):
        policy = f"{policy}:{authority.path}"
    report, connections = sent(remote, Ways(authority.issue("good"), raw={step: b"\r\n"}), policy)
    assert report.result == "Z" and " is no SMTP reply. " in report.message, report
    assert ("Possible duplicate! " in report.message) == (step == "tls .")
    assert len(connections) == 1


@pytest.mark.parametrize("answer", [b"\r\n", b"abc\r\n", b"22\n", b"220-go\r\n500 no\r\n"])
def test_an_answer_to_starttls_that_is_none(answer: bytes, remote: Remote, authority: Signer) -> None:
    ways = Ways(authority.issue("good"), answer=answer)
    report, connections = sent(remote, ways, "encrypt")
    assert report.result == "Z" and "its reply to STARTTLS " in report.message
    report, connections = sent(remote, ways, "may")
    assert (report.result, len(connections)) == ("K", 2), report.message
