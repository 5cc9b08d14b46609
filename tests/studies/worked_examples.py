"""The examples of docs/extending.md, as modules."""

from __future__ import annotations

import re
from importlib import import_module
from types import ModuleType

from real_data import ROOT


def import_example(marker: str, folder, monkeypatch) -> ModuleType:
    """The example that has `marker` in it, imported from a module in `folder`."""
    text = (ROOT / "docs" / "extending.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (example,) = [block for block in blocks if marker in block]
    name = "example_" + re.sub(r"\W+", "_", marker).strip("_")
    (folder / f"{name}.py").write_text(example)
    monkeypatch.syspath_prepend(folder)
    return import_module(name)
