# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mailgate sa-update: only whole, sound rules come into force, and spamd reads them only then."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import sa_update as cli
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    Busy,
    TryAgain,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import sa_update
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host.sa_update import Channel, Settings

FINGERPRINT = "5E541DC959CB8BAC7C78DFDC4056A61A5244EC45"
VERSION = "4.000001"

# sa-update as it is seen from outside: it makes its directory first, and changes what is in it in place.
FAKE_SA_UPDATE = """#!/bin/sh
echo "$*" >>"$FAKES/calls"
while [ $# -gt 0 ]; do
  case $1 in --updatedir) dir=$2 ;; --channel) channel=$2 ;; --install) bundle=$2 ;; esac
  shift
done
[ -n "$dir" ] || exit 0
nice=$(echo "$channel" | tr . _)
mkdir -p "$dir/$nice"
if [ -e "$FAKES/$channel.rules" ] || [ -n "$bundle" ]; then
  rm -f "$dir/$nice"/*
  name=10_default_prefs.cf
  [ ! -e "$FAKES/$channel.extra" ] || name=extra.cf
  cp "${bundle:-$FAKES/$channel.rules}" "$dir/$nice/$name"
  exit 0
fi
[ ! -e "$FAKES/$channel.fails" ] || { echo "channel '$channel': GPG validation failed"; exit 4; }
exit 1
"""

# spamassassin --lint: refuses rules that hold the word bad, wherever they lie.
FAKE_SPAMASSASSIN = """#!/bin/sh
while [ $# -gt 0 ]; do case $1 in --configpath) rules=$2 ;; --siteconfigpath) site=$2 ;; esac; shift; done
if grep -rqs bad "$rules" "$site"; then echo "warn: lint: 1 issues detected"; exit 1; fi
exit 0
"""


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "fakes"
    place.mkdir()
    for name, text in (
        ("sa-update", FAKE_SA_UPDATE),
        ("spamassassin", FAKE_SPAMASSASSIN),
        ("perl", f"#!/bin/sh\nprintf {VERSION}\n"),
        ("gpgconf", "#!/bin/sh\n"),
    ):
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKES", str(place))
    return place


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("home", "site", "state"):
        (tmp_path / name).mkdir()
    return Settings(
        (Channel("updates.example"), Channel("more.example", FINGERPRINT)),
        home=str(tmp_path / "home"),
        site=str(tmp_path / "site"),
        state=str(tmp_path / "state"),
        pid_file=str(tmp_path / "spamd.pid"),
        socket=str(tmp_path / "spamd.sock"),
    )


def rules(settings: Settings) -> dict[str, str]:
    """Return what SpamAssassin would read as its rules."""
    force = Path(settings.state) / VERSION
    return {str(path.relative_to(force)): path.read_text() for path in force.rglob("*.cf")}


def offer(fakes: Path, channel: str, text: str) -> None:
    (fakes / f"{channel}.rules").write_text(text)


def test_new_rules_come_into_force_and_the_old_copy_goes(fakes: Path, settings: Settings) -> None:
    offer(fakes, "updates.example", "first")
    assert sa_update.update(settings)[1] == []
    offer(fakes, "updates.example", "second")
    done, failed = sa_update.update(settings)
    assert failed == [] and done[0] == "new rules in force from updates.example"
    assert rules(settings) == {"updates_example/10_default_prefs.cf": "second"}
    copies = [name for name in os.listdir(settings.state) if name.startswith("rules-")]
    assert len(copies) == 2  # in force, and the one before it


def test_nothing_new_changes_nothing(fakes: Path, settings: Settings) -> None:
    offer(fakes, "updates.example", "first")
    sa_update.update(settings)
    (fakes / "updates.example.rules").unlink()
    before = os.readlink(Path(settings.state) / VERSION)
    assert sa_update.update(settings) == (["nothing new"], [])
    assert os.readlink(Path(settings.state) / VERSION) == before
    assert rules(settings) == {"updates_example/10_default_prefs.cf": "first"}


def test_without_any_update_there_is_no_directory_that_hides_the_releases_rules(
    fakes: Path, settings: Settings
) -> None:
    (fakes / "updates.example.fails").touch()
    done, failed = sa_update.update(settings)
    assert done == ["nothing new"] and "GPG validation failed" in failed[0]
    assert not os.path.lexists(Path(settings.state) / VERSION)
    assert os.listdir(settings.state) == []


def test_rules_that_do_not_lint_never_come_into_force(fakes: Path, settings: Settings) -> None:
    offer(fakes, "updates.example", "first")
    sa_update.update(settings)
    offer(fakes, "updates.example", "bad")
    with pytest.raises(BadInput, match="lint: 1 issues detected"):
        sa_update.update(settings)
    assert rules(settings) == {"updates_example/10_default_prefs.cf": "first"}


def test_one_channel_that_fails_does_not_keep_the_others_from_working(
    fakes: Path, settings: Settings
) -> None:
    offer(fakes, "updates.example", "first")
    (fakes / "more.example.fails").touch()
    done, failed = sa_update.update(settings)
    assert "updates.example" in done[0]
    assert failed and failed[0].startswith("channel more.example: sa-update ended with status 4")
    assert rules(settings) == {"updates_example/10_default_prefs.cf": "first"}


def test_rules_without_spamassassins_own_never_come_into_force(fakes: Path, settings: Settings) -> None:
    offer(fakes, "more.example", "extra")
    (fakes / "more.example.extra").touch()
    with pytest.raises(BadInput, match="expected a channel that has SpamAssassin's own rules"):
        sa_update.update(settings)
    assert os.listdir(settings.state) == []


def test_a_directory_of_an_earlier_day_is_taken_over(fakes: Path, settings: Settings) -> None:
    old = Path(settings.state) / VERSION / "updates_example"
    old.mkdir(parents=True)
    (old / "10_default_prefs.cf").write_text("old")
    offer(fakes, "more.example", "new")
    sa_update.update(settings)
    assert rules(settings) == {
        "updates_example/10_default_prefs.cf": "old",
        "more_example/10_default_prefs.cf": "new",
    }


def test_each_channel_is_trusted_by_its_own_key_only(fakes: Path, settings: Settings) -> None:
    sa_update.update(settings)
    calls = (fakes / "calls").read_text().splitlines()
    assert FINGERPRINT not in calls[0] and "--channel updates.example" in calls[0]
    assert calls[1].endswith(f"--channel more.example --gpgkey {FINGERPRINT}")
    assert not any("--nogpg" in call for call in calls)


@pytest.mark.parametrize("signed", [True, False])
def test_a_bundle_is_checked_by_its_signature_or_else_its_checksum(
    fakes: Path, settings: Settings, tmp_path: Path, signed: bool
) -> None:
    bundle = tmp_path / "1916528.tar.gz"
    bundle.write_text("bundled")
    if signed:
        Path(f"{bundle}.asc").touch()
    sa_update.update(settings, str(bundle))
    call = (fakes / "calls").read_text().splitlines()
    assert len(call) == 1 and f"--install {bundle}" in call[0]
    assert ("--nogpg" in call[0]) is not signed
    assert rules(settings) == {"updates_example/10_default_prefs.cf": "bundled"}


def test_a_crash_between_two_renames_leaves_whole_rules(
    fakes: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(fakes, "updates.example", "first")
    sa_update.update(settings)
    offer(fakes, "updates.example", "second")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", crash)
    with pytest.raises(KeyboardInterrupt):
        sa_update.update(settings)
    assert rules(settings) == {"updates_example/10_default_prefs.cf": "first"}


@pytest.fixture
def spamd(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that calls itself spamd, and says when it gets HUP."""
    text = "import signal\nsignal.signal(1, lambda *_: print('hup', flush=True))\nprint('up', flush=True)\n"
    child = subprocess.Popen(
        [sys.executable, "-c", f"{text}while True: signal.pause()", "spamd"], stdout=subprocess.PIPE
    )
    assert child.stdout and child.stdout.readline() == b"up\n"
    Path(settings.pid_file).write_text(f"{child.pid}\n")
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def answer_one(path: str, word: bytes) -> threading.Thread:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()

    def serve() -> None:
        with listening:
            peer, _address = listening.accept()
            with peer:
                assert peer.recv(100) == b"PING SPAMC/1.2\r\n\r\n"
                peer.sendall(word)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_spamd_is_asked_to_read_and_has_to_answer(settings: Settings, spamd: subprocess.Popen[bytes]) -> None:
    thread = answer_one(settings.socket, b"SPAMD/1.5 0 PONG\r\n")
    assert str(spamd.pid) in sa_update.reload_spamd(settings, within_seconds=5)
    thread.join()
    assert spamd.stdout and spamd.stdout.readline() == b"hup\n"


def test_a_spamd_that_does_not_come_back_is_told(settings: Settings, spamd: subprocess.Popen[bytes]) -> None:
    with pytest.raises(TryAgain, match="spamd does not answer within"):
        sa_update.reload_spamd(settings, within_seconds=0.1)


def test_a_number_that_is_no_longer_spamds_gets_no_signal(settings: Settings) -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        Path(settings.pid_file).write_text(f"{child.pid}\n")
        assert "does not run" in sa_update.reload_spamd(settings)
        assert child.poll() is None
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()


def test_two_runs_do_not_meet(settings: Settings) -> None:
    with sa_update.locked(settings), pytest.raises(Busy, match="locked by another run"):
        sa_update.locked(settings).__enter__()


@pytest.mark.parametrize(
    ("error", "status"),
    [(TryAgain("no answer"), 111), (BadInput("no answer"), 100), (Busy("no answer"), 111)],
)
def test_the_status_says_whether_to_try_again(
    error: Exception,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_arguments: object) -> None:
        raise error

    config = tmp_path / "sa-update.json"
    config.write_text('{"channels": [{"name": "updates.spamassassin.org"}]}')
    monkeypatch.setattr(cli, "become", lambda *_arguments: None)
    monkeypatch.setattr(cli, "lint", fails)
    assert cli.main(["--config", str(config), "--reload"]) == status
    assert capsys.readouterr().err == "mailgate sa-update: no answer\n"


def test_the_site_is_linted_as_it_would_be(fakes: Path, settings: Settings) -> None:
    site = Path(settings.site)
    (site / "local.cf").write_text("old")
    (site / "razor.cf").write_text("razor")
    (site / "notes.txt").write_text("bad")
    with sa_update.site_with(settings.site, {"local.cf": b"new"}) as copy:
        assert {path.name: path.read_text() for path in Path(copy).iterdir()} == {
            "local.cf": "new",
            "razor.cf": "razor",
        }
        sa_update.lint(None, copy)
    with pytest.raises(BadInput), sa_update.site_with(settings.site, {"local.cf": b"bad"}) as copy:
        sa_update.lint(None, copy)
    assert (site / "local.cf").read_text() == "old"


def test_settings_are_read() -> None:
    text = (
        '{"channels": [{"name": "updates.spamassassin.org"}, '
        '{"name": "more.example", "fingerprint": "5e54 1dc9 59cb 8bac 7c78  dfdc 4056 a61a 5244 ec45", '
        '"key_file": "/k"}], "proxy": "http://proxy.example:3128"}'
    )
    assert sa_update.parse_settings(text, "f") == Settings(
        (Channel("updates.spamassassin.org"), Channel("more.example", FINGERPRINT, "/k")),
        proxy="http://proxy.example:3128",
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "file f: is not valid JSON, .*; expected an object"),
        ("[]", r"file f: \[\] is not an object; expected one with 'channels'"),
        ('{"channels": []}', r"file f: channels \[\] is not a list of channels; expected at least one"),
        ('{"chanels": "x", "channels": [{"name": "a"}]}', "file f: 'chanels': 'x' is unknown or .*"),
        ('{"proxy": 1, "channels": [{"name": "a"}]}', "file f: 'proxy': 1 is unknown or not text; .*"),
        ('{"channels": ["a"]}', "file f: channel 'a' is not an object of strings; expected one with 'name'"),
        ('{"channels": [{"name": "a", "key": "b"}]}', r"file f: channel .* has \['key'\]; expected .*"),
        ('{"channels": [{"name": "-a"}]}', "file f: channel '-a' is not a name of a channel; .*"),
        ('{"channels": [{"name": "../a"}]}', "file f: channel '../a' is not a name of a channel; .*"),
        (
            '{"channels": [{"name": "a", "fingerprint": "5244EC45"}]}',
            "file f: channel 'a': fingerprint '5244EC45' is too short or not a fingerprint; expected 40 .*",
        ),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(BadInput) as caught:
        sa_update.parse_settings(text, "f")
    assert re.fullmatch(complaint, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("text", ["local.cf", "=x", "local.cf=", "../local.cf=x", ".cf=x", "local.txt=x"])
def test_a_change_names_a_file_of_the_site(text: str) -> None:
    with pytest.raises(BadInput):
        sa_update.parse_change(text)


def test_last_words_are_short_and_printable() -> None:
    assert sa_update.last_words("a\n\n  b\x1b[1m\n") == "a; b?[1m"
    assert len(sa_update.last_words("x" * 10000)) == sa_update.SHOWN_CHARACTERS
    assert sa_update.last_words("") == "nothing"


def test_no_program_looks_into_the_callers_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sa_update.run(["pwd"]) == (0, "/\n")
