# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run needs of other machines is tried at once, and each failure is said in words."""

from __future__ import annotations

import io
import socket
import threading
import time
import urllib.error
from email.message import Message
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site import reach


def test_all_are_tried_beside_each_other_and_a_late_one_costs_the_limit_once() -> None:
    never = threading.Event()

    def late() -> str:
        never.wait(30)
        return ""

    def broken() -> str:
        raise socket.gaierror(-2, "Name or service not known")

    tries: dict[str, reach.Try] = {f"late {number}": late for number in range(20)}
    begin = time.monotonic()
    found = reach.tried({**tries, "fine": lambda: "", "broken": broken}, 0.3)
    assert time.monotonic() - begin < 5
    never.set()
    assert found.pop("fine") == ""
    assert found.pop("broken") == "the name does not resolve"
    assert set(found.values()) == {"no answer in 0.3 s"} and len(found) == 20
    assert reach.tried({}) == {}


def test_a_status_is_an_answer_but_no_file() -> None:
    def forbidden(url: str) -> Any:
        raise urllib.error.HTTPError(url, 403, "Forbidden", Message(), None)

    assert reach.fetchable(forbidden, "https://x.example") == "HTTP status 403"
    assert reach.answers(forbidden, "https://x.example") == ""
    assert reach.fetchable(lambda url: io.BytesIO(b""), "https://x.example") == "it is empty"
    assert reach.fetchable(lambda url: io.BytesIO(b"x"), "https://x.example") == ""


def test_a_port_that_listens_and_one_that_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert reach.connects("127.0.0.1", port) == ""
    assert reach.connects("127.0.0.1", port) == "Connection refused"
    assert reach.tls("127.0.0.1", port) == "Connection refused"


def test_a_server_without_tls_is_called_that() -> None:
    def speak() -> None:
        connection, dummy = listener.accept()
        with connection:
            connection.sendall(b"220 this is no TLS\r\n")
            connection.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=speak)
        thread.start()
        assert reach.tls("127.0.0.1", listener.getsockname()[1]).startswith("TLS failed: ")
        thread.join()


A, B, C = "https://a.example", "https://b.example", "https://c.example"


@pytest.mark.parametrize(
    ("text", "environment", "urls"),
    [
        ("", {}, []),
        (f"[global]\nindex-url = {A}/\n", {}, [A]),
        (f"[global]\nindex-url = {A}\nextra-index-url = {B}\n  {C}\n", {}, [A, B, C]),
        (f"[install]\nindex-url = {A}\n", {"PIP_INDEX_URL": B}, [B]),
        ("no section\n", {}, []),
    ],
)
def test_the_indexes_that_pip_asks(text: str, environment: dict[str, str], urls: list[str]) -> None:
    assert reach.pip_indexes(text, environment) == urls
