# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted service on a real socket: it keeps the protocol of the operator's service, and its state.

As a program (`python service.py SOCKET`) it serves until it is ended, to look at the screens by hand.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, cast

NOW = 1_795_176_000  # 2026-11-20 12:00 UTC
HOUR = 3600
NASTY = "\x1b[2J[b]bold[/b] [link=x]\u202eright\r\n\x07"
SITE_SAYS = "the site's file says so: gateway_relay_networks; change it there and run the playbook"

Answer = dict[str, Any]


def entry(
    value: str, action: str = "", by: str = "", note: str = "", until: int | None = None, fixed: str = ""
) -> Answer:
    origin = "site" if fixed else "operator"
    return {
        "value": value,
        "action": action,
        "by": by,
        "note": note,
        "until": until,
        "origin": origin,
        "fixed": fixed,
    }


def first_lists() -> dict[str, list[Answer]]:
    return {
        "relay": [
            entry("10.0.0.0/24", fixed=SITE_SAYS),
            entry("127.0.0.1/32", fixed="the gateway itself always relays"),
            entry("10.20.0.0/16", by="alice", note="branch office in Leeds"),
            entry("192.0.2.7/32", by="bob", note="scanner on floor 3", until=NOW + 50 * HOUR),
        ],
        "clients": [
            entry("203.0.113.9/32", "deny", "alice", "infected until reinstalled", NOW + 4 * HOUR),
            entry("198.51.100.25/32", "allow", "bob", "newsletter of the chamber of commerce"),
        ],
        "senders": [entry("@spam.example", by="alice", note="asked for by the postmaster")],
        "trusted": [entry("invoices@partner.example", by="bob", note="their invoices score high")],
        "blocked": [entry("@lottery.example", by="alice", note="wins every week", until=NOW + HOUR)],
        "recipients": [
            entry("new.hire@example.com", by="bob", note="starts on Monday", until=NOW + 72 * HOUR)
        ],
    }


def refused_message(name: str, sender: str, subject: str) -> Answer:
    return {
        "name": name,
        "at": NOW - HOUR,
        "verdict": "SPAM",
        "score": 10.4,
        "limit": 10.0,
        "rules": ["BAYES_50", "HTML_MESSAGE"],
        "virus": "",
        "client": "203.0.113.2",
        "id": "6kz3rt9qm4.1",
        "bytes": 48_231,
        "sender": sender,
        "recipients": ["bob@example.com", "carol@example.com"],
        "subject": subject,
        "from": sender,
        "released": "",
    }


class Service:
    """One socket, one thread a connection.  `script` replaces answers, `gate` holds them back."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lists = first_lists()
        self.records: list[Answer] = [
            {
                "number": 1,
                "at": NOW - 26 * HOUR,
                "by": "alice",
                "do": "add",
                "list": "relay",
                "value": "10.20.0.0/16",
                "action": "",
                "note": "branch office in Leeds",
                "until": None,
                "effects": ["clients in 10.20.0.0/16 may relay"],
                "from": 1001,
            }
        ]
        self.journeys = [
            {
                "at": NOW - 600,
                "client": "203.0.113.2",
                "sender": "gwen@waits.example",
                "recipients": ["gary@example.com", "gail@example.com"],
                "outcomes": ["greylisted, first contact: 203.0.113.0/24 wait 60"],
                "steps": [
                    {"at": NOW - 600, "program": "cqgreylist", "words": "greylisted, first contact"},
                    {
                        "at": NOW - 600,
                        "program": "cqgreylist",
                        "words": "refused for <gary@example.com> from <gwen@waits.example>",
                    },
                ],
                "notes": [],
            },
            {
                "at": NOW - 7200,
                "client": "198.51.100.7",
                "sender": "",
                "recipients": ["bob@example.com"],
                "outcomes": ["delivered to bob@example.com (10.0.0.5 accepted message)"],
                "steps": [{"at": NOW - 7199, "program": "qmail-send", "words": "message 7 queued"}],
                "notes": [],
            },
        ]
        self.blacklist = [
            {
                "address": "203.0.113.77",
                "until": NOW + 3 * HOUR,
                "by": "adaptive",
                "why": "12 of 14 attempts bad in 60 minutes",
            },
            {"address": "198.51.100.200", "until": NOW + HOUR // 2, "by": "site", "why": NASTY},
        ]
        self.greylist = [
            {"network": "203.0.113.0/24", "since": NOW - 30, "passed": False},
            {"network": "198.51.100.0/24", "since": NOW - 5 * HOUR, "passed": True},
        ]
        self.queue = [
            {
                "id": 4711,
                "at": NOW - 2 * HOUR,
                "bytes": 48_231,
                "sender": "alice@partner.example",
                "recipients": [
                    {"address": "bob@example.com", "channel": "remote", "done": False},
                    {"address": "carol@example.com", "channel": "remote", "done": True},
                ],
            },
            {
                "id": 4712,
                "at": NOW - 60,
                "bytes": 512,
                "sender": NASTY,
                "recipients": [{"address": "x[/]@example.com", "channel": "local", "done": False}],
            },
        ]
        self.refused = [
            refused_message("0123456789abcdef", "billing@partner.example", "Invoice 4711"),
            refused_message("f" * 16, NASTY, NASTY),
        ]
        self.doctor = {
            "status": 2,
            "findings": [
                {"check": "services", "status": 0, "text": "11 services run, none restarts", "advice": ""},
                {
                    "check": "signatures",
                    "status": 1,
                    "text": "the virus signatures are 30 hours old",
                    "advice": "look at /var/log/freshclam",
                },
                {
                    "check": "recipients",
                    "status": 2,
                    "text": "the recipient list is 3 days old",
                    "advice": "mailgate recipients update says why",
                },
                {"check": "ports", "status": 3, "text": "UDP 6277 was not asked", "advice": ""},
            ],
        }
        self.requests: list[Answer] = []
        self.script: dict[str, Answer | bytes | Callable[[Answer], Answer]] = {}
        self.gate = threading.Event()
        self.gate.set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None

    def start(self) -> Service:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(16)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def seen(self, do: str) -> list[Answer]:
        """Return the requests of one kind so far."""
        with self._lock:
            return [one for one in self.requests if one.get("do") == do]

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, dummy = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            line = b""
            while not line.endswith(b"\n") and (block := connection.recv(65_536)):
                line += block
            request = json.loads(line)
            with self._lock:
                self.requests.append(request)
            self.gate.wait(20)
            with self._lock:
                answer = self.answer(request)
            if not isinstance(answer, bytes):
                answer = json.dumps(answer).encode() + b"\n"
            connection.sendall(answer)

    # What it answers.

    def answer(self, request: Answer) -> Answer | bytes:
        do = request["do"]
        scripted = self.script.get(do)
        if scripted is not None:
            return cast(Answer, scripted(request) if callable(scripted) else scripted)
        found: Callable[[Answer], Answer] | None = getattr(self, f"do_{do.replace('-', '_')}", None)
        if found is None:
            return no(f"request: {do!r} is not known; expected entries, check, preview or act")
        return found(request)

    def do_entries(self, request: Answer) -> Answer:
        return ok(entries=self.lists[request["list"]])

    def canonical(self, request: Answer) -> tuple[str, str]:
        """Return the canonical form and what is wrong with the value."""
        value, name = request["value"], request["list"]
        if name in ("relay", "clients"):
            try:
                network = ipaddress.IPv4Network(value, strict=False)
            except ValueError:
                return value, f"network: {value!r} is not a network; expected one such as 10.1.2.0/24"
            if name == "relay" and network.prefixlen < 8:
                return str(network), f"network: '{network}' is wider than /8; expected a smaller one"
            protected = network.overlaps(ipaddress.IPv4Network("10.0.0.0/24"))
            if protected and request.get("action") == "deny":
                return str(network), f"client: '{network}' is protected by the site; expected another"
            return str(network), ""
        if not re.fullmatch(r"[^@\s\[\]]*@[a-z0-9.-]+", value.lower()):
            return value, f"address: {value!r} is not an address; expected user@domain"
        return value.lower(), ""

    def do_check(self, request: Answer) -> Answer:
        value, problem = self.canonical(request)
        return ok(value=value, problem=problem)

    def effects(self, request: Answer) -> tuple[list[str], str]:
        value, problem = self.canonical(request)
        entries = self.lists[request["list"]]
        there = next((one for one in entries if one["value"] == value), None)
        if request["act"] == "remove":
            if there is None:
                return [], f"{request['list']}: {value!r} is not there; expected one of the list"
            return [f"{value} is in {request['list']} no longer"], ""
        if problem:
            return [], problem
        if there is not None:
            return [], f"{request['list']}: {value!r} is there already; expected a new one"
        words = {
            "relay": f"clients in {value} may send mail to every domain",
            "clients": f"{value}: {request['action']} when it connects",
        }
        effects = [words.get(request["list"], f"{value} is in {request['list']}")]
        if request["seconds"] is not None:
            effects.append(f"ends after {request['seconds']} seconds")
        return effects, ""

    def do_preview(self, request: Answer) -> Answer:
        effects, problem = self.effects(request)
        return ok(effects=effects, problem=problem)

    def record(self, request: Answer, effects: list[str], **more: Any) -> Answer:
        record = {
            "number": len(self.records) + 1,
            "at": NOW,
            "by": "alice",
            "do": request.get("act", request["do"]),
            "list": request.get("list", ""),
            "value": request.get("value", request.get("address", "")),
            "action": request.get("action", ""),
            "note": request.get("note", ""),
            "until": None,
            "effects": effects,
            "from": 1001,
            **more,
        }
        self.records.insert(0, record)
        return ok(effects=effects, number=record["number"])

    def do_act(self, request: Answer) -> Answer:
        effects, problem = self.effects(request)
        if problem:
            return no(problem)
        value, dummy = self.canonical(request)
        name = request["list"]
        self.lists[name] = [one for one in self.lists[name] if one["value"] != value]
        until = NOW + request["seconds"] if request["seconds"] else None
        if request["act"] == "add":
            self.lists[name].append(entry(value, request["action"], "alice", request["note"], until))
        return self.record({**request, "value": value}, effects, until=until)

    def do_undo(self, request: Answer) -> Answer:
        number = request.get("number")
        mine = (one for one in self.records if one["do"] == "add" and one["by"] == "alice")
        last = next((one for one in mine if number in (None, one["number"])), None)
        if last is None:
            problem = "undo: no act of alice stands; expected one"
            return ok(effects=[], problem=problem) if request.get("preview") else no(problem)
        effects = [f"{last['value']} is in {last['list']} no longer"]
        if request.get("preview"):
            return ok(effects=effects, problem="", undoes=dict(last))
        name = last["list"]
        self.lists[name] = [one for one in self.lists[name] if one["value"] != last["value"]]
        last["do"] = "added, undone"
        return self.record({**request, "list": name, "value": last["value"]}, effects)

    def do_trace(self, request: Answer) -> Answer:
        search = request["search"].lower()
        found = [one for one in self.journeys if search in str(one).lower()]
        return ok(journeys=found, more=0)

    def do_refused(self, request: Answer) -> Answer:
        found = [one for one in self.refused if request["search"].lower() in str(one).lower()]
        return ok(messages=found, more=0)

    def do_refused_show(self, request: Answer) -> Answer:
        one = next(one for one in self.refused if one["name"] == request["name"])
        return ok(message=one, header=[f"Subject: {one['subject']}"], body=["please pay", NASTY], cut=True)

    def do_refused_release(self, request: Answer) -> Answer:
        one = next(one for one in self.refused if one["name"] == request["name"])
        one["released"] = "released 2026-11-20 12:00:00 UTC by alice"
        answer = self.record({**request, "value": request["name"]}, [f"{request['name']} is delivered"])
        return {**answer, "trust": one["sender"]}

    def do_refused_learn(self, request: Answer) -> Answer:
        return self.record({**request, "value": request["name"]}, [f"learned as {request['kind']}"])

    def do_refused_forget(self, request: Answer) -> Answer:
        self.refused = [one for one in self.refused if one["name"] != request["name"]]
        return self.record({**request, "value": request["name"]}, ["the copy is deleted"])

    def do_audit(self, request: Answer) -> Answer:
        return ok(records=self.records[: request["limit"]])

    def do_recipient(self, request: Answer) -> Answer:
        address = request["address"].lower()
        if "@" not in address:
            return no(f"address: {address!r} has no '@'; expected user@domain")
        known = address in ("bob@example.com", "new.hire@example.com")
        return ok(known=known, words=[f"{address} is {'taken' if known else 'refused: nobody knows it'}"])

    def do_blacklist(self, request: Answer) -> Answer:
        spared = [{"address": "198.51.100.3", "why": "51 clean messages"}]
        return ok(entries=self.blacklist, spared=spared)

    def do_explain(self, request: Answer) -> Answer:
        return ok(words=[f"{request['address']}: refused", f"why: {self.blacklist[0]['why']}"])

    def do_release(self, request: Answer) -> Answer:
        address = request["address"]
        if all(one["address"] != address for one in self.blacklist):
            return no(f"address: {address!r} is not refused; expected one of the list")
        self.blacklist = [one for one in self.blacklist if one["address"] != address]
        return self.record(request, [f"{address} is refused no longer"])

    def do_greylist(self, request: Answer) -> Answer:
        return ok(entries=[one for one in self.greylist if request["search"] in str(one["network"])], more=0)

    def do_pass(self, request: Answer) -> Answer:
        network = str(ipaddress.IPv4Network(request["address"] + "/24", strict=False))
        for one in self.greylist:
            one["passed"] = one["passed"] or one["network"] == network
        return self.record(request, [f"{network} passes"])

    def do_queue(self, request: Answer) -> Answer:
        found = [one for one in self.queue if request["search"] in json.dumps(one)]
        return ok(messages=found, more=0 if request["search"] else 3)

    def do_flush(self, request: Answer) -> Answer:
        return self.record(request, [f"{len(self.queue)} messages are tried now"])

    def do_status(self, request: Answer) -> Answer:
        return ok(doctor=self.doctor)


def ok(**fields: Any) -> Answer:
    return {"ok": True, **fields}


def no(error: str, temporary: bool = False) -> Answer:
    return {"ok": False, "error": error, "temporary": temporary}


if __name__ == "__main__":
    Service(sys.argv[1]).start()
    while True:
        time.sleep(3600)
