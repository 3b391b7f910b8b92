# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator's tool finds and writes in the greylist is what cqgreylist finds and writes there."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import c_files
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import greylist

SOURCES = Path(__file__).resolve().parents[3] / "src"
LIMITS = greylist.Limits()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    made = tmp_path_factory.mktemp("cqgreylist") / "cqgreylist"
    files = c_files.program_files(SOURCES, ["cqgreylist"]).values()
    sources = [path for path in files if path.suffix == ".c"]
    subprocess.run(["cc", "-o", made, "-I", SOURCES / "common", *sources], check=True)
    return str(made)


def judged(program: str, directory: Path, address: str, **environment: str) -> bool:
    """Return whether cqgreylist lets the client pass now."""
    done = subprocess.run(
        [program, "echo", "passes"],
        env={
            "GREYLIST_DIRECTORY": str(directory),
            "TCPREMOTEIP": address,
            "PATH": os.environ["PATH"],
            **environment,
        },
        input=b"",
        capture_output=True,
        check=True,
    )
    return done.stdout == b"passes\n"


ADDRESSES = [
    "198.51.100.7",
    "10.0.0.1",
    "255.1.2.3",
    "2001:db8::1",
    "2001:db8:1:2:3:4:5:6",
    "::ffff:192.0.2.9",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("seen", [False, True])
def test_who_is_let_pass_passes(program: str, tmp_path: Path, address: str, seen: bool) -> None:
    network = greylist.network_of(address, LIMITS)
    if seen:
        assert not judged(program, tmp_path, address)
        (found,) = greylist.look_up(str(tmp_path), address, LIMITS, time.time())[0]
        assert (found.network, found.passed) == (network, False)
    assert greylist.let_pass(str(tmp_path), network, time.time())
    assert judged(program, tmp_path, address)
    (found,) = greylist.look_up(str(tmp_path), "", LIMITS, time.time())[0]
    assert (found.network, found.passed) == (network, True)
    assert not greylist.let_pass(str(tmp_path), network, time.time())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 1, "as after the delay: the waiting file has become the other one"
    assert files[0].stat().st_mode & 0o777 == 0o600


def test_what_is_too_old_is_not_there(tmp_path: Path) -> None:
    now = time.time()
    greylist.let_pass(str(tmp_path), "198.51.100.0/24", now - LIMITS.pass_seconds - 5)
    assert greylist.look_up(str(tmp_path), "198.51.100.7", LIMITS, now) == ([], 0)
    assert greylist.look_up(str(tmp_path), "198.51", LIMITS, now) == ([], 0)


@pytest.mark.parametrize(
    ("search", "count"),
    [
        ("2001:DB8:1:2::9", 1),
        ("[2001:db8:1:2:0:0:0:9]", 1),
        ("2001:DB8:1:2::/64", 1),
        ("2001:db8:1:0::/48", 2),
        ("2001:db8::/32", 3),
        ("2001:db8:1", 2),
        ("198.51.0.0/16", 1),
        ("198.51.100.0/24", 1),
        ("0.0.0.0/0", 1),
        ("2001:db8:9::/48", 0),
        ("/64", 3),
    ],
)
def test_networks_are_found_by_an_address_or_a_network_in_any_form(
    tmp_path: Path, search: str, count: int
) -> None:
    for network in ("2001:db8:1:2::/64", "2001:db8:1:3::/64", "2001:db8:2::/64", "198.51.100.0/24"):
        greylist.let_pass(str(tmp_path), network, 1000)
    found, more = greylist.look_up(str(tmp_path), search, LIMITS, 1010)
    assert (len(found), more) == (count, 0)


def test_no_more_is_shown_than_anybody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greylist, "SHOWN", 3)
    for number in range(5):
        greylist.let_pass(str(tmp_path), f"198.51.{number}.0/24", 1000 + number)
    found, more = greylist.look_up(str(tmp_path), "198.51.", LIMITS, 1010)
    assert ([one.network for one in found], more) == (["198.51.4.0/24", "198.51.3.0/24", "198.51.2.0/24"], 2)


def test_no_link_of_that_user_leads_anywhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    state = tmp_path / "state"
    state.mkdir()
    upper, _lower = greylist.place_of("198.51.100.0-24")
    (state / upper).symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        greylist.let_pass(str(state), "198.51.100.0/24", 1000)
    assert list(elsewhere.iterdir()) == []


SETTINGS = [
    ("", LIMITS),
    ("GREYLIST_IPV4_PREFIX=32\nGREYLIST_PASS_SECONDS=60\n#\n", greylist.Limits(60, ipv4_prefix=32)),
    ("GREYLIST_DELAY_SECONDS=0\nGREYLIST_PENDING_SECONDS=28799\n", LIMITS),
    (
        "GREYLIST_DELAY_SECONDS=0\nGREYLIST_PENDING_SECONDS=28800\n",
        greylist.Limits(pending_seconds=28800, delay_seconds=0),
    ),
    ("GREYLIST_DELAY_SECONDS=86400\nGREYLIST_PENDING_SECONDS=86401\n", LIMITS),
    ("GREYLIST_IPV4_PREFIX=33\nGREYLIST_PASS_SECONDS=x\n", LIMITS),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SETTINGS)
def test_the_settings_are_those_of_cqgreylist(text: str, expected: greylist.Limits) -> None:
    assert greylist.limits_of(text) == expected


def test_no_address() -> None:
    with pytest.raises(
        BadInput, match=r"^address: '\.\./x' is not an address; expected one such as '192\.0\.2\.7' or "
    ):
        greylist.network_of("../x", LIMITS)


def test_the_networks_that_passed_are_counted(tmp_path: Path) -> None:
    assert greylist.count(str(tmp_path)) == 0
    for number in range(1, 4):
        assert greylist.let_pass(str(tmp_path), f"198.51.{number}.0/24", time.time())
    first, second = greylist.place_of("198.51.9.0-24")
    pending = tmp_path / first / second / f"198.51.9.0-24{greylist.PENDING}"
    pending.parent.mkdir(parents=True, exist_ok=True)
    pending.touch()
    assert greylist.count(str(tmp_path)) == 3
    with pytest.raises(OSError, match="No such file"):
        greylist.count(str(tmp_path / "missing"))


def test_attempts_of_pools_are_no_networks(tmp_path: Path) -> None:
    greylist.let_pass(str(tmp_path), "198.51.100.0/24", 1000.0)
    folder = tmp_path / "1f" / "2a"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"pool-{'5' * 64}.new").touch()
    found, more = greylist.look_up(str(tmp_path), "5", LIMITS, 2000.0)
    assert ([one.network for one in found], more) == (["198.51.100.0/24"], 0)
    assert greylist.count(str(tmp_path)) == 1


class TestLearn:
    """What another gateway knows of a network, joined into this host's files."""

    NOW = 1_795_000_000

    def learn(
        self, directory: Path, passed: bool, at: int, network: str = "192.0.2.0/24", now: int = NOW
    ) -> bool:
        return greylist.learn(str(directory), network, passed, at, greylist.Limits(), now)

    def seen(self, directory: Path, now: int = NOW) -> list[tuple[bool, int]]:
        found, _more = greylist.look_up(str(directory), "192.0.2.0/24", greylist.Limits(), now)
        return sorted((one.passed, one.since) for one in found)

    @pytest.mark.parametrize(
        "order", list(itertools.permutations([(False, -50), (False, -70), (True, -30), (True, -10)]))
    )
    def test_any_order_gives_the_same_state(self, tmp_path: Path, order: list[tuple[bool, int]]) -> None:
        for passed, ago in [*order, *order]:
            assert self.learn(tmp_path, passed, self.NOW + ago)
        assert (True, self.NOW - 10) in self.seen(tmp_path)

    def test_the_first_attempt_stands(self, tmp_path: Path) -> None:
        for ago in (50, 70, 60):
            self.learn(tmp_path, False, self.NOW - ago)
        assert self.seen(tmp_path) == [(False, self.NOW - 70)]

    def test_a_network_that_has_passed_is_not_pending_again(self, tmp_path: Path) -> None:
        self.learn(tmp_path, True, self.NOW - 70)
        self.learn(tmp_path, False, self.NOW - 50)
        assert self.seen(tmp_path) == [(True, self.NOW - 70)]

    def test_a_time_ahead_is_of_now(self, tmp_path: Path) -> None:
        self.learn(tmp_path, True, self.NOW + 9999)
        assert self.seen(tmp_path) == [(True, self.NOW)]

    @pytest.mark.parametrize(
        ("passed", "ago", "network"),
        [
            (False, 2 * 86_400 + 1, "192.0.2.0/24"),
            (True, 36 * 86_400 + 1, "192.0.2.0/24"),
            (True, 5, "192.0.2.0/25"),
            (True, 5, "192.0.0.0/16"),
            (True, 5, "2001:db8::/48"),
            (True, 5, "192.0.2.7/24"),
            (True, 5, "pool-example.com"),
            (True, 5, "../../x"),
            (True, 5, ""),
        ],
    )
    def test_what_is_too_old_or_of_another_form_is_refused(
        self, tmp_path: Path, passed: bool, ago: int, network: str
    ) -> None:
        assert not self.learn(tmp_path, passed, self.NOW - ago, network)
        assert list(tmp_path.iterdir()) == []

    def test_each_directory_tells_its_networks(self, tmp_path: Path) -> None:
        self.learn(tmp_path, True, self.NOW - 5)
        self.learn(tmp_path, False, self.NOW - 5, "2001:db8::/64")
        limits = greylist.Limits()
        found = [
            (one.network, one.passed)
            for number in range(greylist.FAN**2)
            for one in greylist.in_folder(str(tmp_path), number, limits, self.NOW)
        ]
        assert sorted(found) == [("192.0.2.0/24", True), ("2001:db8::/64", False)]
