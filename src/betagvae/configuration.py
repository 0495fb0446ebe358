"""The configuration: its sections, its schema, and what it says once all defaults are in it."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from betagvae.data.registry import DATASETS, dataset
from betagvae.errors import UserError
from betagvae.settings.bench import BenchSettings
from betagvae.settings.data import DataSettings
from betagvae.settings.evaluation import EvaluationSettings
from betagvae.settings.paper import TableSettings, TraversalSettings
from betagvae.settings.quality import QualitySettings, WeightsSettings
from betagvae.settings.scores import ScoreSettings
from betagvae.settings.setting import Declared, declared, defaults
from betagvae.settings.training import WEIGHTS, TrainingSettings
from betagvae.settings.workflow import RESOURCES, Resources, WorkflowSettings

Json = dict[str, Any]

SECTIONS: dict[str, tuple[type, tuple[str, ...]]] = {
    "data": (DataSettings, ("source",)),
    "training": (TrainingSettings, (*WEIGHTS, "seed")),
    "evaluation": (EvaluationSettings, ()),
    "scores": (ScoreSettings, ()),
    "quality": (QualitySettings, ()),
    "quality.weights": (WeightsSettings, ()),
    "tables": (TableSettings, ()),
    "figures.traversal": (TraversalSettings, ()),
    "bench": (BenchSettings, ()),
}
"""Section to its settings and those of them that stand elsewhere."""

_TYPES = {int: "integer", float: "number", str: "string", Path: "string"}


def completed(config: Mapping[str, Any]) -> Json:
    """Return a configuration, which must fit the schema, with every default in it.

    A traversal's base image is what the data set says unless the configuration does, and so is the
    likelihood of `shared_settings`.
    """
    full = {**_defaults(WorkflowSettings), "table1": None, "figures": {}, "quality": {}, **config}
    for name, (section, elsewhere) in SECTIONS.items():
        *outer, key = name.split(".")
        place = full
        for part in outer:
            place[part] = dict(place[part])
            place = place[part]
        place[key] = {**_defaults(section, elsewhere), **place.get(key, {})}
    full["resources"] = {
        stage: {**_defaults(Resources), **asked, **config.get("resources", {}).get(stage, {})}
        for stage, asked in RESOURCES.items()
    }
    full["methods"] = {name: row for name, row in config["methods"].items() if row}
    full["datasets"] = {n: _dataset(n, e) for n, e in config["datasets"].items() if e}
    return full


def _defaults(section: type, elsewhere: tuple[str, ...] = ()) -> Json:
    found = defaults(section).items()
    return {k: str(v) if isinstance(v, Path) else v for k, v in found if k not in elsewhere}


def _dataset(name: str, entry: Mapping[str, Any]) -> Json:
    full = {"data": {}, "training": {}, "base_index": dataset(name).base_index, **entry}
    return {**full, "training": dict(full["training"])}


def shared_settings(full: Mapping[str, Any]) -> dict[str, Json]:
    """Return what all trainings of each data set share, of a completed configuration."""
    return {
        name: {"likelihood": dataset(name).likelihood, **full["training"], **entry["training"]}
        for name, entry in full["datasets"].items()
    }


def check(config: Mapping[str, Any]) -> None:
    """Raise `UserError` where a configuration does not fit the schema."""
    # Here, since only the workflow has this library.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from jsonschema.validators import extend

    # YAML, unlike JSON, has numbers that are none: .nan and .inf.
    known = Draft202012Validator.TYPE_CHECKER
    # And jobs take a whole number as one: 16, not 16.0.
    types = {
        "number": lambda _, v: known.is_type(v, "number") and isfinite(v),
        "integer": lambda _, v: known.is_type(v, "integer") and isinstance(v, int),
    }
    validator = extend(Draft202012Validator, type_checker=known.redefine_many(types))
    error = best_match(validator(schema()).iter_errors(config))
    if error is not None:
        where = ".".join(map(str, error.absolute_path)) or "the configuration"
        hint = _hint(error.instance, error.validator_value)
        raise UserError(f"{where}: {error.message}{hint} (see config/README.md)")
    for name in ("methods", "datasets"):
        if not any(config[name].values()):
            raise UserError(f"{name}: all are null: there is nothing to train")
    for name, entry in config["datasets"].items():
        if entry and entry["source"] not in dataset(name).sources:
            sources = " or ".join(dataset(name).sources)
            raise UserError(f"datasets.{name}.source: {entry['source']} is none of its: {sources}")


def _hint(value: object, wanted: object) -> str:
    """Return what to write for a number that is none to YAML, or no whole one to a job."""
    try:
        number = float(str(value))
    except ValueError:
        return ""
    if wanted in ("integer", ["integer", "null"]) and number.is_integer():
        return f": write {int(number)}"
    mantissa, e, exponent = str(value).lower().partition("e")
    if not (isinstance(value, str) and e):
        return ""
    point = "" if "." in mantissa else ".0"
    sign = "" if exponent[0] in "+-" else "+"
    return f": YAML takes it for text, write {mantissa}{point}e{sign}{exponent}"


def schema() -> Json:
    """Return the JSON schema of a configuration; closed, so that a misspelt key is an error."""
    whole = _closed(
        {
            "run": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
            "data_dir": {"type": "string"},
            "results_dir": {"type": "string"},
            "seeds": _list({"type": "integer", "minimum": 0}, minItems=1, uniqueItems=True),
            "methods": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": "^[!-~]+$", "not": {"pattern": "['={}]"}},
                "additionalProperties": _or_null(
                    _section(TrainingSettings, ("seed",), required=["beta"])
                ),
            },
            "table1": _or_null(_table1()),
            "datasets": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"enum": list(DATASETS)},
                "additionalProperties": _or_null(_dataset_schema()),
            },
            "resources": _closed({stage: _section(Resources) for stage in RESOURCES}),
            **_properties(WorkflowSettings),
        },
        required=["run", "data_dir", "results_dir", "seeds", "methods", "datasets"],
    )
    for name, (section, elsewhere) in SECTIONS.items():
        *outer, key = name.split(".")
        place = whole
        for part in outer:
            place = place["properties"].setdefault(part, _closed({}))
        place["properties"][key] = _section(section, elsewhere)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def _table1() -> Json:
    weight = property_of(declared(TrainingSettings)["beta"])
    pairs = _list(_list(weight, minItems=2, maxItems=2), minItems=1)
    properties = {"dataset": {"enum": list(DATASETS), "type": "string"}, "pairs": pairs}
    return _closed(properties, required=list(properties))


def _dataset_schema() -> Json:
    properties = {
        "source": property_of(declared(DataSettings)["source"]),
        "data": _section(*SECTIONS["data"]),
        "training": _section(*SECTIONS["training"]),
        "base_index": {"type": "integer", "minimum": 0},
    }
    return _closed(properties, required=["source"])


def _section(section: type, elsewhere: tuple[str, ...] = (), **more: object) -> Json:
    return _closed(_properties(section, elsewhere), **more)


def _properties(section: type, elsewhere: tuple[str, ...] = ()) -> Json:
    return {name: property_of(d) for name, d in declared(section).items() if name not in elsewhere}


def property_of(d: Declared) -> Json:
    """Return the schema of a setting's value."""
    a = d.about
    bounds = {"minimum": a.least, "exclusiveMinimum": a.above, "exclusiveMaximum": a.below}
    found = {"type": _TYPES[d.kind], **{k: v for k, v in bounds.items() if abs(v) < float("inf")}}
    if a.choices:
        found["enum"] = list(a.choices)
    if d.parts is not None:
        found = _list(found, **({"minItems": d.parts, "maxItems": d.parts} if d.parts else {}))
    found = _or_null(found) if d.nullable else found
    return {**found, "description": a.why}


def _list(items: Json, **more: object) -> Json:
    return {"type": "array", "items": items, **more}


def _closed(properties: Json, **more: object) -> Json:
    return {"type": "object", "additionalProperties": False, "properties": properties, **more}


def _or_null(of_value: Json) -> Json:
    choices = {"enum": [*of_value["enum"], None]} if "enum" in of_value else {}
    return {**of_value, **choices, "type": [of_value["type"], "null"]}
