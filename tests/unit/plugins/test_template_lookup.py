"""The lookup template renders as ansible.builtin.template does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar
from ansible_collections.mailgate.qmail.plugins.lookup.template import LookupModule

VALUES = {"name": "mx1", "rows": ["a", "b"], "settings": {"b": 1}, "nested": "{{ name }}.test"}
TEXTS = [
    "",
    "\n",
    "one line without an end: {{ name }}",
    "two ends\n\n",
    "{% for row in rows %}\nrow {{ row }}\n{% endfor %}\nlast\n",
    "{% if rows %}\n  indented\n{% endif %}\n",
    "{# a remark #}\nback\\\\slashes \\n and {{ 'in\\\\side' }}\n",
    '{"a": "{{ nested }}"}\n',
    "[1, 2]",
    "{{ settings | to_json }}\n",
    "\u00fcmlaut {{ nested }}\n",
]


def rendered(plugin: Any, directory: Path, name: str) -> Any:
    return plugin.run([name], variables={**VALUES, "ansible_search_path": [str(directory)]})


def ours() -> Any:
    return LookupModule(loader=DataLoader(), templar=Templar(loader=DataLoader(), variables=VALUES))


def builtin() -> Any:
    templar = Templar(loader=DataLoader(), variables=VALUES)
    return lookup_loader.get("template", loader=DataLoader(), templar=templar)


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_is_that_of_the_builtin_lookup(text: str, tmp_path: Path) -> None:
    (tmp_path / "templates" / "etc").mkdir(parents=True)
    (tmp_path / "templates" / "etc" / "file.j2").write_text(text, encoding="utf-8")
    (made,) = rendered(ours(), tmp_path, "etc/file.j2")
    assert [made] == rendered(builtin(), tmp_path, "etc/file.j2")
    assert isinstance(made, str)


def test_a_file_that_is_not_there_and_a_name_that_nobody_gave_are_told(tmp_path: Path) -> None:
    with pytest.raises(AnsibleError, match=r"nothing[.]j2"):
        rendered(ours(), tmp_path, "nothing.j2")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "file.j2").write_text("{{ nobody }}\n")
    with pytest.raises(AnsibleError, match="nobody"):
        rendered(ours(), tmp_path, "file.j2")
