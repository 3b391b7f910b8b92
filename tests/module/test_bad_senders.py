"""The module bad_senders: what it writes, refuses and says."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.module_runner import run_module


def run(root: Path, senders: list[str], check: bool = False) -> dict[str, Any]:
    places = {"directory": f"{root}/badmailfrom.d", "path": f"{root}/badmailfrom", "state": f"{root}/state"}
    return run_module("bad_senders", {**places, "senders": senders}, check=check)


def refused(root: Path) -> list[str]:
    return [line for line in (root / "badmailfrom").read_text().splitlines() if not line.startswith("#")]


def test_senders_gained_and_lost_are_named(tmp_path: Path) -> None:
    run(tmp_path, ["spammer@bad.example", "@Worse.example"])
    assert refused(tmp_path) == ["spammer@bad.example", "@worse.example"]
    predicted = run(tmp_path, ["@worse.example", "x@bad.example"], check=True)
    done = run(tmp_path, ["@worse.example", "x@bad.example"])
    assert predicted == done
    assert done["changes"] == [
        "sender x@bad.example will be refused",
        "sender spammer@bad.example will no longer be refused",
    ]
    assert done["diff"] == [{"prepared": "".join(f"{line}\n" for line in done["changes"])}]
    assert refused(tmp_path) == ["x@bad.example", "@worse.example"]


def test_the_operators_senders_are_merged_and_not_written(tmp_path: Path) -> None:
    run(tmp_path, [])
    text = '# {"by": "al", "until": 1}\n@old.example\n# {"until": 4000000000}\n@new.example\n'
    (tmp_path / "badmailfrom.d/20-operator").write_text(text)
    done = run(tmp_path, ["@worse.example"])
    assert refused(tmp_path) == ["@new.example", "@worse.example"]
    assert done["changes"] == [
        "every sender @new.example will be refused",
        "every sender @worse.example will be refused",
    ]
    (tmp_path / "badmailfrom.d/20-operator").write_text("*@x.example\n")
    done = run(tmp_path, ["@worse.example"])
    fault = f"{tmp_path}/badmailfrom.d/20-operator line 1: '*@x.example' has a '*', which stands for itself only; "
    assert done["notices"] == [
        f"{fault}expected 'user@host' or '@host'; it has no last good version and is left out"
    ]
    assert refused(tmp_path) == ["@worse.example"]


@pytest.mark.parametrize("check", [True, False])
def test_what_never_matches_is_refused(tmp_path: Path, check: bool) -> None:
    done = run(tmp_path, ["@good.example", "*@bad.example"], check)
    assert (done["failed"], done["msg"]) == (
        True,
        "senders item 2: '*@bad.example' has a '*', which stands for itself only; expected 'user@host' or '@host'",
    )
    assert list(tmp_path.iterdir()) == []
