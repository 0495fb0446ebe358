"""What is declared of a setting holds wherever the setting is read."""

import argparse
import copy
import json
import math
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from betagvae.cli.arguments import add_settings, take
from betagvae.configuration import (
    SECTIONS,
    check,
    completed,
    property_of,
    schema,
    shared_settings,
)
from betagvae.data.registry import DATASETS, dataset
from betagvae.errors import UserError
from betagvae.settings.setting import declared, defaults, made
from betagvae.settings.training import TrainingSettings
from betagvae.settings.workflow import RESOURCES, Resources, WorkflowSettings

CLASSES = [section for section, _ in SECTIONS.values()] + [WorkflowSettings, Resources]
ALL = [
    pytest.param(section, d, id=f"{section.__name__}.{name}")
    for section in CLASSES
    for name, d in declared(section).items()
]
each_setting = pytest.mark.parametrize(("section", "d"), ALL)
MINIMAL = {
    "run": "mine",
    "data_dir": "data",
    "results_dir": "results",
    "seeds": [0],
    "methods": {"VAE": {"beta": 1}},
    "datasets": {"celeba": {"source": "original"}},
}


def of_numbers(d):
    """Return numbers just inside and just outside of each bound."""
    whole, a = d.kind is int, d.about
    inside, outside = [], []
    if a.least > -math.inf:
        inside.append(d.kind(a.least))
        outside.append(a.least - 1 if whole else math.nextafter(a.least, -math.inf))
    if a.above > -math.inf:
        inside.append(a.above + 1 if whole else math.nextafter(a.above, math.inf))
        outside.append(d.kind(a.above))
    if a.below < math.inf:
        inside.append(a.below - 1 if whole else math.nextafter(a.below, -math.inf))
        outside.append(d.kind(a.below))
    else:
        inside.append(10**6 if whole else 1e300)
    return inside, outside


def parts_of(d):
    """Return single values that are right and wrong."""
    if d.about.choices:
        return list(d.about.choices), ["", f"{d.about.choices[0]} "]
    if d.kind in (int, float):
        return of_numbers(d)
    return ["some/path.zip"], []


def cases(d):
    """Return values as a configuration has them, right and wrong."""
    right, wrong = parts_of(d)
    if d.parts is not None:
        count = d.parts or 2
        good = right[0]
        wrong = [[good] * (count - 1) + [value] for value in wrong]
        right = [[value] * count for value in right]
        if d.parts:
            wrong += [[good] * (count - 1), [good] * (count + 1)]
        else:
            right.append([])
    return right, wrong


def wrong_types(d):
    """Return values that no bound is needed to refuse."""
    found = [True, {"a": 1}, [[]]]
    found += [5] if d.kind in (str, Path) or d.parts is not None else ["5"]
    found += [2.5] if d.kind is int else []
    found += [] if d.nullable else [None]
    return found if d.parts is None else [*found, "words", [True] * (d.parts or 1)]


def by_library(section, d, value):
    """Return what `made` makes of the setting; None stands for a refusal."""
    others = {
        name: other.about.choices[0] if other.about.choices else 1
        for name, other in declared(section).items()
        if other.needed
    }
    values = {**others, d.name: value}
    if d.name == "steps":
        values["log_every"] = value
    if d.name == "log_every":
        values["steps"] = value
    try:
        return True, getattr(made(section, values), d.name)
    except UserError as error:
        assert "\n" not in str(error)
        return False, str(error)


def by_schema(_, d, value):
    return Draft202012Validator(property_of(d)).is_valid(value)


def by_command_line(section, d, value):
    """Return whether a flag takes a value, and what it makes of it."""
    parser = argparse.ArgumentParser()
    add_settings(parser, section, needed=False)
    words = [f"{d.flag}={value}"]
    if isinstance(value, list):
        words = [d.flag, *map(str, value)]
    try:
        return True, vars(parser.parse_args(words))[d.name]
    except SystemExit as error:
        assert error.code == 2
        return False, None


@each_setting
def test_bounds_and_choices_are_the_same_in_library_schema_and_command_line(section, d, capsys):
    right, wrong = cases(d)
    for value in right:
        ok, of_library = by_library(section, d, value)
        assert ok, of_library
        assert by_schema(section, d, value), value
        taken, of_flag = by_command_line(section, d, value)
        assert taken, (value, capsys.readouterr().err)
        # A list is a tuple in the end: `take` makes it.
        assert of_library == (tuple(of_flag) if d.parts is not None else of_flag)
        kinds = {type(part) for part in (of_library if d.parts is not None else [of_library])}
        assert all(issubclass(kind, d.kind) for kind in kinds)
    for value in wrong:
        refused, message = by_library(section, d, value)
        assert not refused, value
        assert message.startswith(f"{d.name}: "), message
        assert not by_schema(section, d, value), value
        assert not by_command_line(section, d, value)[0], value


@each_setting
def test_types_are_the_same_in_library_and_schema(section, d):
    for value in wrong_types(d):
        assert not by_library(section, d, value)[0], value
        assert not by_schema(section, d, value), value
    if d.nullable:
        assert by_library(section, d, None) == (True, None)
        assert by_schema(section, d, None)


@pytest.mark.parametrize(("section", "d"), [p for p in ALL if p.values[1].kind in (int, float)])
def test_numbers_that_are_none_are_refused_everywhere(section, d):
    for value in (math.nan, math.inf, -math.inf):
        listed = [value] * (d.parts or 1) if d.parts is not None else value
        assert not by_library(section, d, listed)[0], value
        assert not by_command_line(section, d, listed)[0], value


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    "place",
    [
        {"methods": {"VAE": {"beta": None}}},
        {"figures": {"traversal": {"low": None}}},
        {"bench": {"seconds": None}},
    ],
)
def test_a_configuration_has_no_numbers_that_are_none(place, value):
    text = json.dumps(place).replace("null", json.dumps(value))
    with pytest.raises(UserError, match=r"is not of type 'number' \(see config/README\.md\)"):
        check({**MINIMAL, **json.loads(text)})


@each_setting
def test_a_default_is_within_its_own_bounds(section, d):
    if d.needed:
        assert d.name not in defaults(section)
        return
    value = d.default
    if d.parts is not None and value is not None:
        value = list(value)
    assert by_library(section, d, str(value) if isinstance(value, Path) else value) == (
        True,
        d.default,
    )


@each_setting
def test_a_setting_says_why_and_matters_with_settings_that_there_are(section, d):
    assert d.about.why
    assert set(d.about.matters_with) <= set(declared(section))
    assert property_of(d)["description"] == d.about.why


@pytest.mark.parametrize("section", CLASSES)
def test_flags_that_are_left_out_leave_the_defaults(section):
    parser = argparse.ArgumentParser()
    add_settings(parser, section, needed=False)
    assert vars(parser.parse_args([])) == {}
    needed = [d for d in declared(section).values() if d.needed]
    words = [w for d in needed for w in (d.flag, *(d.about.choices[:1] or ["1"]))]
    options = {**vars(parser.parse_args(words)), "other": 3}
    found = take(options, section)
    assert options == {"other": 3}
    for d in declared(section).values():
        if not d.needed:
            assert getattr(found, d.name) == d.default
    with pytest.raises(SystemExit):
        parser.parse_args([*words, "--no-such-setting", "1"])


def test_flags_without_a_default_are_needed(capsys):
    parser = argparse.ArgumentParser()
    add_settings(parser, TrainingSettings)
    with pytest.raises(SystemExit):
        parser.parse_args([])
    assert "required: --beta, --seed, --likelihood" in capsys.readouterr().err


@pytest.mark.parametrize("section", CLASSES)
def test_a_setting_that_there_is_not_is_refused(section):
    with pytest.raises(UserError, match=r"^here\.colour: there is no such setting: "):
        made(section, {"colour": 3}, "here")


def test_the_schema_is_one_and_closed():
    Draft202012Validator.check_schema(schema())
    open_objects = []

    def look(node):
        if isinstance(node, dict):
            if "properties" in node and node.get("additionalProperties") is not False:
                open_objects.append(node)
            for value in node.values():
                look(value)
        elif isinstance(node, list):
            for value in node:
                look(value)

    look(schema())
    assert not open_objects


def place_of(full, name):
    for key in name.split("."):
        full = full[key]
    return full


def nested(name, content):
    for key in reversed(name.split(".")):
        content = {key: content}
    return content


@pytest.mark.parametrize("name", SECTIONS)
def test_a_misspelt_key_of_a_section_is_named(name):
    with pytest.raises(UserError, match="colour") as found:
        check({**MINIMAL, **nested(name, {"colour": 3})})
    assert str(found.value).startswith(f"{name}: ")
    assert "\n" not in str(found.value)


def test_every_setting_may_stand_in_a_configuration_and_those_of_a_method_in_its_row():
    full = completed(MINIMAL)
    check(full)
    row = {name: value for name, value in full["training"].items() if name != "seed"}
    full["methods"] = {"VAE": {"beta": 1, "likelihood": "bernoulli", **row}}
    check(full)
    with pytest.raises(UserError, match="seed"):
        check({**MINIMAL, "methods": {"VAE": {"beta": 1, "seed": 0}}})
    with pytest.raises(UserError, match="gamma"):
        check({**MINIMAL, "training": {"gamma": 1}})


def test_a_completed_configuration_has_every_default():
    given = copy.deepcopy(MINIMAL)
    full = completed(given)
    assert given == MINIMAL
    for name, (section, elsewhere) in SECTIONS.items():
        found = place_of(full, name)
        wanted = {d.name for d in declared(section).values() if not d.needed} - set(elsewhere)
        assert wanted <= set(found), name
        for key in wanted:
            default = defaults(section)[key]
            assert found[key] == (str(default) if isinstance(default, Path) else default)
    assert {"container", "claims", "trainings_per_job", "table1"} <= set(full)
    assert set(full["resources"]) == set(RESOURCES)
    for stage, asked in full["resources"].items():
        assert asked == {**defaults(Resources), **RESOURCES[stage]}
    assert full["datasets"]["celeba"] == {
        "source": "original",
        "data": {},
        "training": {},
        "base_index": dataset("celeba").base_index,
    }
    json.dumps(full)  # as Snakemake keeps it
    assert completed(full) == full


def test_what_a_configuration_says_stays_in_it():
    given = {
        **MINIMAL,
        "scores": {"bins": 30},
        "quality": {"images": 500, "weights": {"urls": ["http://here"]}},
        "figures": {"traversal": {"columns": 4}},
        "resources": {"train": {"mem_mb": 100}},
        "tables": {"level": 0.5},
    }
    kept = copy.deepcopy(given)
    full = completed(given)
    assert given == kept
    assert (full["scores"]["bins"], full["scores"]["mig_points"]) == (30, 10_000)
    assert (full["quality"]["images"], full["quality"]["seed"]) == (500, 0)
    assert full["quality"]["weights"] == {"path": None, "urls": ["http://here"]}
    assert full["figures"]["traversal"] == {"columns": 4, "low": -3.0, "high": 3.0}
    assert full["resources"]["train"] == {"gpu": 1, "mem_mb": 100, "runtime": 1440}
    assert full["tables"] == {"level": 0.5}


@pytest.mark.parametrize("name", DATASETS)
def test_a_likelihood_is_the_data_sets_unless_the_configuration_says_otherwise(name):
    other = {"bernoulli": "squared_error", "squared_error": "bernoulli"}[dataset(name).likelihood]
    config = {**MINIMAL, "datasets": {name: {"source": "drawn"}}}
    assert shared_settings(completed(config))[name]["likelihood"] == dataset(name).likelihood
    config["training"] = {"likelihood": other}
    assert shared_settings(completed(config))[name]["likelihood"] == other
    own = {"source": "drawn", "training": {"likelihood": dataset(name).likelihood}}
    config["datasets"] = {name: own}
    assert shared_settings(completed(config))[name]["likelihood"] == dataset(name).likelihood


def test_keys_of_a_configuration_are_all_settings():
    for section in CLASSES:
        assert all("about" in field.metadata for field in fields(section))


@pytest.mark.parametrize(
    "modules",
    [
        "betagvae.configuration",
        "betagvae.experiment",
        "betagvae.cli",
        "betagvae.configuration, betagvae.experiment, betagvae.cli",
    ],
)
def test_settings_experiment_and_command_line_need_no_torch(modules):
    code = f"import sys, {modules}; sys.exit(any(m.split('.')[0] == 'torch' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_module_of_settings_needs_torch():
    code = (
        "import importlib, pkgutil, sys, betagvae.settings as s\n"
        "names = [m.name for m in pkgutil.iter_modules(s.__path__, 'betagvae.settings.')]\n"
        "assert len(names) > 8\n"
        "for name in names: importlib.import_module(name)\n"
        "assert 'torch' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
