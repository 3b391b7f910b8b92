# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates: a pair is used only when it is right, and both of its files change at once."""

from __future__ import annotations

import contextlib
import grp
import os
import stat
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import certificate
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import certificates
from support.certificates import make_pair

NOW = datetime.now(timezone.utc)
GROUP = grp.getgrgid(os.getegid()).gr_name
Run = Callable[..., int]


def make(place: Path, kind: str = "ecdsa", **more: Any) -> tuple[str, str]:
    paths = make_pair(place, kind, names=("fullchain.pem", "privkey.pem"), host="mx.example.com", **more)
    return str(paths[0]), str(paths[1])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    directory = tmp_path / "tls"
    directory.mkdir()

    def call(*words: str, now: datetime = NOW) -> int:
        return certificate.main(["--directory", str(directory), "--group", GROUP, *words], lambda: now)

    return call


def current(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (tmp_path / "tls" / "current").iterdir()}


def kept(tmp_path: Path) -> list[str]:
    """Return the names in the directory, without that of the lock."""
    return sorted(name for name in os.listdir(tmp_path / "tls") if name != ".lock")


def test_a_pair_is_installed(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = make(tmp_path / "new")
    assert run("install", *paths) == 0
    until = f"{NOW + timedelta(days=30):%Y-%m-%d}"
    assert capsys.readouterr().out == (
        f"mailgate certificate: installed: ECDSA for mx.example.com, by itself, until {until}\n"
    )
    assert current(tmp_path) == {
        "certificate.pem": Path(paths[0]).read_bytes(),
        "key.pem": Path(paths[1]).read_bytes(),
    }
    key = tmp_path / "tls" / "current" / "key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o750
    assert run("install", *paths) == 0
    assert "unchanged: ECDSA" in capsys.readouterr().out


def test_two_kinds_of_keys(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = make(tmp_path / "one"), make(tmp_path / "other", "rsa")
    assert run("install", *one, *other) == 0
    assert "installed: RSA for mx.example.com" in capsys.readouterr().out
    assert sorted(current(tmp_path)) == ["certificate-2.pem", "certificate.pem", "key-2.pem", "key.pem"]
    assert run("install", *one) == 0  # the second one is not left behind
    assert sorted(current(tmp_path)) == ["certificate.pem", "key.pem"]


def test_those_before_stay_and_older_ones_go(run: Run, tmp_path: Path) -> None:
    made = []
    for number in range(3):
        assert run("install", *make(tmp_path / str(number))) == 0
        made.append((tmp_path / "tls" / "current").resolve())
    assert [path.is_dir() for path in made] == [False, True, True]
    assert kept(tmp_path) == sorted(["current", made[1].name, made[2].name])


def expired(place: Path) -> tuple[str, str]:
    return make(place, days=(-9, -2))


def of_tomorrow(place: Path) -> tuple[str, str]:
    return make(place, days=(1, 9))


def of_another(place: Path) -> tuple[str, str]:
    return make(place / "other")[0], make(place)[1]


def exchanged(place: Path) -> tuple[str, str]:
    paths = make(place)
    return paths[1], paths[0]


def encrypted(place: Path) -> tuple[str, str]:
    return make(place, "rsa", passphrase=b"secret")


def small(place: Path) -> tuple[str, str]:
    return make(place, "weak")


def empty(place: Path) -> tuple[str, str]:
    paths = make(place)
    Path(paths[0]).write_bytes(b"")
    return paths


def cut(place: Path) -> tuple[str, str]:
    paths = make(place)
    Path(paths[1]).write_bytes(Path(paths[1]).read_bytes()[:-40])
    return paths


def directory(place: Path) -> tuple[str, str]:
    return str(place.parent), make(place)[1]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (expired, "UTC; expected one that is valid now"),
        (of_tomorrow, "UTC; expected one that is valid now"),
        (of_another, "is not the key of "),
        (exchanged, "is not a certificate"),
        (encrypted, "privkey.pem: is encrypted; expected a key without a passphrase"),
        (small, "cannot be used with "),
        (empty, "is not a certificate"),
        (cut, "cannot be used with "),
        (directory, "is not a regular file"),
    ],
)
def test_a_bad_pair_leaves_the_old_one(
    run: Run,
    tmp_path: Path,
    bad: Callable[[Path], tuple[str, str]],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("install", *make(tmp_path / "good")) == 0
    before = current(tmp_path)
    assert run("install", *bad(tmp_path / "bad")) == 100
    text = capsys.readouterr().err
    assert said in text
    assert text.endswith("nothing was changed\n")
    assert current(tmp_path) == before
    assert len(kept(tmp_path)) == 2


def test_two_keys_of_one_kind(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("install", *make(tmp_path / "one"), *make(tmp_path / "other")) == 100
    assert "both keys are ECDSA; expected one of ECDSA and one of RSA" in capsys.readouterr().err


def test_a_certificate_without_a_key(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = make(tmp_path / "one")
    assert run("install", *one, one[0]) == 100
    assert "has no key behind it; expected CERTIFICATE KEY" in capsys.readouterr().err


def test_a_missing_file_is_temporary(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("install", str(tmp_path / "none.pem"), str(tmp_path / "none.key")) == 111
    assert f"{tmp_path}/none.pem: No such file or directory" in capsys.readouterr().err


def test_links_of_certbot_are_followed(run: Run, tmp_path: Path) -> None:
    paths = make(tmp_path / "archive")
    live = tmp_path / "live"
    live.mkdir()
    links = []
    for path in paths:
        links.append(str(live / Path(path).name))
        os.symlink(f"../archive/{Path(path).name}", links[-1])
    assert run("install", *links) == 0
    assert current(tmp_path)["key.pem"] == Path(paths[1]).read_bytes()


def test_self_signed_ones_are_made_once(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show") == 0
    assert capsys.readouterr().out == "mailgate certificate: none\n"
    assert run("self-signed", "mx1.example.com") == 0
    said = capsys.readouterr().out
    assert "installed: ECDSA for mx1.example.com, by itself, until " in said
    assert "installed: RSA for mx1.example.com, by itself, until " in said
    before = current(tmp_path)
    assert run("self-signed", "other.example.com") == 0
    assert "unchanged: there are certificates" in capsys.readouterr().out
    assert current(tmp_path) == before
    assert run("show") == 0
    assert capsys.readouterr().out == said.replace("installed: ", "")


def test_a_self_signed_one_of_a_bad_name(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("self-signed", "mx1/CN=evil") == 100
    assert "expected letters, digits, - and ." in capsys.readouterr().err
    assert os.listdir(tmp_path / "tls") == []


def test_a_broken_off_switch_is_mended(run: Run, tmp_path: Path) -> None:
    paths = make(tmp_path / "new")
    os.symlink("nowhere", tmp_path / "tls" / ".current")  # what a crash between two steps leaves
    assert run("install", *paths) == 0
    assert certificates.installed(str(tmp_path / "tls")) == [certificates.read_pair(*paths)]


def given(paths: tuple[str, str], **other: str) -> dict[str, str]:
    return {"certificate": paths[0], "key": paths[1], **other}


def test_what_a_site_gives_is_judged_before_anything_is_changed(tmp_path: Path) -> None:
    one, other = make(tmp_path / "one"), make(tmp_path / "other")

    def judged(*pairs: dict[str, str]) -> tuple[str, ...]:
        return certificates.check_given(pairs, "gateway_certificate", str(tmp_path / "tls"), NOW)

    assert judged(given(one)) == ()
    texts = (Path(one[0]).read_text(), Path(one[1]).read_text())
    assert judged(given(texts)) == ()
    (fault,) = judged(given(one, key=other[1]))
    assert fault.startswith(
        f"gateway_certificate: key: is not the key of gateway_certificate: certificate {one[0]} ("
    )
    (fault,) = judged(given(one), given(one, key="/nowhere/key.pem"))
    assert fault == (
        "gateway_certificate item 2: key: its file on the host: No such file or directory; "
        "expected the path of a file of PEM"
    )
    (fault,) = judged(given(one, key=make(tmp_path / "rsa", "rsa")[1]))
    assert "key: is not the key of gateway_certificate: certificate" in fault
    old = make(tmp_path / "old", days=(-9, -1))
    (fault,) = judged(given(old))
    assert "expected one that is valid now" in fault


def test_a_bare_host_without_openssl_judges_the_match(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = make(tmp_path / "one"), make(tmp_path / "other")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = [
        certificates.check_given([given(one, key=key)], "gateway_certificate", str(tmp_path / "tls"), NOW)
        for key in (one[1], other[1])
    ]
    assert found[0] == () and "is not the key of" in found[1][0]


def test_one_that_has_expired_in_use_does_not_stop_other_changes(tmp_path: Path) -> None:
    """The doctor says so; a bad sender can still be shut out."""
    directory = tmp_path / "tls"
    directory.mkdir()
    old = make(tmp_path / "old", days=(-9, -1))
    certificates.install(str(directory), [certificates.read_pair(*old)], os.getegid())
    assert certificates.check_given([given(old)], "gateway_certificate", str(directory), NOW) == ()


# --- owners and modes ---


@pytest.fixture
def narrow() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("narrow")
def test_the_umask_does_not_shut_smtptls_out(tmp_path: Path) -> None:
    directory = tmp_path / "etc" / "tls"
    certificates.make_directory(str(directory))
    assert (mode(directory), mode(directory.parent)) == (0o755, 0o755)
    certificates.install(str(directory), [certificates.read_pair(*make(tmp_path / "one"))], os.getegid())
    assert (mode(directory / "current"), mode(directory / "current" / "key.pem")) == (0o750, 0o640)


@pytest.mark.parametrize("spoilt", ["", "current", "current/key.pem", "current/certificate.pem"])
def test_the_next_install_sets_the_modes_right(
    spoilt: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = make(tmp_path / "new")
    assert run("install", *paths) == 0
    path = tmp_path / "tls" / spoilt
    right = mode(path)
    os.chmod(path, 0o700)
    (wrong,) = certificates.wrong_rights(str(tmp_path / "tls"), os.getegid())
    assert (wrong.before, wrong.after) == (
        f"{path.resolve()}: 0700 {os.geteuid()}:{os.getegid()}",
        f"{path.resolve()}: {right:04o} {os.geteuid()}:{os.getegid()}",
    )
    capsys.readouterr()
    assert run("install", *paths) == 0
    assert "installed: " in capsys.readouterr().out
    assert mode(path) == right
    assert run("install", *paths) == 0
    assert "unchanged: " in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_the_owner_and_the_group_are_set_right(run: Run, tmp_path: Path) -> None:
    paths = make(tmp_path / "new")
    assert run("install", *paths) == 0
    key = tmp_path / "tls" / "current" / "key.pem"
    os.chown(key, 12345, 12345)
    assert certificates.wrong_rights(str(tmp_path / "tls"), -1)[0].after.endswith("0640 0:12345")
    assert run("install", *paths) == 0
    assert (key.stat().st_uid, key.stat().st_gid, mode(key)) == (0, os.getegid(), 0o640)


def test_what_a_person_linked_is_left_alone(tmp_path: Path) -> None:
    """It may be certbot's directory, where others have to read."""
    paths = make_pair(tmp_path / "live", host="mx.example.com")
    os.chmod(paths[1], 0o600)
    (tmp_path / "tls").mkdir(0o755)
    (tmp_path / "tls" / "current").symlink_to(paths[1].parent)
    pair = certificates.read_pair(*map(str, paths))
    assert certificates.install(str(tmp_path / "tls"), [pair], os.getegid()) is False
    assert mode(paths[1]) == 0o600


# --- two at once, and what a killed one leaves ---


def test_one_install_at_a_time(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another begins when one is between its rename and its link, and would take the directory away."""
    first, other = (make(tmp_path / name) for name in ("first", "other"))
    directory = str(tmp_path / "tls")
    seen, symlink = [], os.symlink

    def link(target: str, path: str) -> None:
        monkeypatch.setattr(os, "symlink", symlink)
        seen.append(run("install", *other))
        symlink(target, path)

    assert run("install", *make(tmp_path / "before")) == 0
    monkeypatch.setattr(certificates, "LOCK_SECONDS", 0.0, raising=False)
    monkeypatch.setattr(os, "symlink", link)
    assert run("install", *first) == 0
    assert seen == [111]
    assert certificates.installed(directory) == [certificates.read_pair(*first)]


def test_a_lock_that_is_never_free_is_temporary(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(certificates, "LOCK_SECONDS", 0.0)
    held = certificates.locks.acquire(str(tmp_path / "tls" / ".lock"))
    with contextlib.closing(os.fdopen(held)):
        assert run("install", *make(tmp_path / "new")) == 111
    assert "another install" in capsys.readouterr().err


def test_what_a_killed_install_left_goes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tls" / ".new-abc").mkdir()
    (tmp_path / "tls" / ".new-abc" / "key.pem").write_text("a key\n")
    assert run("install", *make(tmp_path / "new")) == 0
    assert len(kept(tmp_path)) == 2


def spoil_link(current: Path) -> None:
    current.unlink()
    current.symlink_to("0123456789abcdef")


def spoil_key(current: Path) -> None:
    (current / "key.pem").unlink()


def spoil_certificate(current: Path) -> None:
    (current / "certificate.pem").write_text("nonsense\n")


@pytest.mark.parametrize("spoil", [spoil_link, spoil_key, spoil_certificate])
def test_broken_ones_are_not_replaced_by_self_signed_ones(
    spoil: Callable[[Path], None], run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("install", *make(tmp_path / "one")) == 0
    current = tmp_path / "tls" / "current"
    spoil(current)
    before = os.readlink(current)
    assert run("self-signed", "mx.example.com") == 100
    said = capsys.readouterr().err
    assert str(current) in said and "mailgate certificate install" in said
    assert os.readlink(current) == before
    assert run("install", *make(tmp_path / "other")) == 0
    assert run("self-signed", "mx.example.com") == 0


def test_what_was_installed_meanwhile_stays(tmp_path: Path) -> None:
    """The hook of certbot came first."""
    (tmp_path / "tls").mkdir()
    pair = certificates.read_pair(*make(tmp_path / "one"))
    certificates.install(str(tmp_path / "tls"), [pair], os.getegid())
    assert certificates.install_self_signed(str(tmp_path / "tls"), "mx.example.com", os.getegid()) == []
    assert certificates.installed(str(tmp_path / "tls")) == [pair]


def test_an_irregular_file_in_use_does_not_stop_a_good_pair(run: Run, tmp_path: Path) -> None:
    assert run("install", *make(tmp_path / "one")) == 0
    key = tmp_path / "tls" / "current" / "key.pem"
    key.unlink()
    key.mkdir()
    paths = make(tmp_path / "other")
    assert certificates.check_given([given(paths)], "pairs", str(tmp_path / "tls"), NOW) == ()
    assert run("install", *paths) == 0
    assert current(tmp_path)["key.pem"] == Path(paths[1]).read_bytes()
