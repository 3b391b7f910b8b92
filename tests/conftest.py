"""Makes the collection importable from the checkout, wherever it lies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = ROOT / ".ansible" / "collections"


def _link() -> None:
    """Gives the checkout the path ansible_collections/NAMESPACE/NAME, below which alone it is importable."""
    link = COLLECTIONS / "ansible_collections" / "mailgate" / "qmail"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(ROOT, link.parent))


_link()
sys.path.insert(0, str(COLLECTIONS))
sys.path.insert(0, str(ROOT / "tests" / "fuzz"))
sys.path_importer_cache.pop(str(COLLECTIONS), None)  # it may have been asked for before the link was there
os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(COLLECTIONS)
