"""Which trainings there are, and the folders that their settings name."""

import json
import math
from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from run_files import METHODS, experiment

from betagvae import cli
from betagvae.configuration import check, completed, shared_settings
from betagvae.errors import UserError
from betagvae.experiment import (
    Experiment,
    described,
    folder_name,
    from_configuration,
    row_label,
    row_of_pair,
)

SHARED = {"likelihood": "bernoulli"}
PAIRS = [(2, 2), (4, 10), (4, 15)]
NUMBERS = [0.12345678, 1e-5, 0.1 + 0.2, 1 / 3, 4, 4.0, 10, 1e6, 5e-324, 1.7976931348623157e308]


@pytest.fixture
def whole():
    return experiment("results/paper", datasets=("celeba", "dsprites"), pairs=PAIRS)


def folders(e, dataset, row):
    return [training.folder for training in e.of(dataset, row)]


@pytest.mark.parametrize("value", NUMBERS)
def test_every_digit_survives_in_names_and_in_what_jobs_get(value):
    e = experiment("results", {"A": {"beta": value, "learning_rate": value}}, pairs=[(value, 2)])
    again = Experiment.from_json(e.as_json())
    assert again == e
    (one, _), (two, _) = (each.of("celeba", each.methods["A"]) for each in (e, again))
    assert one == two
    assert one.settings.beta == one.settings.learning_rate == value
    name = folder_name({"beta": value}, SHARED)
    assert float(name.removeprefix("beta").removesuffix("_gamma0")) == value
    if math.nextafter(value, math.inf) < math.inf:
        assert folder_name({"beta": math.nextafter(value, math.inf)}, SHARED) != name


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"beta": 4, "gamma": 10}, "beta4_gamma10"),
        ({"beta": 4.0, "gamma": 10.0}, "beta4_gamma10"),
        ({"gamma": 0, "beta": 1}, "beta1_gamma0"),
        ({"beta": 1}, "beta1_gamma0"),
        ({"beta": 0.12345678, "gamma": 1e-5}, "beta0.12345678_gamma1e-05"),
        ({"beta": 1, "tc_weighted_sampling": 3}, "beta1_gamma0_tc_weighted_sampling3"),
        ({"beta": 1, "tc_density_ratio": 0}, "beta1_gamma0"),
        ({"beta": 4, "gamma": 10, "reward": "logit"}, "beta4_gamma10_reward-logit"),
        ({"beta": 4, "adam_betas": [0.5, 0.9]}, "beta4_gamma0_adam_betas-0.5-0.9"),
        ({"latents": 6, "steps": 5000, "beta": 4}, "beta4_gamma0_latents-6_steps-5000"),
        ({"steps": 5000, "beta": 4, "latents": 6.0}, "beta4_gamma0_latents-6_steps-5000"),
    ],
)
def test_a_folder_is_named_after_what_its_row_sets(row, name):
    assert folder_name(row, SHARED) == name


def test_a_row_that_says_what_is_shared_is_the_same_training():
    shared = {**SHARED, "latents": 6, "adam_betas": [0.5, 0.9]}
    plain = {"beta": 4, "gamma": 10}
    said = {"latents": 6.0, "adam_betas": (0.5, 0.9), "batch_size": 64, "likelihood": "bernoulli"}
    e = experiment("results", {"A": plain, "B": {**plain, **said}})
    e = replace(e, shared={"dsprites": shared})
    one, other = (e.of("dsprites", row) for row in e.methods.values())
    assert [t.folder for t in one] == [t.folder for t in other]
    assert [t.settings for t in one] == [t.settings for t in other]
    assert len(e.trainings("dsprites")) == len(e.seeds)
    default_where_shared_says_otherwise = {**plain, "latents": 10}
    assert folder_name(default_where_shared_says_otherwise, shared) == "beta4_gamma10_latents-10"


IDLE = {
    "reward": "logit",
    "discriminator_layers": 3,
    "discriminator_units": 50,
    "discriminator_learning_rate": 1e-3,
    "discriminator_adam_betas": [0.6, 0.8],
}


@pytest.mark.parametrize("name", IDLE)
def test_settings_of_a_discriminator_matter_only_with_one(name):
    rows = {"beta-VAE": {"beta": 4}, "same": {"beta": 4, name: IDLE[name]}}
    e = experiment("results", rows, pairs=[(4, 0)])
    same, plain = (e.of("celeba", rows[method]) for method in ("same", "beta-VAE"))
    assert [t.folder for t in same] == [t.folder for t in plain]
    assert [t.settings for t in same] == [t.settings for t in plain]
    assert name not in same[0].own
    # Whichever row is asked for: files are compared with the settings of each.
    for part in (e, e.without_table1(), e.of_table1()):
        assert {t.settings for t in part.trainings("celeba")} == {t.settings for t in plain}
    adversarial = {"beta": 4, "gamma": 10}
    assert folder_name({**adversarial, name: IDLE[name]}, SHARED).startswith(
        f"beta4_gamma10_{name}-"
    )
    factor_vae = folder_name({"beta": 1, "tc_density_ratio": 9, name: IDLE[name]}, SHARED)
    assert factor_vae.startswith("beta1_gamma0_tc_density_ratio9")
    assert (name in factor_vae) == (name != "reward")


def test_equal_rows_are_one_training():
    e = experiment("results", {"A": {"beta": 4}, "B": {"gamma": 0.0, "beta": 4.0}}, seeds=(3, 1))
    found = e.trainings("celeba")
    assert [t.settings.seed for t in found] == [3, 1]
    assert len({t.folder for t in found}) == 2


def test_a_renamed_method_has_the_same_folders(whole):
    renamed = replace(whole, methods={f"my {name}": row for name, row in whole.methods.items()})
    for dataset in whole.datasets:
        assert [t.folder for t in renamed.trainings(dataset)] == [
            t.folder for t in whole.trainings(dataset)
        ]


def test_a_pair_of_table_1_that_is_a_methods_is_its_training(whole):
    pair, method = row_of_pair((4, 10)), whole.methods["β-GVAE"]
    assert whole.of("celeba", pair) == whole.of("celeba", method)
    rows = len(METHODS) + len(PAIRS) - 1
    assert len(whole.trainings("celeba")) == rows * len(whole.seeds)
    assert len(whole.trainings("dsprites")) == len(METHODS) * len(whole.seeds)


def test_the_method_of_a_training_is_found_by_what_it_sets(whole):
    found = {(t.row["beta"], t.row["gamma"]): whole.method_of(t) for t in whole.trainings("celeba")}
    names = {(1, 0): "VAE", (4, 0): "β-VAE", (4, 10): "β-GVAE", (2, 2): "", (4, 15): ""}
    assert found == names
    (pair, _) = whole.of("celeba", {"beta": 4.0, "gamma": 10.0})
    assert whole.method_of(pair) == "β-GVAE"


def test_the_order_of_the_configuration_is_kept(whole):
    turned = replace(
        whole,
        seeds=(5, 2),
        methods=dict(reversed(whole.methods.items())),
        shared=dict(reversed(whole.shared.items())),
    )
    assert turned.datasets == ("dsprites", "celeba")
    names = ["beta4_gamma10", "beta4_gamma0", "beta1_gamma0", "beta2_gamma2", "beta4_gamma15"]
    assert [t.folder for t in turned.trainings("celeba")] == [
        f"results/paper/celeba/{name}/seed{seed}" for name in names for seed in (5, 2)
    ]
    again = Experiment.from_json(turned.as_json())
    assert list(again.methods) == list(turned.methods)
    assert again.trainings("celeba") == turned.trainings("celeba")


def test_parts_of_an_experiment(whole):
    methods, table1 = whole.without_table1(), whole.of_table1()
    assert len(methods.trainings("celeba")) == len(METHODS) * len(whole.seeds)
    assert table1.datasets == ("celeba",)
    assert not table1.methods
    assert [t.folder for t in table1.trainings("celeba")] == [
        folder for pair in PAIRS for folder in folders(whole, "celeba", row_of_pair(pair))
    ]
    assert whole.on("dsprites").datasets == ("dsprites",)
    assert whole.on("dsprites").trainings("dsprites") == whole.trainings("dsprites")
    with pytest.raises(UserError, match="no data set 'chairs3d' in the configuration: it has cel"):
        whole.on("chairs3d")


def test_what_is_a_trainings_own_is_its_row_and_its_seed(whole):
    row = {"beta": 4, "gamma": 10, "reward": "logit"}
    (one, _) = whole.of("celeba", row)
    assert one.own == {**row, "seed": 0}
    assert PurePosixPath(one.folder).name == "seed0"


def test_jobs_hold_what_must_be_equal_in_a_process(whole):
    of_jobs = [
        whole.of("celeba", {"beta": 1, **more})[0].of_its_job
        for more in ({}, {"reward": "logit"}, {"latents": 5}, {"steps": 5000}, {"threads": 2})
    ]
    assert of_jobs[0] == of_jobs[1] == of_jobs[2]
    assert len(set(of_jobs)) == 3


def test_rows_in_words():
    assert described({"beta": 4.0}) == "β = 4, γ = 0"
    assert described({"reward": "logit", "beta": 4, "gamma": 1e-5}) == (
        "β = 4, γ = 1e-05, reward = logit"
    )
    assert row_label({"beta": 4, "gamma": 10}) == "(4, 10)"
    assert row_label({"beta": 1, "adam_betas": [0.5, 0.9]}) == "(1, 0, adam_betas = 0.5-0.9)"


CONFIGURATION = {
    "run": "mine",
    "data_dir": "data",
    "results_dir": "out",
    "seeds": [1, 0],
    "methods": {"VAE": {"beta": 1}, "beta-VAE": None, "beta-GVAE": {"beta": 4, "gamma": 10}},
    "table1": {"dataset": "celeba", "pairs": [[4, 10], [2, 2]]},
    "training": {"batch_size": 32},
    "datasets": {
        "dsprites": {"source": "drawn", "training": {"latents": 6}},
        "celeba": {"source": "original", "training": {"likelihood": "bernoulli"}},
        "chairs3d": None,
    },
}


def of_configuration(**changes):
    full = completed({**CONFIGURATION, **changes})
    return from_configuration(full, shared_settings(full))


def test_a_configuration_names_its_trainings():
    e = of_configuration()
    assert (e.folder, e.seeds, e.swept, e.pairs) == (
        "out/mine",
        (1, 0),
        "celeba",
        ((4, 10), (2, 2)),
    )
    assert list(e.methods) == ["VAE", "β-GVAE"]
    assert e.datasets == ("dsprites", "celeba")
    sprites, celeba = (e.of(name, e.methods["VAE"])[0] for name in e.datasets)
    assert sprites.folder == "out/mine/dsprites/beta1_gamma0/seed1"
    assert (sprites.settings.latents, celeba.settings.latents) == (6, 10)
    assert sprites.settings.batch_size == celeba.settings.batch_size == 32
    assert sprites.settings.likelihood == celeba.settings.likelihood == "bernoulli"


@pytest.mark.parametrize(
    "changes",
    [{"table1": None}, {"table1": {"dataset": "chairs3d", "pairs": [[4, 10]]}}],
)
def test_without_its_data_set_there_is_no_table_1(changes):
    e = of_configuration(**changes)
    assert e.swept is None
    assert len(e.trainings("celeba")) == 4


WRONG = {
    "gama": ({"beta": 1, "gama": 10}, "gama: there is no such setting: beta, gamma, "),
    "no beta": ({"gamma": 10}, "beta is missing: set it"),
    "below": ({"beta": -1}, "beta: -1 is not 0 or more"),
    "zero": ({"beta": 1, "learning_rate": 0}, "learning_rate: 0 is not above 0"),
    "words": ({"beta": "4"}, "beta: '4' is not a number"),
    "choice": ({"beta": 1, "reward": "log"}, "reward: 'log' is not one of probability, log_prob"),
    "half": ({"beta": 1, "latents": 2.5}, "latents: 2.5 is not a whole number"),
    "endless": ({"beta": 1, "latents": math.inf}, "latents: inf is not a whole number"),
    "no number": ({"beta": math.nan}, "beta: nan is not a number"),
    "one of two": ({"beta": 1, "adam_betas": [0.9]}, "adam_betas: [0.9] is not 2 values"),
    "not listed": ({"beta": 1, "adam_betas": "ab"}, "adam_betas: 'ab' is not 2 values"),
    "both": ({"beta": 1, "gamma": 1, "tc_density_ratio": 1}, "a training has one discriminator"),
    "rows": (
        {"beta": 1, "steps": 1500},
        "training.steps (1500) must be a multiple of training.log",
    ),
}


@pytest.mark.parametrize(("row", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_row_ends_in_one_line(row, message, capsys, tmp_path):
    e = experiment(tmp_path, {"A": row})
    with pytest.raises(UserError) as found:
        e.trainings("celeba")
    assert str(found.value).startswith(message)
    assert "\n" not in str(found.value)
    outputs = [str(tmp_path / name) for name in ("t.csv", "t.md", "t.tex")]
    assert cli.main(["table2", "--experiment", e.as_json(), "--outputs", *outputs]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"betagvae: {found.value}"


@pytest.mark.parametrize(
    "row", [row for name, (row, _) in WRONG.items() if name not in ("both", "rows")]
)
def test_a_configuration_with_a_wrong_row_ends_in_one_line(row):
    with pytest.raises(UserError) as found:
        check({**CONFIGURATION, "methods": {"A": row}})
    assert str(found.value).startswith("methods.A")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"pairs": []}', '{"pairs": [], "seeds": 3}'])
def test_what_is_no_experiment_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        cli.main(["table1", "--experiment", text, "--outputs", "a", "b", "c"])
    assert "not the JSON of an experiment" in capsys.readouterr().err


def test_what_jobs_get_is_json_with_greek_letters_as_they_are(whole):
    text = whole.as_json()
    assert "β-GVAE" in text
    assert json.loads(text)["pairs"] == [list(pair) for pair in PAIRS]
