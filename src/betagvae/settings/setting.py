"""How a setting is declared: a field of a frozen dataclass, with all that is known of it."""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass
from pathlib import Path
from typing import Any, TypeVar

from betagvae.errors import UserError

S = TypeVar("S")


@dataclass(frozen=True)
class About:
    """What is known of a setting besides its name, type and default."""

    why: str
    """What it means, and why this default; Markdown."""
    unit: str = ""
    least: float = -math.inf
    above: float = -math.inf
    below: float = math.inf
    choices: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    """What it is to the library, in words that its module explains."""
    matters_with: tuple[str, ...] = ()
    """Settings one of which is not 0 where this one changes anything; empty: it always does."""


def setting(why: str, default: Any = MISSING, **about: Any) -> Any:
    """Declare a setting; `about` as the other fields of `About`. Without a default it is needed."""
    return dataclasses.field(default=default, metadata={"about": About(why, **about)})


@dataclass(frozen=True)
class Declared:
    """A setting as its class declares it."""

    name: str
    about: About
    default: Any
    """`MISSING` where there is none."""
    kind: type
    """Of the value, or of its parts."""
    nullable: bool
    parts: int | None
    """How many values make one; 0 for any number, None where it is one itself."""

    @property
    def flag(self) -> str:
        """The command line's name."""
        return _flag(self.name)

    @property
    def needed(self) -> bool:
        """Whether it has no default."""
        return self.default is MISSING

    def problem(self, value: Any) -> str:
        """Return what is wrong with one value, or with one part of it; empty where nothing is."""
        a = self.about
        if a.choices and value not in a.choices:
            return f"{value!r} is not one of {', '.join(a.choices)}"
        if isinstance(value, int | float):
            if not math.isfinite(value):
                return f"{value} is not a number"
            if value < a.least or value <= a.above:
                bound = f"{a.least:g} or more" if value < a.least else f"above {a.above:g}"
                return f"{value} is not {bound}"
            if value >= a.below:
                return f"{value} is not below {a.below:g}"
        return ""


@functools.cache
def declared(section: type) -> dict[str, Declared]:
    """Return the settings of a section by name, in order."""
    hints = typing.get_type_hints(section)
    return {
        field.name: _declared(field, hints[field.name]) for field in dataclasses.fields(section)
    }


def with_role(section: type, role: str) -> tuple[str, ...]:
    """Return the names of the settings of a section that have a role."""
    return tuple(d.name for d in declared(section).values() if role in d.about.roles)


def _declared(field: Field, hint: Any) -> Declared:
    nullable = isinstance(hint, types.UnionType)
    if nullable:
        (hint,) = (part for part in typing.get_args(hint) if part is not types.NoneType)
    parts = None
    if typing.get_origin(hint) is tuple:
        of_parts = typing.get_args(hint)
        parts, hint = (0 if of_parts[-1] is Ellipsis else len(of_parts)), of_parts[0]
    return Declared(field.name, field.metadata["about"], field.default, hint, nullable, parts)


def defaults(section: type) -> dict[str, Any]:
    """Return the settings of a section that have a default, as a configuration writes them."""
    found = {d.name: d.default for d in declared(section).values() if not d.needed}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items()}


def written(value: object) -> str:
    """Return a setting's value as part of a name or label."""
    if isinstance(value, list | tuple):
        return "-".join(map(written, value))
    return number(value) if isinstance(value, int | float) else str(value)


def number(value: float) -> str:
    """Return a number with all its digits and no more."""
    return repr(value + 0).removesuffix(".0")  # −0 is 0


def flags(values: Mapping[str, Any]) -> list[str]:
    """Return settings as words of the command line; null and an empty list leave a flag out."""
    words = []
    for name, value in values.items():
        parts = value if isinstance(value, list) else [value]
        if value is not None and parts:
            words += [_flag(name), *map(str, parts)]
    return words


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def made(section: type[S], values: Mapping[str, Any], where: str = "") -> S:
    """Return a section with values as a configuration, a file of results or a flag has them.

    Raises
    ------
    UserError
        When there is no such setting, a needed one is missing, or a value is out of bounds.
    """
    known, prefix = declared(section), f"{where}." if where else ""
    if unknown := sorted(set(values) - set(known)):
        raise UserError(f"{prefix}{unknown[0]}: there is no such setting: {', '.join(known)}")
    if missing := [d.name for d in known.values() if d.needed and d.name not in values]:
        raise UserError(f"{prefix}{missing[0]} is missing: set it")
    return section(**{name: _converted(known[name], v, prefix) for name, v in values.items()})


def _converted(d: Declared, value: Any, prefix: str) -> Any:
    if value is None and d.nullable:
        return None
    parts = [value]
    if d.parts is not None:
        listed = isinstance(value, Sequence) and not isinstance(value, str)
        if not listed or (d.parts and len(value) != d.parts):
            raise UserError(f"{prefix}{d.name}: {value!r} is not {d.parts or 'a list of'} values")
        parts = value
    try:
        found = tuple(_part(d, part) for part in parts)
    except ValueError as error:
        raise UserError(f"{prefix}{d.name}: {error}") from error
    return found[0] if d.parts is None else found


def _part(d: Declared, value: Any) -> Any:
    """Return a value as the type of the setting; no number is made of words, nor the reverse."""
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if d.kind is int and not (numeric and math.isfinite(value) and value == int(value)):
        raise ValueError(f"{value!r} is not a whole number")
    if d.kind is float and not numeric:
        raise ValueError(f"{value!r} is not a number")
    if d.kind in (str, Path) and not isinstance(value, str | Path):
        raise ValueError(f"{value!r} is not text")
    if problem := d.problem(value):
        raise ValueError(problem)
    return d.kind(value)
