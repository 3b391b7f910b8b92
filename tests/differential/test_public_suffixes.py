# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""smtpfront's reader of the public suffix list and libpsl find the same organizational domains."""

from __future__ import annotations

import ctypes
import ctypes.util
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.c_programs import INCLUDES, SANITIZE, STRICT, gcc, needed

LIST = Path("/usr/share/publicsuffix/public_suffix_list.dat")
MAIN = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "suffixlist.h"
int main(void)
{
  static char text[4 << 20];
  struct suffixlist list;
  char name[1024];
  const char *found;
  FILE *f = fopen("%s", "r");
  size_t len = f ? fread(text, 1, sizeof text, f) : 0;

  if (!f || !suffixlist_read(&list, text, len))
    return 1;
  while (fgets(name, sizeof name, stdin)) {
    name[strcspn(name, "\\n")] = 0;
    found = suffixlist_organization(&list, name);
    puts(found ? found : "-");
  }
  fclose(f);
  suffixlist_free(&list);
  return 0;
}
"""


@pytest.fixture(scope="module")
def organization() -> Callable[[str], str]:
    """Return libpsl's answer for a name, '-' for none."""
    name = ctypes.util.find_library("psl")
    if name is None or not LIST.exists():
        pytest.fail("libpsl or its list is missing; install the Debian packages psl and publicsuffix")
    library = ctypes.CDLL(name)
    library.psl_load_file.restype = ctypes.c_void_p
    library.psl_registrable_domain.restype = ctypes.c_char_p
    library.psl_registrable_domain.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    loaded = library.psl_load_file(str(LIST).encode())
    assert loaded

    def ask(host: str) -> str:
        found = library.psl_registrable_domain(loaded, host.encode())
        return found.decode() if found else "-"

    return ask


def in_ascii(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode").decode()


def hosts() -> Iterator[str]:
    """Yield each rule of the list as a name, with labels before it, and without its first one."""
    for line in LIST.read_text(encoding="utf-8").splitlines():
        rule = line.split()[0] if line.split() else ""
        if rule and not rule.startswith("//"):
            labels = [in_ascii(label) for label in rule.lstrip("!").replace("*", "w").split(".")]
            for name in (labels, ["x", *labels], ["y", "x", *labels], labels[1:]):
                if name:
                    yield ".".join(name)


def test_every_rule_means_the_same(tmp_path: Path, organization: Callable[[str], str]) -> None:
    source = tmp_path / "main.c"
    source.write_text(MAIN % LIST)
    gcc("-std=gnu11", *STRICT, *SANITIZE, *INCLUDES, source, *needed(source), "-o", tmp_path / "main")
    names = list(hosts())
    assert len(names) > 20_000
    done = subprocess.run(
        [tmp_path / "main"], input="\n".join(names), capture_output=True, text=True, check=True, timeout=120
    )
    ours = dict(zip(names, done.stdout.split()))
    assert {name: found for name, found in ours.items() if found != organization(name)} == {}
