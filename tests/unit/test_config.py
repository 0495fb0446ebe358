"""Configuration, schema and documentation agree."""

from pathlib import Path

import yaml

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


def test_dvc_finds_each_configuration_by_the_name_of_its_run():
    for path in set(CONFIG.glob("*.yaml")) - {CONFIG / "config.yaml"}:
        assert load(path).get("run", path.stem) == path.stem
    run = load(CONFIG.parent / "params.yaml")["run"]
    assert load(CONFIG / f"{run}.yaml")["run"] == run
