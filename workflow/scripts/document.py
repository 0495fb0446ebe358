"""Write the tables of settings in config/README.md, from where settings are declared.

    python workflow/scripts/document.py

What stands between the two marks of a section is made; all else is written by hand.
"""

import re
import sys
from dataclasses import MISSING
from pathlib import Path

from betagvae.configuration import SECTIONS
from betagvae.settings.data import DataSettings
from betagvae.settings.setting import Declared, declared, written
from betagvae.settings.training import WEIGHTS, TrainingSettings
from betagvae.settings.workflow import RESOURCES, Resources, WorkflowSettings

README = Path(__file__).resolve().parents[2] / "config" / "README.md"
TABLES = {
    "methods": (TrainingSettings, tuple(n for n in declared(TrainingSettings) if n not in WEIGHTS)),
    "datasets": (DataSettings, tuple(n for n in declared(DataSettings) if n != "source")),
    **SECTIONS,
    "workflow": (WorkflowSettings, ()),
    "resources": (Resources, ()),
}
MARK = re.compile(r"(<!-- settings: ([a-z.]+) -->\n).*?(<!-- end -->)", re.S)


def documented(text: str) -> str:
    """Return a page with the table of each section whose marks it has."""
    return MARK.sub(lambda mark: mark[1] + table(mark[2]) + mark[3], text)


def table(name: str) -> str:
    """Return a section's settings as Markdown."""
    section, elsewhere = TABLES[name]
    rows = [_row(d) for d in declared(section).values() if d.name not in elsewhere]
    header = "| key | unit | default | meaning, and why this default |\n| --- | --- | --- | --- |\n"
    return header + "".join(rows)


def _row(d: Declared) -> str:
    return f"| `{d.name}` | {d.about.unit} | {_default(d)} | {d.about.why} |\n"


def _default(d: Declared) -> str:
    stages = RESOURCES.items() if d in declared(Resources).values() else ()
    others = [f"{stage} {_written(asked[d.name])}" for stage, asked in stages if d.name in asked]
    default = "" if d.default is MISSING else _written(d.default)
    return "; ".join([default, *others])


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return f"`[{', '.join(map(written, value))}]`"
    return "`null`" if value is None else f"`{written(value)}`"


if __name__ == "__main__":
    sys.exit(README.write_text(documented(README.read_text("utf-8")), encoding="utf-8") and 0)
