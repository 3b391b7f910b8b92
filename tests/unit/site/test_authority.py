# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fleet's authority: made once, kept, each gateway with a key of its own that its peers believe."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site import authority
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.peers import Gateway

NOW = datetime.now(timezone.utc)
FIRST = Gateway("mx1.example.com", "127.0.0.1")
SECOND = Gateway("mx2.example.com", "mx2.internal.example.com")


def keys(
    directory: Path,
    host: str = FIRST.name,
    gateways: Sequence[Gateway] = (FIRST, SECOND),
    later: float = 0,
    check: bool = False,
) -> authority.Keys:
    return authority.keys(str(directory), host, gateways, NOW + timedelta(days=later), check)


def modes(directory: Path) -> dict[str, int]:
    return {one.name: stat.S_IMODE(one.stat().st_mode) for one in directory.iterdir()}


def test_what_holds_a_secret_is_its_owners_alone(tmp_path: Path) -> None:
    keys(tmp_path / "fleet")
    assert stat.S_IMODE((tmp_path / "fleet").stat().st_mode) == 0o700
    found = modes(tmp_path / "fleet")
    own = {"mx1.example.com.key", "mx1.example.com.pem"}
    assert set(found) == {".gitignore", ".lock", "ca.key", "ca.pem", "secret", *own}
    public = {".gitignore", "ca.pem", "mx1.example.com.pem"}
    assert {name for name, mode in found.items() if mode != 0o600} == public


def test_a_second_run_makes_nothing(tmp_path: Path) -> None:
    first = keys(tmp_path)
    again = keys(tmp_path)
    assert first.made and not again.made
    assert (again.ca, again.certificate, again.key) == (first.ca, first.certificate, first.key)
    assert (again.passwords, again.users) == (first.passwords, first.users)


def test_check_mode_writes_nothing_and_says_what_would_be_made(tmp_path: Path) -> None:
    directory = tmp_path / "fleet"
    assert keys(directory, check=True).made and not directory.exists()
    keys(directory)
    before = modes(directory)
    other = keys(directory, SECOND.name, check=True)
    assert [Path(one).name for one in other.made] == ["mx2.example.com.key", "mx2.example.com.pem"]
    assert other.key == authority.NOT_YET and modes(directory) == before
    assert not keys(directory, check=True).made


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"later": authority.DAYS / 2 - 3}, False),
        ({"later": authority.DAYS / 2 + 3}, True),
        ({"gateways": [Gateway(FIRST.name, "192.0.2.9"), SECOND]}, True),
        ({"gateways": [FIRST, Gateway("mx3.example.com", "192.0.2.3")]}, False),
    ],
)
def test_a_certificate_is_made_again_when_it_no_longer_fits(
    tmp_path: Path, change: dict[str, object], again: bool
) -> None:
    first = keys(tmp_path)
    later = keys(tmp_path, **change)  # type: ignore[arg-type]
    assert (later.certificate != first.certificate) is again and (later.key != first.key) is again
    assert later.ca == first.ca


def test_another_directory_is_another_authority(tmp_path: Path) -> None:
    first, other = keys(tmp_path / "a"), keys(tmp_path / "b")
    assert first.ca != other.ca and not set(first.passwords.values()) & set(other.passwords.values())
    (tmp_path / "a/mx1.example.com.pem").write_text(other.certificate)
    (tmp_path / "a/mx1.example.com.key").write_text(other.key)
    assert keys(tmp_path / "a").certificate not in (first.certificate, other.certificate)


def test_runs_beside_each_other_have_one_authority(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: keys(tmp_path, (FIRST, SECOND)[number % 2].name), range(16)))
    assert len({one.ca for one in found}) == 1 and len({one.certificate for one in found}) == 2


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("ca.key", None, "ca.key: is missing beside the other half"),
        ("ca.pem", None, "ca.pem: is missing beside the other half"),
        ("ca.pem", "garbage", "expected PEM"),
        ("secret", "abc", "secret: is damaged"),
        ("secret", "", "secret: is damaged"),
    ],
)
def test_a_damaged_authority_is_refused_and_not_replaced(
    tmp_path: Path, name: str, text: str | None, fault: str
) -> None:
    keys(tmp_path)
    (tmp_path / name).unlink() if text is None else (tmp_path / name).write_text(text)
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    with pytest.raises(BadInput, match=fault):
        keys(tmp_path)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_a_host_that_is_not_in_the_list_gets_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"host 'mx9[.]example[.]com': is not in the list"):
        keys(tmp_path / "fleet", "mx9.example.com")
    assert not (tmp_path / "fleet").exists()


def context(
    directory: Path, found: authority.Keys, purpose: ssl.Purpose, trusted: str = ""
) -> ssl.SSLContext:
    directory.mkdir(exist_ok=True)
    (directory / "pair.pem").write_text(found.certificate + found.key)
    made = ssl.create_default_context(purpose, cadata=trusted or found.ca)
    made.load_cert_chain(directory / "pair.pem")
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    return made


def shakes_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bool:
    """Return whether both ends believe each other."""
    ours, theirs = socket.socketpair()
    served: list[bool] = []

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as one:
                served.append(one.recv(1) == b"x")
        except OSError:
            served.append(False)
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    asked = True
    try:
        with client.wrap_socket(ours, server_hostname=name) as one:
            one.sendall(b"x")
    except OSError:
        asked = False
        ours.close()
    thread.join()
    return asked and served == [True]


def test_gateways_believe_each_other_by_name_and_by_address_and_no_other_authority(tmp_path: Path) -> None:
    first, second = keys(tmp_path / "a"), keys(tmp_path / "a", SECOND.name)
    stranger = keys(tmp_path / "b", SECOND.name)
    server = context(tmp_path / "1", first, ssl.Purpose.CLIENT_AUTH)
    client = context(tmp_path / "2", second, ssl.Purpose.SERVER_AUTH)
    for name in (FIRST.name, FIRST.address):
        assert shakes_hands(server, client, name)
    assert not shakes_hands(server, client, SECOND.name)
    forged = context(tmp_path / "3", stranger, ssl.Purpose.SERVER_AUTH, trusted=first.ca)
    assert not shakes_hands(server, forged, FIRST.name)
