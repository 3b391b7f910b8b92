"""Make the collection importable from the checkout, wherever it lies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import yaml
from bed.common import ONLY_REAL
from bed.signals import reset_signals

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = ROOT / ".ansible" / "collections"
SUMMARY_WIDTH = 300  # pytest leaves out the reason when a test's name fills the line


def pytest_addoption(parser: pytest.Parser) -> None:
    default = os.environ.get("MAILGATE_GATEWAY", "mailgate-gateway")
    parser.addoption("--gateway", default=default, help=f"the gateway's container (default: {default})")
    parser.addoption("--rows", default="", help="only rows with this tag (debian13, short)")
    parser.addoption("--keep", action="store_true", help="leave the upgraded gateway's container as it is")


def _link() -> None:
    """Link the checkout to ansible_collections/NAMESPACE/NAME, the only path from which it is importable."""
    link = COLLECTIONS / "ansible_collections" / "mailgate" / "qmail"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(ROOT, link.parent))


def _why_not_run(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the reason for which a test needs a real program that is not here, or ""."""
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    reason = reason.removeprefix("Skipped: ")
    return reason if reason.startswith(ONLY_REAL) else ""


def pytest_report_teststatus(
    report: pytest.TestReport | pytest.CollectReport,
) -> tuple[str, str, str] | None:
    """Count what is not run on a stand-in apart from what is skipped."""
    return ("not run", "n", "NOT RUN") if _why_not_run(report) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each test that was not run, and why; leave room for why a test failed in the summary below."""
    terminalreporter.config.get_terminal_writer().fullwidth = SUMMARY_WIDTH
    for report in terminalreporter.stats.get("not run", ()):
        terminalreporter.write_line(f"NOT RUN {report.nodeid} - {_why_not_run(report)}")


@pytest.fixture(scope="session", autouse=True)
def _reachable(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let other users enter the tests' directories: some programs run as one of them."""
    base = tmp_path_factory.getbasetemp()
    for path in (base, *base.parents):
        if path.stat().st_uid == os.geteuid() and path.stat().st_mode & 0o001 == 0:
            path.chmod(0o711)


def _read_yaml_quickly() -> None:
    """Let yaml.safe_load() have libyaml where it is: many tests read the roles' files."""
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]


reset_signals()
_read_yaml_quickly()
_link()
sys.path_importer_cache.pop(str(COLLECTIONS), None)  # it may have been asked for before the link was there
os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(COLLECTIONS)
