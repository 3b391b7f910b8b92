# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of the blacklist as a file that is written and read one item at a time.

It is one JSON object, but with an item a line, so that neither side needs memory for a second copy of what
was counted: the state of a busy gateway has hundreds of megabytes of objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

from ..core.errors import BadInput

_NEXT = re.compile(r'\],"([a-z]+)":\[')
_BEGIN = re.compile(r'(.*),"reputation":\{"version":([0-9]+),"([a-z]+)":\[', re.DOTALL)
_END = "]}}"
_ITEMS = 30  # encoded at once


def pieces(
    head: Mapping[str, object], version: int, sections: Iterable[tuple[str, Iterable[object]]]
) -> Iterator[bytes]:
    """Yield the file: head's values, then the sections of the reputation."""
    lines = [f'{_json(head)[:-1]},"reputation":{{"version":{version}']
    for name, items in sections:
        lines[-1] += f',"{name}":['
        comma = ""
        for item in items:
            lines[-1] += comma
            lines.append(_json(item))
            comma = ","
            if len(lines) > _ITEMS:
                yield ("\n".join(lines[:-1]) + "\n").encode("ascii")
                del lines[:-1]
        lines.append("]")
    lines[-1] += "}}"
    yield ("\n".join(lines) + "\n").encode("ascii")


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def read(stream: IO[str]) -> tuple[dict[str, Any], object, Iterator[tuple[str, Any]]]:
    """Return the head, the version, and (section, item) one after the other.

    Raises BadInput, also while the items are read: for a file that was cut off, at its end. The state of an
    older version, which is one line, is read at once.
    """
    first = stream.readline()
    begin = _BEGIN.fullmatch(first.rstrip("\n"))
    if begin is None:
        return _whole(first + stream.read())
    head = _parsed(begin[1] + "}")
    if not isinstance(head, dict):
        raise BadInput("state: its first line is not an object; expected what the service wrote")
    return head, int(begin[2]), _items(stream, begin[3])


def _items(stream: IO[str], section: str) -> Iterator[tuple[str, Any]]:
    for line in stream:
        text = line.rstrip("\n")
        following = _NEXT.fullmatch(text)
        if following is not None:
            section = following[1]
        elif text == _END:
            return
        else:
            yield section, _parsed(text[:-1] if text.endswith(",") else text)
    raise BadInput("state: it ends in the middle; expected what the service wrote")


def _whole(text: str) -> tuple[dict[str, Any], object, Iterator[tuple[str, Any]]]:
    head = _parsed(text)
    if not isinstance(head, dict):
        raise BadInput(f"state: {text[:40]!r} is not an object; expected what the service wrote")
    reputation = head.pop("reputation", None)
    if not isinstance(reputation, dict):
        raise BadInput("state: it has no reputation; expected what the service wrote")
    version = reputation.pop("version", None)
    if not all(isinstance(items, list) for items in reputation.values()):
        raise BadInput("state: a section is not a list; expected what the service wrote")
    return head, version, ((name, item) for name, items in reputation.items() for item in items)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"state: {text[:40]!r} is not valid JSON; expected what the service wrote") from error
