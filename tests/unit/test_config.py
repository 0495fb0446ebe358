"""Configuration, schema and documentation agree."""

import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from betagvae.configuration import SECTIONS, check, completed, schema, shared_settings
from betagvae.errors import UserError
from betagvae.evaluation.feature_networks import NETWORKS
from betagvae.experiment import Experiment, from_configuration
from betagvae.model import objective
from betagvae.model.architecture import ARCHITECTURES
from betagvae.model.device import PRECISIONS
from betagvae.settings import training
from betagvae.settings.quality import NETWORKS as DESCRIBED
from betagvae.settings.setting import declared

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
CLAIMS_SCHEMA = ROOT / "workflow" / "schemas" / "claims.schema.yaml"


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def objects(node):
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from objects(value)


def merged(name):
    """A shipped configuration over config.yaml, as Snakemake merges them."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from configuration import _merged

    return _merged(load(CONFIG / "config.yaml"), load(CONFIG / f"{name}.yaml"))


CONFIGURATIONS = sorted(path.stem for path in CONFIG.glob("*.yaml") if path.stem != "claims")


@pytest.mark.parametrize("whole", [schema(), load(CLAIMS_SCHEMA)], ids=["config", "claims"])
def test_the_schema_is_closed(whole):
    Draft202012Validator.check_schema(whole)
    for node in objects(whole):
        if "properties" in node and "type" in node:
            assert node["additionalProperties"] is False


def test_the_claims_schema_is_described():
    for node in objects(load(CLAIMS_SCHEMA)):
        if "properties" in node and "type" in node:
            for name, entry in node["properties"].items():
                assert "$ref" in entry or "description" in entry, name


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_shipped_configuration_fits_the_schema_and_asks_for_trainings(name):
    config = merged(name)
    check(config)
    full = completed(config)
    experiment = from_configuration(full, shared_settings(full))
    assert Experiment.from_json(experiment.as_json()) == experiment
    for dataset in full["datasets"]:
        assert experiment.trainings(dataset)


def test_the_paper_s_configuration_has_its_methods_alone():
    assert list(load(CONFIG / "config.yaml")["methods"]) == ["VAE", "beta-VAE", "beta-GVAE"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"training": {"stepz": 4}}, "training: .*'stepz' was unexpected"),
        ({"training": {"steps": 0}}, r"training\.steps: 0 is less than the minimum of 1"),
        ({"training": {"beta": 4}}, "training: .*'beta' was unexpected"),
        ({"methods": {"A": {"gamma": 1}}}, r"methods\.A: 'beta' is a required property"),
        ({"methods": {"A": {"beta": "1e-5"}}}, r"methods\.A\.beta: .* write 1\.0e-5"),
        ({"methods": {"A": {"beta": "1e300"}}}, r"write 1\.0e\+300"),
        ({"training": {"steps": "1e6"}}, r"training\.steps: .* write 1000000"),
        ({"training": {"batch_size": 16.0}}, r"training\.batch_size: .*: write 16"),
        ({"seeds": [0.0]}, r"seeds\.0: .*: write 0"),
        ({"methods": {"z{dataset}": {"beta": 1}}}, "should not be valid"),
        ({"methods": {"A": {"beta": 1, "seed": 1}}}, r"methods\.A: .*'seed' was unexpected"),
        ({"datasets": {"mnist": {"source": "drawn"}}}, "datasets: 'mnist' is not one of"),
        (
            {"table1": {"dataset": "mnist", "pairs": [[1, 2]]}},
            r"table1\.dataset: 'mnist' is not one",
        ),
        ({"methods": {"A": None}}, "methods: all are null"),
        ({"datasets": {"celeba": None}}, "datasets: all are null"),
        ({"datasets": {"celeba": {"data": {"crop": [1]}}}}, r"datasets\.celeba"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(change, error):
    with pytest.raises(UserError, match=error) as raised:
        check({**load(CONFIG / "config.yaml"), **change})
    assert "\n" not in str(raised.value)


def keys(node):
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from keys(value)
    elif isinstance(node, list):
        for value in node:
            yield from keys(value)


def test_every_key_of_the_configuration_is_documented():
    documented = (CONFIG / "README.md").read_text(encoding="utf-8")
    config = load(CONFIG / "config.yaml")
    free = {*config["methods"], *config["datasets"]}
    missing = sorted(
        {key for key in keys(config) if key not in free and f"`{key}`" not in documented}
    )
    assert not missing


def test_the_readme_s_tables_are_those_of_the_settings(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "workflow" / "scripts")
    import document

    page = (CONFIG / "README.md").read_text(encoding="utf-8")
    assert document.documented(page) == page, "run `make settings`"
    assert {mark[2] for mark in document.MARK.finditer(page)} == set(document.TABLES)
    assert set(document.TABLES) >= set(SECTIONS)


def test_precisions_are_those_of_the_device():
    assert tuple(PRECISIONS) == training.PRECISIONS


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("network", set(ARCHITECTURES)),
        ("likelihood", set(objective.LIKELIHOODS)),
        ("reward", {term.reward for term in objective.TERMS if term.reward}),
    ],
)
def test_choices_are_those_of_the_model(setting, names):
    assert set(declared(training.TrainingSettings)[setting].about.choices) == names


def test_feature_networks_are_described():
    assert set(DESCRIBED) == set(NETWORKS)


def test_every_key_of_the_claims_is_documented():
    documented = (CONFIG / "README.md").read_text(encoding="utf-8")
    assert not {k for k in keys(load(CONFIG / "claims.yaml")) if f"`{k}`" not in documented}


def errors(claims):
    return [
        error.message for error in Draft202012Validator(load(CLAIMS_SCHEMA)).iter_errors(claims)
    ]


def test_the_shipped_claims_fit_their_schema_and_name_methods_that_exist():
    claims, config = load(CONFIG / "claims.yaml"), load(CONFIG / "config.yaml")
    assert not errors(claims)
    pairs = [list(map(float, pair)) for pair in config["table1"]["pairs"]]
    for claim in claims["claims"]:
        for method in [claim["method"], *claim["compared_with"]]:
            known = method in config["methods"] if isinstance(method, str) else method in pairs
            assert known, (claim["id"], method)


@pytest.mark.parametrize(
    ("claim", "changes"),
    [
        ("1a", {"marginn": 0.1}),
        ("1a", {"margin": {"of_paper": 0.1, "of_gap": 0.1}}),
        ("1a", {"margin": {"of_gap": 0.1}}),
        ("1a", {"margin": -1}),
        ("1a", {"quantity": "mig"}),
        ("1a", {"beta": 4}),
        ("1c", {"margin": 0}),
        ("3a", {"beta": None}),
        ("4a", {"split": "train"}),
        ("4a", {"datasets": []}),
        ("4a", {"relation": "above"}),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused(claim, changes):
    claims = load(CONFIG / "claims.yaml")
    (entry,) = [entry for entry in claims["claims"] if entry["id"] == claim]
    entry.update(changes)
    assert errors(claims)


def test_dvc_finds_each_configuration_by_the_name_of_its_run():
    for path in set(CONFIG.glob("*.yaml")) - {CONFIG / "config.yaml"}:
        assert load(path).get("run", path.stem) == path.stem
    run = load(CONFIG.parent / "params.yaml")["run"]
    assert load(CONFIG / f"{run}.yaml")["run"] == run
