"""The benchmark: its arithmetic, its grid and its ratios by hand; its processes for real."""

import dataclasses
import os
import signal
from collections import Counter

import numpy as np
import pytest
import torch
from configuration import configuration, experiment
from image_arrays import write_array
from torch.utils.flop_counter import FlopCounterMode

from betagvae.bench import bench, measuring, processes, running
from betagvae.bench.arithmetic import operations
from betagvae.bench.cells import cells_of
from betagvae.bench.extrapolation import extrapolate, published_images, total
from betagvae.bench.floor import ADAM, Kernel, floor, step_kernels
from betagvae.bench.measuring import Measured
from betagvae.bench.page import page
from betagvae.bench.processes import Mode, Team, Workbench
from betagvae.bench.profile import KernelTime, Profile, from_trace
from betagvae.bench.ratios import COLUMNS, COMPARISONS
from betagvae.errors import UserError
from betagvae.experiment import Experiment
from betagvae.model import networks
from betagvae.model.architecture import ARCHITECTURES
from betagvae.model.networks import Discriminator, VariationalAutoencoder
from betagvae.records.files import read_csv, read_json
from betagvae.settings.bench import BenchSettings

TRAINING = {
    "steps": 1000,
    "batch_size": 4,
    "learning_rate": 1e-3,
    "network": "burgess",
    "latents": 10,
    "likelihood": "bernoulli",
    "reward": "probability",
    "discriminator_layers": 2,
    "discriminator_units": 16,
    "discriminator_learning_rate": 1e-3,
    "log_every": 2,
    "threads": 1,
}
METHODS = {
    "VAE": {"beta": 1, "gamma": 0},
    "β-VAE": {"beta": 4, "gamma": 0},
    "β-GVAE": {"beta": 4, "gamma": 10},
}
ALONE, BESIDE = Mode(1, 2), Mode(2, 1)


def grid(**changes):
    settings = {"shared": {"toy": TRAINING}, "methods": METHODS, "seeds": (0, 1)}
    return Experiment("results", **{**settings, **changes})


def settings_of(network, method="VAE", **changes):
    training = {**TRAINING, "network": network, **changes}
    cells = cells_of(grid(shared={"toy": training}), "toy")
    (cell,) = [cell for cell in cells if cell.method == method]
    return cell.settings


def multiply_adds(network, channels):
    """Every layer as weights × places that they are applied at, encoder then decoder."""
    a, b, c, d = (32, 32, 64, 64) if network == "higgins" else (32, 32, 32, 32)
    convolutions = [(channels * a, 32), (a * b, 16), (b * c, 8), (c * d, 4)]
    hidden = [16 * d * 256, 256 * 256] if network == "burgess" else [16 * d * 256]
    one_way = [16 * weights * side**2 for weights, side in convolutions] + hidden
    return [*one_way, 256 * 20, 10 * 256, *reversed(one_way)]


@pytest.mark.parametrize(
    ("network", "channels", "forward", "step"),
    [
        ("higgins", 1, 32.5, 96.5),
        ("higgins", 3, 36.7, 107.0),
        ("burgess", 1, 24.9, 73.7),
        ("burgess", 3, 29.1, 84.2),
    ],
)
def test_operations_are_those_counted_by_hand(network, channels, forward, step):
    found = operations(settings_of(network), channels)
    layers = multiply_adds(network, channels)
    assert found.forward == 2 * sum(layers)
    # Each layer has a gradient of its weights and one of its input, but nobody needs the images'.
    assert found.step == 2 * (3 * sum(layers) - layers[0])
    assert found.forward / 1e6 == pytest.approx(forward, abs=0.05)
    assert found.step / 1e6 == pytest.approx(step, abs=0.05)


def test_the_discriminator_counts_for_both_codes_and_for_the_reward():
    plain = operations(settings_of("burgess"), 1)
    found = operations(settings_of("burgess", "β-GVAE"), 1)
    first, others = 10 * 16, 16 * 16 + 16
    forward = 2 * (first + others)
    own_loss = 2 * (first + 2 * others)  # no gradient of the codes
    reward = first + others  # gradients of the posterior's codes alone, no weights
    assert found.forward - plain.forward == 2 * forward
    assert found.step - plain.step == 2 * (forward + own_loss + reward)


@pytest.mark.parametrize("weights", [{}, {"gamma": 10.0}, {"tc_density_ratio": 6.0}])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("network", ARCHITECTURES)
def test_pytorch_counts_the_same_operations(network, channels, weights, monkeypatch):
    """Of the networks that are trained, layer by layer, and of the gradients that are needed."""
    # The last layer is computed phase by phase, which takes more operations than it needs.
    monkeypatch.setattr(networks.ImageConvolution, "on_a_cpu", networks.UpConvolution.on_a_cpu)
    settings = dataclasses.replace(settings_of(network), **weights)
    with torch.device("meta"), FlopCounterMode(display=False) as step:
        model = VariationalAutoencoder(network, channels, settings.latents)
        discriminator = Discriminator(settings.latents, layers=2, units=16)
        x_bchw = torch.empty(1, channels, 64, 64)
        z_bl = sum(model.encoder(x_bchw))
        losses = [model.decoder(z_bl).sum()]
        other_bl = torch.empty_like(z_bl)
        if settings.tc_density_ratio:
            with torch.no_grad():
                other_bl = sum(model.encoder(x_bchw))
        if settings.adversarial:
            losses += [discriminator(z_bl).sum(), discriminator(other_bl).sum()]
        forward = step.get_total_flops()
        if settings.adversarial:
            # Its own loss needs no gradient of codes: the first layer has none for its input.
            judged = list(discriminator.parameters())
            torch.autograd.grad(sum(losses[1:]), judged, retain_graph=True)
        torch.autograd.grad(sum(losses[:2]), list(model.parameters()))
    found = operations(settings, channels)
    assert (found.forward, found.step) == (forward, step.get_total_flops())


def counted(network, method="VAE", channels=1, image_bytes=512, **changes):
    """Bytes and operations of a step, by layer and kind."""
    found = step_kernels(settings_of(network, method, **changes), channels, image_bytes)
    return {(kernel.layer, kernel.kind): kernel for kernel in found}


def test_the_floor_of_a_convolution_is_its_maps_and_weights():
    found = counted("higgins", channels=3, image_bytes=12288, precision="bfloat16")
    # Batch 4 from 3 to 32 channels of 32×32 pixels of 2 bytes; images are bytes, weights float32.
    image, activations = 4 * 12288, 4 * 32 * 32 * 32 * 2
    weights = 3 * 32 * 16
    products = 4 * 2 * weights * 32 * 32
    first = {kind: kernel for (layer, kind), kernel in found.items() if layer == "encoder 1"}
    assert first == {
        "forward": Kernel(
            "encoder 1", "forward", image + activations + 4 * (weights + 32), products
        ),
        "weight gradient": Kernel("encoder 1", "weight gradient", image + activations, products),
    }
    # From 32 channels of 32×32 to 32 of 16×16; the derivative of the ReLU before needs its output.
    weights = 32 * 32 * 16
    second = found["encoder 2", "input gradient"]
    assert second.bytes_moved == activations // 4 + 2 * activations + 4 * weights
    assert second.operations == 4 * 2 * weights * 16 * 16
    # The codes are no activations; they and the 256 hidden units have 2 bytes each.
    assert found["decoder 1", "input gradient"].bytes_moved == 4 * (256 + 10) * 2 + 4 * 10 * 256
    logits = 4 * 3 * 64 * 64 * 2
    assert found["likelihood", "likelihood"].bytes_moved == 2 * logits + image
    parameters = sum(p.numel() for p in VariationalAutoencoder("higgins", 3, 10).parameters())
    assert found["autoencoder", "Adam"].bytes_moved == ADAM * parameters


def test_the_floor_of_the_discriminator_is_one_way_there_and_one_back():
    found = counted("burgess", "β-GVAE")
    # Layers 10 → 16 → 16 → 1 on 4 codes of the encoder and 4 of the prior, 4 bytes a value.
    assert {
        key: kernel.bytes_moved for key, kernel in found.items() if "discriminator" in key[0]
    } == {
        ("discriminator 1", "forward"): 8 * (10 + 16) * 4 + 4 * (160 + 16),
        ("discriminator 2", "forward"): 8 * (16 + 16) * 4 + 4 * (256 + 16),
        ("discriminator 3", "forward"): 8 * (16 + 1) * 4 + 4 * (16 + 1),
        # Of the encoder's codes alone: the gradient of the reward.
        ("discriminator 1", "input gradient"): 4 * (16 + 10) * 4 + 4 * 160,
        ("discriminator 2", "input gradient"): 8 * (16 + 2 * 16) * 4 + 4 * 256,
        ("discriminator 3", "input gradient"): 8 * (1 + 2 * 16) * 4 + 4 * 16,
        ("discriminator 1", "weight gradient"): 8 * (10 + 16) * 4,
        ("discriminator 2", "weight gradient"): 8 * (16 + 16) * 4,
        ("discriminator 3", "weight gradient"): 8 * (16 + 1) * 4,
        ("discriminator", "Adam"): 24 * (176 + 272 + 17),
    }


@pytest.mark.parametrize("network", ARCHITECTURES)
def test_the_floor_s_operations_are_those_of_the_plain_model(network):
    plain = counted(network).values()
    of_plain = operations(settings_of(network), 1)
    assert sum(kernel.operations for kernel in plain) == 4 * of_plain.step
    judged = counted(network, "β-GVAE").values()
    # One way back serves both players: the reward's own, a code through all but the first, is not.
    saved = 2 * (16 * 16 + 16)
    of_judged = operations(settings_of(network, "β-GVAE"), 1)
    assert sum(kernel.operations for kernel in judged) == 4 * (of_judged.step - saved)


def test_a_second_batch_is_encoded_and_nothing_learns_from_it():
    ratio = {"gamma": 0.0, "tc_density_ratio": 6.0}
    judged = settings_of("burgess", "β-GVAE")
    found, without = (
        step_kernels(settings, 1, image_bytes=512)
        for settings in (dataclasses.replace(judged, **ratio), judged)
    )
    of_second = [kernel for kernel in found if kernel not in without]
    of_first = [k for k in without if (k.layer[:7], k.kind) == ("encoder", "forward")]
    assert len(found) == len(without) + len(of_first)
    for one, other in zip(of_second, of_first, strict=True):
        assert one == dataclasses.replace(other, layer=f"second batch's {other.layer}")


@pytest.mark.parametrize(("precision", "megabytes"), [("bfloat16", 1.5), ("float32", 3.0)])
def test_a_vae_moves_about_as_much_as_was_estimated(precision, megabytes):
    changes = {"batch_size": 64, "precision": precision}
    found = counted("higgins", channels=3, image_bytes=12288, **changes).values()
    image = sum(kernel.bytes_moved for kernel in found) / 64 / 1e6
    assert megabytes / 1.5 < image < 1.5 * megabytes


def test_the_floor_is_the_slower_of_memory_and_arithmetic():
    kernels = [Kernel("a", "forward", 30, 100), Kernel("b", "forward", 10, 300)]
    found = floor(kernels, bandwidth=4000, products=8000)
    assert (found.memory, found.arithmetic, found.steps_per_second) == (100, 20, 20)
    assert floor(kernels, bandwidth=400, products=8000).steps_per_second == 10


def event(name, start, duration, grid=(8, 1, 1), **changes):
    """A kernel as PyTorch's profiler exports it."""
    launch = {"grid": list(grid), "block": [128, 1, 1], "registers per thread": 64}
    return {
        **{"ph": "X", "cat": "kernel", "name": name, "ts": start, "dur": duration},
        "args": {**launch, "shared memory": 1024},
        **changes,
    }


def test_a_profile_sums_launches_that_are_alike():
    events = [
        event("_convolve", 100, 30),
        event("_convolve", 140, 10, grid=(16, 1, 1)),
        event("_convolve", 300, 32),
        event("_convolve", 340, 8, grid=(16, 1, 1)),
        event("Memset (Device)", 350, 4, cat="gpu_memset", args={"bytes": 4}),
        event("cudaGraphLaunch", 0, 1000, cat="cuda_runtime"),
        {"ph": "M", "name": "process_name"},
    ]
    found = from_trace({"traceEvents": events}, 2)
    assert found.microseconds == (354 - 100) / 2
    wide, narrow, memset = found.kernels
    expected = KernelTime("_convolve", (8, 1, 1), (128, 1, 1), 64, 1024, 1, 31, 62 / 84)
    assert wide == expected
    assert (narrow.grid, narrow.launches, narrow.microseconds) == ((16, 1, 1), 1, 9)
    assert (memset.grid, memset.launches, memset.microseconds) == ((), 0.5, 2)
    assert from_trace({"traceEvents": events[-2:]}, 2).kernels == []


def test_the_paper_s_grid_has_75_trainings():
    paper = experiment(configuration())
    assert sum(len(paper.trainings(name)) for name in paper.datasets) == 75


def test_a_pair_is_timed_only_where_no_method_tells_its_speed():
    pairs = {"swept": "toy", "pairs": ((2, 2), (4, 10), (3, 0))}
    assert [cell.method for cell in cells_of(grid(**pairs), "toy")] == list(METHODS)
    vae = {"methods": {"VAE": METHODS["VAE"]}}
    assert [cell.method for cell in cells_of(grid(**vae, **pairs), "toy")] == ["VAE", "(2, 2)"]
    elsewhere = grid(**vae, swept="other", pairs=((2, 2),))
    assert [cell.method for cell in cells_of(elsewhere, "toy")] == ["VAE"]


def measured(**changes):
    """Two rounds; the machine was twice as slow in the second."""
    g = grid(swept="toy", pairs=((2, 2),))
    cells = cells_of(g, "toy")
    rate = {"VAE": 100.0, "β-VAE": 50.0, "β-GVAE": 25.0}
    values = {
        "dataset": "toy",
        "cells": cells,
        "operations": {cell.method: operations(cell.settings, 1) for cell in cells},
        "memory": {"VAE": {"resident": 3, "gpu": 0}, "β-GVAE": {"resident": 5, "gpu": 0}},
        "images": 20,
        "image_bytes": 4096,
        "provenance": {},
        "rates": {
            (method, mode): [factor * r, factor * r / 2]
            for method, r in rate.items()
            for mode, factor in ((ALONE, 1), (BESIDE, 3))
        },
        "evaluations": {ALONE: [250.0, 125.0], BESIDE: [900.0, 450.0]},
        "ceilings": {ALONE: [4e9, 2e9], BESIDE: [8e9, 4e9]},
    }
    return g, Measured(**{**values, **changes})


def test_ratios_pair_numbers_of_the_same_round():
    _, m = measured()
    found = {name: compare([m]) for name, compare in COMPARISONS.items()}
    assert [row["ratio"] for row in found["side_by_side"]] == [3.0] * 6
    of_method = {row["method"]: row["ratio"] for row in found["methods"]}
    assert of_method == {"VAE": 1, "β-VAE": 0.5, "β-GVAE": 0.25}
    assert [row["ratio"] for row in found["evaluation"]] == [2.5, 2.5, 3, 3]
    row = next(r for r in found["ceiling"] if r["method"] == "VAE" and r["mode"] == str(BESIDE))
    assert row["value"] == 300 * m.operations["VAE"].step
    assert row["ratio"] == row["value"] / 8e9


def test_the_grid_takes_as_long_as_its_trainings_together():
    g, m = measured()
    found = extrapolate(g, [m])["toy"]
    # Four pairs, of which (2, 2) is as slow as β-GVAE, with two seeds; medians of both rounds.
    images = 1000 * 4
    seconds = 2 * images * (1 / 75 + 1 / 37.5 + 2 / 18.75)
    assert found["trainings"] == 8
    assert found["modes"][str(ALONE)]["hours"] == pytest.approx(seconds / 3600)
    assert found["modes"][str(BESIDE)]["hours"] == pytest.approx(seconds / 3 / 3600)
    assert found["modes"][str(ALONE)]["resident_bytes"] == 5
    assert found["modes"][str(BESIDE)]["resident_bytes"] == 10
    both = total({"a": found, "b": found})
    assert both["modes"][str(ALONE)]["hours"] == pytest.approx(2 * seconds / 3600)
    assert both["modes"][str(BESIDE)]["resident_bytes"] == 10
    assert both["array_bytes"] == 2 * 20 * 4096


def test_a_gpu_holds_the_whole_array_of_each_training():
    memory = {"VAE": {"resident": 3, "gpu": 10 * 1024 + 7}}
    g, m = measured(dataset="celeba", images=10, image_bytes=1024, memory=memory)
    g = dataclasses.replace(g, shared={"celeba": TRAINING}, swept=None)
    found = extrapolate(g, [m])["celeba"]["modes"][str(BESIDE)]
    assert found["gpu_bytes"] == 2 * (202_599 * 1024 + 7)


def test_the_number_of_published_images_is_known():
    assert published_images("chairs3d") == 86_366
    assert published_images("toy") == 0


def measured_on_a_gpu(**changes):
    """Of one training and of five; a copy was as slow in the second round as all else."""
    five = Mode(1, 1, 5)
    kernels = {name: [Kernel("encoder 1", "forward", 40 * 10**6, 200 * 10**9)] for name in METHODS}
    kernels["β-GVAE"] = [*kernels["VAE"], Kernel("discriminator", "Adam", 120 * 10**6, 0)]
    wide = KernelTime("void a<int, 2>(b|c)", (8, 4, 1), (128, 1, 1), 64, 2048, 2, 75, 0.75)
    narrow = KernelTime("_gather", (5, 1, 1), (128, 1, 1), 32, 0, 1, 25, 0.25)
    values = {
        "provenance": {"device": "a GPU", "device_type": "cuda", "packages": {"torch": "2"}},
        "rates": {
            (method, mode): [factor * 100.0, factor * 50.0]
            for method in METHODS
            for mode, factor in ((ALONE, 1), (five, 3))
        },
        "evaluations": {ALONE: [250.0, 125.0]},
        "ceilings": {ALONE: [20e12, 10e12], five: [32e12, 16e12]},
        "kernels": kernels,
        "bandwidths": [6.4e9, 3.2e9],
        "profiles": {"β-GVAE": Profile(125.0, [wide, *[narrow] * 15])},
    }
    return measured(
        memory={name: {"resident": 3, "gpu": 5} for name in METHODS}, **values, **changes
    )


def test_a_gpu_s_rate_is_held_against_the_slower_of_its_limits():
    _, m = measured_on_a_gpu()
    rows = COMPARISONS["floor"]([m])
    assert set(rows[0]) == set(COLUMNS)
    found = {(row["method"], row["mode"], row["round"]): row for row in rows}
    # 20 TFLOP/s at 200 GFLOP a step; 100 images/s at 4 a step.
    first = found["VAE", str(ALONE), 0]
    assert (first["value"], first["reference_value"], first["ratio"]) == (25, 100, 0.25)
    # 6.4 GB/s at 160 MB a step.
    assert found["β-GVAE", str(ALONE), 0]["reference_value"] == 40
    assert found["VAE", str(m.modes[1]), 1]["reference_value"] == 80
    # Products in parts are the faster way in the first round only.
    _, m = measured_on_a_gpu(products_in_parts=[24e12, 8e12])
    assert [f.arithmetic for f in m.floors("VAE", ALONE)] == [120, 50]


def test_the_floor_of_the_grid_is_that_of_its_trainings():
    g, m = measured_on_a_gpu()
    found = extrapolate(g, [m])["toy"]
    # Four pairs, of which (2, 2) is as slow as β-GVAE, with two seeds; medians of both rounds.
    hours = 2 * 1000 * (2 / 120 + 2 / 30) / 3600
    assert found["floor_hours"] == pytest.approx(hours)
    assert total({"a": found, "b": found})["floor_hours"] == pytest.approx(2 * hours)
    _, on_a_cpu = measured()
    assert extrapolate(g, [on_a_cpu])["toy"]["floor_hours"] is None


def test_the_page_of_a_gpu_has_its_floor_and_where_the_time_goes():
    g, m = measured_on_a_gpu()
    settings = BenchSettings(rounds=2, seconds=1)
    ratios = {name: compare([m]) for name, compare in COMPARISONS.items()}
    record = running._record(g, settings, [m], ratios) | {"cores": 2, "load_before": 0.0}
    lines = page(record).splitlines()
    # Of the medians: 18.75 steps/s; 4.8 GB/s at 160 MB a step; 15 TFLOP/s at 200 GFLOP.
    assert "| toy | β-GVAE | 1 process × 2 threads | 19 | 30 | 75 | 62% |" in lines
    assert "| toy | β-GVAE | 5 | 200.00 | 160.0 | 40.0 | 120.0 |" in lines
    profile = lines[lines.index("### toy, β-GVAE, 1 process × 1 thread × 5 trainings") :]
    assert profile[4] == "| `void a<int, 2>(b\\|c)` | 8 × 4 × 1 | 64 | 2.0 | 2.0 | 75.0 | 75.0% |"
    assert sum(line.startswith("| `") for line in profile) == 15
    assert any("A step took 125 µs, its 16 kernels 450 µs" in line for line in profile)


class Clockwork:
    """A team whose steps, evaluated batches, products and copies take so many seconds each."""

    mode = BESIDE

    def ask(self, *request):
        self.warm = True

    def seconds(self, name, *arguments):
        assert self.warm
        seconds = {"train": 0.01, "evaluate": 0.005, "multiply": 0.1}
        seconds |= {"copy": 0.002, "multiply_in_parts": 0.05}
        return seconds[name] * arguments[-1]


def test_rates_count_the_images_of_all_processes():
    _, m = measured(rates={}, evaluations={}, ceilings={})
    measuring._training(Clockwork(), 0, m.cells[0], 0.5, m)()
    measuring._evaluation(Clockwork(), "cpu", 0.5, m)()
    measuring._products(Clockwork(), "cpu", 0.5, m)()
    assert m.rates["VAE", BESIDE] == [pytest.approx(2 * 4 / 0.01)]
    assert m.evaluations[BESIDE] == [pytest.approx(2 * 64 / 0.005)]
    assert m.ceilings[BESIDE] == [pytest.approx(2 * 2 * 2048**3 / 0.1)]


@pytest.mark.parametrize(("precision", "ways"), [("float32", 1), ("tf32", 0), ("bfloat16", 0)])
def test_the_limits_of_a_gpu_count_bytes_read_and_written(precision, ways):
    training = {**TRAINING, "precision": precision}
    _, m = measured(cells=cells_of(grid(shared={"toy": training}), "toy"))
    for measure in measuring._limits_of_a_gpu(Clockwork(), 0.5, m):
        measure()
    assert m.bandwidths == [pytest.approx(2 * 2 * 2**30 / 0.002)]
    assert m.products_in_parts == [pytest.approx(2 * 2 * 8192**3 / 0.05)] * ways


@pytest.mark.parametrize(
    ("cores", "threads", "expected"),
    [(2, 1, [ALONE, BESIDE]), (8, 3, [Mode(1, 8), Mode(2, 3)]), (1, 4, [Mode(1, 1)])],
)
def test_trainings_side_by_side_never_have_more_threads_than_cores(cores, threads, expected):
    assert measuring.modes(cores, min(threads, cores)) == expected


def test_a_gpu_is_shared_within_one_process(array, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    modes = measuring.modes(2, 1)
    monkeypatch.undo()
    assert [(mode.processes, mode.at_a_time) for mode in modes] == [(1, n) for n in (1, 5, 10, 20)]
    assert str(modes[1]) == "1 process × 1 thread × 5 trainings"

    workbench = Workbench(1, Mode(2, 1, 3))
    workbench.open(array, [cell.settings for cell in cells_of(grid(), "toy")])
    workbench.train(2, 2)
    assert [[e.shared.seed for e in group] for group in workbench.engines] == [[3, 4, 5]] * 3
    assert [[e.step_number for e in group] for group in workbench.engines] == [
        *([0] * 3, [0] * 3, [2] * 3)
    ]


def test_unusable_requests_end_in_one_line(array, tmp_path):
    settings = BenchSettings(rounds=1, seconds=1)
    with pytest.raises(UserError, match="one core at least"):
        bench(grid(), settings, tmp_path, [array], 0)
    with pytest.raises(UserError, match="an array of toy is given"):
        bench(grid(shared={"celeba": TRAINING}), settings, tmp_path, [array], 2)


@pytest.fixture
def array(tmp_path):
    images = np.zeros((10, 1, 64, 8), np.uint8)
    return write_array(tmp_path / "toy.npy", images, splits={"train": (0, 10)}, packed=True)


def test_processes_run_at_the_same_time_and_pass_on_errors(array):
    settings = cells_of(grid(), "toy")[0].settings
    with Team(BESIDE) as team:
        with pytest.raises(UserError, match="lower training"):
            team.ask("open", array, [dataclasses.replace(settings, batch_size=11)])
        team.ask("open", array, [settings])
        assert team.seconds("evaluate", 0, 2) > 0
        spans = team.ask("train", 0, 20)
        assert max(start for start, _ in spans) < min(end for _, end in spans)
        assert all(found["resident"] > 50e6 for found in team.ask("memory"))
        os.kill(team._members[0][0].pid, signal.SIGKILL)
        with pytest.raises(UserError, match="fewer --cores"):
            team.ask("train", 0, 1)


def test_the_whole_benchmark(array, tmp_path, capsys):
    output = tmp_path / "bench"
    methods = {"β-GVAE": METHODS["β-GVAE"], "stronger": {"beta": 4, "gamma": 20}}
    settings = BenchSettings(rounds=2, seconds=0.01)
    bench(grid(methods=methods), settings, output, [array], 2)
    record = read_json(output / "bench.json")
    assert {p.name for p in output.iterdir()} == {
        *("bench.json", "bench.md"),
        *(f"{name}.csv" for name in COMPARISONS),
    }
    assert record["provenance"]["packages"]["torch"]
    assert record["grid_total"]["trainings"] == 4
    rates = {(row["method"], row["mode"]): row["images_per_second"] for row in record["rates"]}
    assert len(rates) == 4
    ceiling, evaluation = (read_csv(output / f"{name}.csv") for name in ("ceiling", "evaluation"))
    assert len(ceiling) == 8
    assert all(0 < float(row["ratio"]) < 1 for row in ceiling)
    assert Counter(row["mode"] for row in evaluation) == {str(ALONE): 2, str(BESIDE): 2}
    assert {row["method"] for row in evaluation} == {"β-GVAE"}
    # A processor has caches, and no floor of its memory is known.
    assert (output / "floor.csv").read_text() == ",".join(COLUMNS) + "\n"
    assert record["floors"] == record["profiles"] == []
    rows = read_csv(output / "side_by_side.csv")
    assert [row["round"] for row in rows] == ["0", "1"] * 2
    page = capsys.readouterr().out
    assert page == (output / "bench.md").read_text() + "\n"
    assert f"{rates['stronger', '1 process × 2 threads']:,.0f}" in page
    assert f"| {record['evaluation_rates'][1]['images_per_second']:,.0f} |" in page


@pytest.mark.gpu
def test_a_gpu_s_memory_and_speed_are_measured(array):
    with Team(Mode(1, 1)) as team:
        team.ask("open", array, [cells_of(grid(), "toy")[0].settings])
        assert team.seconds("train", 0, 5) > 0
        assert team.seconds("evaluate", 0, 2) > 0
        assert team.seconds("train", 0, 5) > 0
        assert team.seconds("multiply", 1) > 2 * 8192**3 / 1e15
        assert team.seconds("multiply_in_parts", 1) > 3 * 2 * 8192**3 / 3e15
        assert team.ask("memory")[0]["gpu"] > 3 * 4 * 8192**2
        assert 1e10 < 2 * processes.COPIED * 10 / team.seconds("copy", 10) < 2e13


@pytest.mark.gpu
def test_a_gpu_s_steps_are_seen_kernel_by_kernel(array):
    cells = cells_of(grid(), "toy")
    with Team(Mode(1, 1, 2)) as team:
        team.ask("open", array, [cell.settings for cell in cells])
        team.ask("train", 2, 3)
        (found,) = team.ask("profile", 2, 10)
    assert sum(kernel.share for kernel in found.kernels) == pytest.approx(1)
    times = [kernel.microseconds for kernel in found.kernels]
    assert times == sorted(times, reverse=True)
    # The layers of both trainings are one launch a step each: its grid has an axis of trainings.
    convolutions = [kernel for kernel in found.kernels if kernel.name == "_convolve"]
    assert convolutions
    assert all(kernel.launches == round(kernel.launches) >= 1 for kernel in convolutions)
    assert all(kernel.grid[1] == 2 and kernel.registers > 0 for kernel in convolutions)
