"""Configuration, schema and documentation agree."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from betagvae.cli import stages
from betagvae.evaluation.feature_networks import NETWORKS
from betagvae.evaluation.metrics import EvaluationSettings
from betagvae.evaluation.scores import ScoreSizes
from betagvae.model.device import PRECISIONS
from betagvae.paper.quality_tables import NETWORKS as DESCRIBED
from betagvae.settings.training import TrainingSettings

CONFIG = Path(__file__).parents[2] / "config"
SCHEMA = Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.yaml"
CLAIMS_SCHEMA = SCHEMA.with_name("claims.schema.yaml")


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


@pytest.mark.parametrize("schema", [SCHEMA, CLAIMS_SCHEMA], ids=lambda path: path.name)
def test_the_schema_is_closed_and_described(schema):
    for node in objects(load(schema)):
        if "properties" in node and "type" in node:
            assert node["additionalProperties"] is False
            for name, entry in node["properties"].items():
                assert "$ref" in entry or "description" in entry, name


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


def test_the_sizes_of_the_scores_are_the_library_s_defaults():
    assert load(CONFIG / "config.yaml")["scores"] == {"seed": 0, **asdict(ScoreSizes())}


def test_precisions_are_the_same_everywhere():
    schema = load(SCHEMA)["$defs"]["precision"]["enum"]
    assert list(schema) == list(stages.PRECISIONS) == list(PRECISIONS)
    config = load(CONFIG / "config.yaml")
    assert TrainingSettings.precision == config["training"]["precision"]
    assert EvaluationSettings.precision == config["evaluation"]["precision"]


def test_feature_networks_are_the_same_everywhere():
    schema = load(SCHEMA)["properties"]["quality"]["properties"]["features"]["enum"]
    assert set(schema) == set(stages.NETWORKS) == set(DESCRIBED) == set(NETWORKS)


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
        ("4a", {"datasets": ["mnist"]}),
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
