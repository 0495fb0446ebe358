import contextlib
import csv
import dataclasses
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from image_arrays import write_array
from safetensors.torch import load_file
from tiny_training import SETTINGS

from betagvae.cli import main
from betagvae.data.arrays import open_array
from betagvae.errors import UserError
from betagvae.evaluation.metrics import EvaluationSettings, evaluate, load_model
from betagvae.model import objective
from betagvae.model.device import DeviceImages, generator
from betagvae.model.networks import VariationalAutoencoder, initialise
from betagvae.records.files import read_json
from betagvae.records.provenance import device_name
from betagvae.training import run as training
from betagvae.training.engine import Engine, alike
from betagvae.training.history import name_of
from betagvae.training.resume import Resume
from betagvae.training.run import RunFiles, train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "toy.npy"
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 64, 64), dtype=np.uint8)
    return write_array(path, images, splits={"train": (0, 14), "test": (14, 20)})


def engine(data, **changes):
    images = DeviceImages(open_array(data), CPU)
    return Engine(images, [dataclasses.replace(SETTINGS, **changes)])


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def a_run(folder, **changes):
    return dataclasses.replace(SETTINGS, **changes), RunFiles(folder)


def train_one(data, folder, **changes):
    train(data, [a_run(folder, **changes)])


def assert_same_results(one, other):
    for name in ("model.safetensors", "history.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def next_batch(run):
    run.batches.seek(run.step_number)
    return run.batches.order["order"][0, run.batches.number].flatten()


def next_noise(run, stream="posterior"):
    run.batches.seek(run.step_number)
    return run.batches.noise[stream][0, run.batches.number].squeeze(0)


def test_packed_and_plain_batches_agree(tmp_path, data):
    plain = open_array(data)
    bits = (plain.images(range(20)) > 127).astype(np.uint8)
    packed = tmp_path / "packed.npy"
    write_array(packed, np.packbits(bits, axis=-1), splits={}, packed=True)
    x = DeviceImages(open_array(packed), CPU).batch(torch.tensor([3, 0]))
    assert torch.equal(x, torch.from_numpy(bits[[3, 0]]).float())
    x = DeviceImages(plain, CPU).batch(torch.tensor([3, 0]))
    torch.testing.assert_close(x, torch.from_numpy(plain.images([3, 0])).float() / 255)


def test_an_epoch_sees_every_training_image_once_and_none_of_the_test_split(data):
    run = engine(data, batch_size=7)
    epochs = []
    for _ in range(2):
        batches = []
        for _ in range(2):
            batches.append(next_batch(run))
            run.step()
        epochs.append(torch.cat(batches).tolist())
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(14))
    assert epochs[0] != epochs[1]


def test_beta_one_gamma_zero_is_a_plain_vae_to_the_bit(data):
    run = engine(data, beta=1, gamma=0)
    assert run.trainer.discriminator is None
    run.step()

    plain = VariationalAutoencoder("burgess", 1, 10)
    initialise(plain, generator(0, "autoencoder"))
    plain.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(plain.parameters(), 1e-3, fused=True)
    x = DeviceImages(open_array(data), CPU).batch(next_batch(engine(data)))
    mean, log_variance = plain.encoder(x)
    noise = next_noise(engine(data))
    logits = plain.decoder(mean + torch.exp(0.5 * log_variance) * noise)
    error = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
    (error.sum((1, 2, 3)) + kl.sum(1)).mean().backward()
    optimiser.step()
    assert torch.equal(weights(run.trainer.model), weights(plain))


def test_runs_that_share_a_seed_share_weights_and_batches(data):
    plain, adversarial = engine(data, gamma=0), engine(data)
    assert torch.equal(weights(plain.trainer.model), weights(adversarial.trainer.model))
    assert torch.equal(next_batch(plain), next_batch(adversarial))


def one_step(data, **changes):
    run = engine(data, **changes)
    run.step()
    return run


def test_the_encoder_alone_feels_the_reward(data):
    with_reward = one_step(data).trainer.model
    without = one_step(data, gamma=0).trainer.model

    def gradient(module):
        return torch.cat([parameter.grad.flatten() for parameter in module.parameters()])

    assert torch.equal(gradient(with_reward.decoder), gradient(without.decoder))
    assert not torch.equal(gradient(with_reward.encoder), gradient(without.encoder))


def test_the_discriminators_update_depends_on_no_weight_of_eq_7(data):
    one = one_step(data, gamma=10)
    other = one_step(data, gamma=1000, beta=1)
    assert torch.equal(weights(one.trainer.discriminator), weights(other.trainer.discriminator))


@pytest.mark.parametrize(
    ("changes", "column", "sign"),
    [
        *(({"gamma": 1e6, "reward": r}, "reward", 1) for r in ("probability", "logit")),
        ({"gamma": 1e6, "reward": "log_probability"}, "reward", 1),
        ({"gamma": 0, "tc_density_ratio": 1e6}, "tc_density_ratio", -1),
        ({"gamma": 0, "tc_weighted_sampling": 1e6}, "tc_weighted_sampling", -1),
    ],
)
def test_a_term_that_outweighs_all_others_goes_where_it_should(data, changes, column, sign):
    """With D frozen and one batch: rewards are to rise, and total correlations to fall."""
    run = engine(data, **changes, batch_size=14, discriminator_learning_rate=1e-30)
    run.batches.seek(0)
    batch = run.batches.next()
    found = [run.trainer.step(batch)[column].item() for _ in range(12)]
    assert sign * (found[-1] - found[0]) > 0


def test_two_seeds_start_from_different_weights(data):
    one, other = engine(data, seed=0).trainer, engine(data, seed=1).trainer
    for player in ("model", "discriminator"):
        for a, b in zip(
            *(getattr(trainer, player).parameters() for trainer in (one, other)), strict=True
        ):
            assert a.dim() == 1 or not torch.equal(a, b)  # biases start at 0


def test_the_total_correlation_s_streams_shift_no_other(data):
    plain, permuted = engine(data, gamma=0), engine(data, gamma=0, tc_density_ratio=1)
    assert torch.equal(weights(plain.trainer.model), weights(permuted.trainer.model))
    assert torch.equal(next_batch(plain), next_batch(permuted))
    assert torch.equal(next_noise(plain), next_noise(permuted))
    order, second = permuted.batches.order.values()
    assert second.unique().numel() == second.numel()
    assert not torch.equal(order, second)
    streams = permuted.batches.noise
    assert list(streams) == ["posterior", "second posterior", "permutation"]
    assert len({noise.flatten()[0].item() for noise in streams.values()}) == 3


def test_the_discriminator_is_shown_permuted_codes_of_the_second_batch(data):
    run = engine(data, gamma=0, tc_density_ratio=1)
    run.batches.seek(0)
    indices = run.batches.order["second order"][0, 0]
    with torch.no_grad():
        mean, log_variance = run.trainer.model.encoder(run.images.batch(indices))
        noise = run.batches.noise["second posterior"][0, 0]
        z = objective.sample_posterior(mean, log_variance, noise)
    found = run.trainer._reference_codes(run.batches.next()).squeeze(0)
    torch.testing.assert_close(found.sort(0).values, z.sort(0).values)
    assert not torch.equal(found, z)
    assert not found.requires_grad


@pytest.mark.parametrize("weight", ["tc_density_ratio", "tc_weighted_sampling"])
def test_a_history_adds_up_to_the_loss(data, tmp_path, weight):
    train_one(data, tmp_path, gamma=0, beta=1, **{weight: 5})
    with (tmp_path / "history.csv").open() as file:
        for row in csv.DictReader(file):
            value = float(row["reconstruction_error"]) + float(row["kl"]) + 5 * float(row[weight])
            assert value == pytest.approx(float(row["loss"]), rel=1e-5)


def test_trainings_of_the_same_terms_are_alike():
    def changed(**changes):
        return alike(dataclasses.replace(SETTINGS, **changes))

    assert changed() == changed(beta=1, gamma=3, seed=7)
    kinds = [changed(), changed(gamma=0), changed(learning_rate=1), changed(reward="logit")]
    kinds += [changed(gamma=0, tc_density_ratio=1), changed(tc_weighted_sampling=1)]
    assert len(set(kinds)) == len(kinds)
    assert kinds[-1] == changed(gamma=1, tc_weighted_sampling=2)


def test_a_training_is_named_by_what_weighs_in_it():
    assert name_of(SETTINGS) == "β = 4, γ = 10, seed 0"
    factor = dataclasses.replace(SETTINGS, beta=1, gamma=0, tc_density_ratio=35)
    assert name_of(factor) == "β = 1, γ = 0, tc_density_ratio = 35, seed 0"


def test_the_golden_history(data, tmp_path):
    """A refactoring must not change the losses; sums may differ in the last digits."""
    train_one(data, tmp_path)
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    for row in rows:
        kl = sum(float(row[f"kl_{latent}"]) for latent in range(10))
        assert kl == pytest.approx(float(row["kl"]), rel=1e-5)
        value = float(row["reconstruction_error"]) + 4 * kl - 10 * float(row["reward"])
        assert value == pytest.approx(float(row["loss"]), rel=1e-5)
    assert [float(row["loss"]) for row in rows] == pytest.approx(GOLDEN_LOSSES, rel=1e-4)


GOLDEN_LOSSES = [2993.2500, 2856.1978, 2845.3955]


def test_bfloat16_rounds_products_and_nothing_else(data, monkeypatch):
    """Logits, losses and weights stay float32, and the losses differ by little."""
    exact, rounded = (engine(data, seed=1, precision=p) for p in ("float32", "bfloat16"))
    seen = []
    likelihood = rounded.trainer.likelihood
    monkeypatch.setattr(rounded.trainer, "likelihood", lambda *x: seen.append(x) or likelihood(*x))
    for _ in range(6):
        exact.step(), rounded.step()
    assert {tensor.dtype for tensors in seen for tensor in tensors} == {torch.float32}
    for module in (rounded.trainer.model, rounded.trainer.discriminator):
        for parameter in module.parameters():
            assert parameter.dtype == parameter.grad.dtype == torch.float32
    (exact,), (rounded,) = exact.means(), rounded.means()
    for name in ("loss", "reconstruction_error", "reward", "discriminator_loss"):
        assert rounded[name] != exact[name]
        assert rounded[name] == pytest.approx(exact[name], rel=5e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_same_seed_same_bytes(data, tmp_path, precision):
    for name in ("a", "b"):
        train_one(data, tmp_path / name, precision=precision)
    assert_same_results(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_model_gets_the_same_bytes_alone_and_beside_others(data, tmp_path, precision):
    """Other seeds, methods with and without a discriminator, and pairs of Table 1."""
    trainings = [(1, 0, 0), (4, 0, 0), (4, 10, 0), (4, 10, 1), (2, 2, 1), (1, 0, 1)]
    changes = [dict(zip(("beta", "gamma", "seed"), words, strict=True)) for words in trainings]
    changes += [{"gamma": 0, "tc_density_ratio": 6}, {"gamma": 0, "tc_weighted_sampling": 5}]
    changes = [{**changed, "precision": precision} for changed in changes]
    train(data, [a_run(tmp_path / f"beside{i}", **changed) for i, changed in enumerate(changes)])
    for i, changed in enumerate(changes):
        train_one(data, tmp_path / f"alone{i}", **changed)
        assert_same_results(tmp_path / f"beside{i}", tmp_path / f"alone{i}")
        record = read_json(tmp_path / f"beside{i}" / "training.json")
        assert record["settings"].items() >= changed.items()
        assert record["trained_side_by_side"] == 8


def test_the_others_go_on_when_a_training_fails_and_are_not_trained_again(
    data, tmp_path, monkeypatch
):
    def runs(learning_rate):
        failing = a_run(tmp_path / "b", gamma=0, seed=3, learning_rate=learning_rate)
        return [a_run(tmp_path / "a"), failing, a_run(tmp_path / "c", seed=1)]

    with pytest.raises(UserError) as error:
        train(data, runs(learning_rate=1e30))
    assert re.fullmatch(
        r"β = 4, γ = 0, seed 3: the loss is (nan|inf) at step [24]: lower training.learning_rate; "
        r"2 beside it are done and kept while their settings stay",
        str(error.value),
    )
    assert not list((tmp_path / "b").glob("*"))
    for name, seed in (("a", 0), ("c", 1)):
        train_one(data, tmp_path / f"alone {name}", seed=seed)
        assert_same_results(tmp_path / name, tmp_path / f"alone {name}")
        for file in ("model.safetensors", "history.csv", "training.json"):
            (tmp_path / name / file).unlink()  # as Snakemake does when a job fails

    stepping = []
    step = Engine.step
    monkeypatch.setattr(Engine, "step", lambda e: stepping.append(e.shared.seed) or step(e))
    train(data, runs(learning_rate=1e-3))
    assert stepping == [3] * SETTINGS.steps
    for name in ("a", "c"):
        assert_same_results(tmp_path / name, tmp_path / f"alone {name}")
        assert read_json(tmp_path / name / "training.json")["seconds"] > 0
    assert (tmp_path / "b" / "model.safetensors").exists()
    assert not list(tmp_path.rglob("*.resume.pt"))


def test_two_trainings_cannot_share_a_folder(data, tmp_path):
    with pytest.raises(UserError, match="2 trainings have the folder"):
        train(data, [a_run(tmp_path / "a"), a_run(tmp_path / "b" / ".." / "a", seed=1)])


def command(data, **runs):
    """Train into folders by name, each (β, γ, seed)."""
    names = ("beta", "gamma", "seed")
    trainings = {folder: dict(zip(names, own, strict=True)) for folder, own in runs.items()}
    words = [sys.executable, "-m", "betagvae", "train", data, "--trainings", json.dumps(trainings)]
    words += ["--steps=600", "--batch-size=4", "--network=burgess", "--likelihood=bernoulli"]
    words += ["--discriminator-layers=2", "--discriminator-units=16", "--log-every=2"]
    return [str(word) for word in words]


def test_the_command_line_names_what_is_trained_side_by_side(data, tmp_path):
    words = command(data, **{f"{tmp_path}/a = b": (1, 0, 3), f"{tmp_path}/c": (4, 10, 0)})
    done = subprocess.run([*words, "--steps=4"], capture_output=True, text=True, check=True)
    for name, expected in (("a = b", (1, 0, 3)), ("c", (4, 10, 0))):
        settings = read_json(tmp_path / name / "training.json")["settings"]
        assert (settings["beta"], settings["gamma"], settings["seed"]) == expected
        assert settings["steps"] == 4
    assert "β = 4, γ = 10, seed 0: starting" in done.stderr

    for text in ("{", "[]", '{"a": 3}'):
        wrong = subprocess.run([*words, "--trainings", text], capture_output=True, text=True)
        assert wrong.returncode == 2
        assert wrong.stderr.splitlines()[-1].endswith(
            f"argument --trainings: invalid JSON of folders with settings value: {text!r}"
        )


def test_trainings_of_equal_weights_are_told_apart_by_their_folders(data, tmp_path, caplog):
    caplog.set_level("INFO")
    train(
        data,
        [a_run(tmp_path / "a"), a_run(tmp_path / "b", reward="logit"), a_run(tmp_path, beta=5)],
    )
    started = [message for message in caplog.messages if message.endswith(": starting")]
    assert started[:2] == [
        f"β = 4, γ = 10, seed 0 ({tmp_path}/{name}): starting" for name in ("a", "b")
    ]
    assert started[2] == "β = 5, γ = 10, seed 0: starting"


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"beta": 4}, "a.seed is missing: set it"),
        ({"beta": 4, "seed": 0, "gama": 1}, "a.gama: there is no such setting"),
        ({"beta": -1, "seed": 0}, "a.beta: -1 is not 0 or more"),
    ],
)
def test_a_training_s_own_settings_are_checked_before_it_begins(data, own, message, capsys):
    words = ["train", str(data), "--trainings", json.dumps({"a": own}), "--likelihood=bernoulli"]
    assert main(words) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"betagvae: {message}")


def test_a_training_that_fails_ends_the_command_in_one_line(data, tmp_path):
    words = command(data, **{f"{tmp_path}/a": (1, 0, 0), f"{tmp_path}/b": (4, 0, 1)})
    done = subprocess.run([*words, "--learning-rate=1e30"], capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(
        r"betagvae: β = 1, γ = 0, seed 0: the loss is \w+ at step \d+; β = 4, γ = 0, seed 1: the "
        r"loss is \w+ at step \d+: lower training.learning_rate",
        done.stderr.splitlines()[-1],
    )


def test_a_killed_run_resumes_and_ends_with_the_same_bytes(data, tmp_path):
    scratch = tmp_path / "cut" / "model.resume.pt"
    cut = [*command(data, **{f"{tmp_path}/cut": (4, 10, 0)}), "--resume-seconds=0.2"]
    process = subprocess.Popen(cut)
    deadline = time.monotonic() + 120
    while not scratch.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut" / "model.safetensors").exists()

    resumed = subprocess.run(cut, capture_output=True, text=True, check=True)
    assert "going on from step" in resumed.stderr
    subprocess.run(command(data, **{f"{tmp_path}/whole": (4, 10, 0)}), check=True)
    assert_same_results(tmp_path / "cut", tmp_path / "whole")
    assert not scratch.exists()


def left_by_a_cut_run(data, folder, monkeypatch):
    """Train, and keep the scratch file as it was after the last row."""
    with monkeypatch.context() as patched:
        patched.setattr(Resume, "remove", lambda resume: None)
        train(data, [a_run(folder)], resume_seconds=0)
    return folder / "model.resume.pt"


def test_a_scratch_file_of_another_configuration_or_device_is_not_used(
    data, tmp_path, caplog, monkeypatch
):
    caplog.set_level("INFO")
    scratch = left_by_a_cut_run(data, tmp_path, monkeypatch)
    content = scratch.read_bytes()
    train_one(data, tmp_path)
    assert "going on from step 6" in caplog.text
    for changes, device in (({"beta": 5}, device_name(CPU)), ({}, "another processor")):
        caplog.clear()
        scratch.write_bytes(content)
        monkeypatch.setattr(training, "device_name", lambda _, name=device: name)
        train_one(data, tmp_path, **changes)
        assert "another configuration or machine: starting over" in caplog.text


def test_unusable_settings_end_in_one_line(data, tmp_path):
    with pytest.raises(UserError, match=r"lower training\.batch_size"):
        train_one(data, tmp_path, batch_size=15)
    with pytest.raises(UserError, match=r"multiple of training\.log_every"):
        train_one(data, tmp_path, steps=7)
    with pytest.raises(UserError, match="side by side have the same steps: train these apart"):
        train(data, [a_run(tmp_path / "a"), a_run(tmp_path / "b", steps=4)])
    with pytest.raises(UserError, match="one discriminator: set gamma or tc_density_ratio to 0"):
        train_one(data, tmp_path, tc_density_ratio=1)


def test_damaged_weights_are_refused(data, tmp_path):
    train_one(data, tmp_path)
    model = tmp_path / "model.safetensors"
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    with pytest.raises(UserError, match="damaged: delete it"):
        load_model(model, CPU)


def test_evaluation_agrees_with_the_objective(data, tmp_path):
    train_one(data, tmp_path)
    metrics, codes = tmp_path / "metrics.json", tmp_path / "codes.safetensors"
    settings = EvaluationSettings(batch_size=4, threads=1)
    evaluate(data, tmp_path / "model.safetensors", settings, metrics=metrics, codes=codes)
    found = read_json(metrics)["splits"]["test"]
    encoded = load_file(codes)
    assert encoded["indices"].tolist() == list(range(20))

    model = VariationalAutoencoder("burgess", 1, 10)
    model.load_state_dict(load_file(tmp_path / "model.safetensors"))
    x = torch.from_numpy(open_array(data).images(range(14, 20))).float() / 255
    noise = torch.randn(6, 10, generator=generator(0, "posterior test"))
    with torch.no_grad():
        mean, log_variance = model.encoder(x)
        z = objective.sample_posterior(mean, log_variance, noise)
        error = objective.bernoulli_error(model.decoder(z), x).mean().item()
    kl = objective.kl_divergence_per_latent(mean, log_variance).sum(1).mean().item()
    assert found["images"] == 6
    assert found["kl"] == pytest.approx(kl, rel=1e-5)
    assert found["reconstruction_error"] == pytest.approx(error, rel=1e-5)
    torch.testing.assert_close(encoded["mean"][14:], mean, rtol=1e-4, atol=1e-5)


def test_bfloat16_hardly_changes_what_is_measured(data, tmp_path):
    train_one(data, tmp_path)
    found = {}
    for precision in ("float32", "bfloat16"):
        paths = {"metrics": tmp_path / "metrics.json", "codes": tmp_path / "codes.safetensors"}
        settings = EvaluationSettings(batch_size=4, threads=1, precision=precision)
        evaluate(data, tmp_path / "model.safetensors", settings, **paths)
        found[precision] = read_json(paths["metrics"])["splits"]["test"]
    exact, rounded = found["float32"], found["bfloat16"]
    assert rounded["kl"] != exact["kl"]
    assert rounded["kl"] == pytest.approx(exact["kl"], rel=1e-2)
    assert rounded["reconstruction_error"] == pytest.approx(exact["reconstruction_error"], rel=1e-3)


def test_more_images_can_be_encoded_than_are_measured(data, tmp_path):
    train_one(data, tmp_path)
    paths = {"metrics": tmp_path / "metrics.json", "codes": tmp_path / "codes.safetensors"}
    settings = EvaluationSettings(batch_size=4, threads=1, encoded_images=5, images=3)
    evaluate(data, tmp_path / "model.safetensors", settings, **paths)
    metrics, codes = read_json(paths["metrics"])["splits"], load_file(paths["codes"])
    indices = codes["indices"].tolist()
    assert [metrics[name]["images"] for name in ("train", "test")] == [3, 3]
    assert len(set(indices[:5]) & set(range(14))) == len(set(indices[5:]) & set(range(14, 20))) == 5

    # The measured images are among the encoded ones: some three of them have the mean KL.
    kl = objective.kl_divergence_per_latent(codes["mean"], codes["log_variance"]).sum(1)
    means = [torch.stack(three).mean().item() for three in itertools.combinations(kl[5:], 3)]
    assert min(abs(mean - metrics["test"]["kl"]) for mean in means) < 1e-6 * abs(kl).max()

    fewer = dataclasses.replace(settings, images=6)
    with pytest.raises(UserError, match=r"evaluation\.encoded_images 5: only encoded images"):
        evaluate(data, tmp_path / "model.safetensors", fewer, **paths)


def test_the_sample_does_not_depend_on_the_size_of_batches(data, tmp_path):
    train_one(data, tmp_path)
    found = []
    for size in (2, 5, 256):
        paths = {"metrics": tmp_path / "metrics.json", "codes": tmp_path / "codes.safetensors"}
        settings = EvaluationSettings(batch_size=size, threads=1, images=5)
        evaluate(data, tmp_path / "model.safetensors", settings, **paths)
        found.append(read_json(paths["metrics"])["splits"]["train"]["reconstruction_error"])
    assert found == pytest.approx([found[0]] * 3, rel=1e-5)


PEAKS = """
import re, sys
from pathlib import Path
from betagvae.evaluation.metrics import EvaluationSettings, evaluate
for images in (500, 500, None):
    settings = EvaluationSettings(batch_size=64, threads=1, encoded_images=images)
    paths = {"metrics": Path("metrics.json"), "codes": Path("codes.safetensors")}
    evaluate(Path("data.npy"), Path("model.safetensors"), settings, **paths)
    print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the peak of memory")
def test_memory_of_an_evaluation_does_not_grow_with_the_images(tmp_path):
    path = tmp_path / "data.npy"
    images = np.random.default_rng(0).integers(0, 256, (8000, 1, 64, 8), dtype=np.uint8)
    write_array(path, images, splits={"train": (0, len(images))}, packed=True)
    train_one(path, tmp_path)
    command = [sys.executable, "-c", PEAKS]
    run = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    _, few, all_of_them = (int(peak) * 1024 for peak in run.stdout.split())
    # The images as numbers would take 131 MB; array, codes and noise take 5 MB.
    assert all_of_them - few < 40e6


class PretendedGraph:
    """Stands in for a CUDA graph where there is no GPU: replaying takes the recorded step.

    Recording takes a step, where a GPU takes none; the engine undoes it either way.
    """

    engine = None

    @staticmethod
    @contextlib.contextmanager
    def recording(graph, stream):
        yield

    def replay(self):
        for name, value in self.engine._step().items():
            self.engine._last[name].copy_(value)


METHODS = [
    *({"gamma": 0}, {"gamma": 10}),
    *({"gamma": 0, "tc_density_ratio": 6}, {"gamma": 0, "tc_weighted_sampling": 5}),
]


def test_nothing_of_the_optimisers_is_left_for_the_first_step_to_make(data):
    """A CUDA graph would make it anew, as zeros, in every replay."""
    run = engine(data)
    run.restore(0, run.state(0))
    for module, optimiser in (
        (run.trainer.model, run.trainer.optimiser),
        (run.trainer.discriminator, run.trainer.discriminator_optimiser),
    ):
        kept = {id(t) for state in optimiser.state.values() for t in state.values()}
        assert len(kept) == 3 * len(list(module.parameters()))
        run.step()
        now = {id(t) for state in optimiser.state.values() for t in state.values()}
        assert now == kept


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("first", [0, 5])
def test_recording_a_step_leaves_no_trace(data, monkeypatch, method, first):
    """What the host does around a CUDA graph, all but the graph itself."""
    recorded, plain = engine(data, **method), engine(data, **method)
    for _ in range(first):  # the fifth step leaves one batch of its epoch
        plain.step()
    if first:
        plain.means()
        recorded.restore(0, plain.state(0))
    PretendedGraph.engine = recorded
    monkeypatch.setattr(torch.cuda, "CUDAGraph", PretendedGraph)
    monkeypatch.setattr(torch.cuda, "graph", PretendedGraph.recording)
    monkeypatch.setattr(torch.cuda, "stream", contextlib.nullcontext)
    monkeypatch.setattr(torch.cuda, "default_stream", lambda device: None)
    recorded._stream = SimpleNamespace(wait_stream=lambda stream: None)
    for _ in range(8):  # epochs have three batches
        recorded.step()
        plain.step()
    assert torch.equal(weights(recorded.trainer.model), weights(plain.trainer.model))
    assert recorded.means() == plain.means()


@pytest.mark.gpu
def test_the_gpu_is_used_without_being_asked_for(data, tmp_path):
    for name in ("a", "b"):
        train_one(data, tmp_path / name)
    assert read_json(tmp_path / "a" / "training.json")["provenance"]["peak_gpu_memory_mb"] > 0
    first, second = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("a", "b"))
    assert first == second


TWO = [dataclasses.replace(SETTINGS, beta=beta, gamma=3, seed=beta) for beta in (1, 4)]


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
def test_a_replayed_step_is_the_step(data, method):
    """Recording and replaying must change neither weights nor random numbers nor batches."""
    images = DeviceImages(open_array(data), torch.device("cuda"))
    settings = [dataclasses.replace(each, **method) for each in TWO]
    replayed, plain = (Engine(images, settings) for _ in "ab")
    torch.cuda.synchronize()
    for _ in range(8):  # epochs have three batches
        replayed.step()
        with plain.on_stream():
            plain.batches.seek(plain.step_number)
            plain._last = plain._step()
        plain.step_number += 1
        plain._summed += 1
    torch.cuda.synchronize()
    assert torch.equal(weights(replayed.trainer.model), weights(plain.trainer.model))
    assert replayed.means() == plain.means()


@pytest.mark.gpu
def test_a_restored_engine_goes_on_as_if_nothing_had_happened(data, tmp_path):
    images = DeviceImages(open_array(data), torch.device("cuda"))
    whole, cut, other = (Engine(images, TWO) for _ in range(3))
    for _ in range(8):
        whole.step()
    for _ in range(5):
        cut.step()
    cut.means()
    for i in range(2):
        resume = Resume(tmp_path / f"{i}.resume.pt", {}, every_seconds=0)
        resume.save({"trainer": cut.state(i), "rows": []})
        other.restore(i, resume.load()["trainer"])
    for _ in range(3):
        other.step()
    whole.means(), other.means()
    assert torch.equal(weights(whole.trainer.model), weights(other.trainer.model))
