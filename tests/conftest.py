"""Makes the collection importable from the checkout, wherever it lies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = ROOT / ".ansible" / "collections"


def _link() -> None:
    """A collection is importable only below ansible_collections/NAMESPACE/NAME: the link gives the checkout that path."""
    link = COLLECTIONS / "ansible_collections" / "mailgate" / "qmail"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(ROOT, link.parent))


_link()
sys.path.insert(0, str(COLLECTIONS))
os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(COLLECTIONS)
