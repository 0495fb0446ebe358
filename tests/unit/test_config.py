"""Configuration, schema and documentation agree."""

from dataclasses import asdict
from pathlib import Path

import yaml

from betagvae import cli
from betagvae.features import NETWORKS
from betagvae.quality_tables import NETWORKS as DESCRIBED
from betagvae.scores import ScoreSizes

CONFIG = Path(__file__).parents[2] / "config"
SCHEMA = Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.yaml"


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def objects(node):
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from objects(value)


def test_the_schema_is_closed_and_described():
    for node in objects(load(SCHEMA)):
        if "properties" in node and "type" in node:
            assert node["additionalProperties"] is False
            for name, entry in node["properties"].items():
                assert "$ref" in entry or "description" in entry, name


def keys(node):
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
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


def test_feature_networks_are_the_same_everywhere():
    schema = load(SCHEMA)["properties"]["quality"]["properties"]["features"]["enum"]
    assert set(schema) == set(cli.NETWORKS) == set(DESCRIBED) == set(NETWORKS)
