"""Do the stacked networks compute what the modules do that they are made of?

Without a GPU Triton interprets the kernels, in float32.
"""

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from image_arrays import write_array
from tiny_training import SETTINGS

from betagvae.data.arrays import open_array
from betagvae.errors import UserError
from betagvae.evaluation.metrics import Codes, EvaluationSettings, evaluate_split
from betagvae.model import kernels, objective, stacked
from betagvae.model.device import PRECISIONS, DeviceImages, generator, set_up
from betagvae.model.networks import Discriminator, VariationalAutoencoder, initialise
from betagvae.records.files import read_csv
from betagvae.training import run as training
from betagvae.training.engine import Engine, trainers_of

pytestmark = pytest.mark.any_device

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
TRAININGS, BATCH, LATENTS = 2, 3, 5
TOLERANCES = {"float32": 2e-5, "tf32": 2e-2, "bfloat16": 8e-2}


@pytest.fixture(params=["float32", "tf32", "bfloat16"])
def precision(request):
    if request.param != "float32" and not GPU:
        pytest.skip("Triton's interpreter computes in float32 only")
    return request.param


@pytest.fixture
def arithmetic(precision):
    kept = PRECISIONS[precision]
    return kernels.Arithmetic(kept.dtype, kept.stacked_products)


def modules(build):
    """Return initialised modules whose biases are not zero."""
    built = [build() for _ in range(TRAININGS)]
    for seed, module in enumerate(built):
        initialise(module, generator(seed, "test"))
        for parameter in module.parameters():
            if parameter.dim() == 1:
                torch.nn.init.uniform_(parameter, -0.1, 0.1, generator=generator(seed, "biases"))
    return built


def distance(found, expected):
    """Return the relative distance of tensors, or of lists of them taken as one."""
    found, expected = (
        torch.cat([t.detach().cpu().double().flatten() for t in ([x] if torch.is_tensor(x) else x)])
        for x in (found, expected)
    )
    return ((found - expected).norm() / expected.norm()).item()


def in_stack_order(module, gradients):
    """Return the gradients of a module's parameters in the order and shapes of a stack."""
    with torch.no_grad():
        for parameter, gradient in zip(module.parameters(), gradients, strict=True):
            parameter.copy_(gradient)
    return [view.detach() for view in stacked._views(module)]


def exact_decoder(decoder, z_bl):
    """Return the logits by PyTorch's own layers, in the precision of the weights."""
    h = decoder.hidden(z_bl).unflatten(1, decoder.map_shape)
    for layer in decoder.convolutions:
        if isinstance(layer, torch.nn.ConvTranspose2d):
            h = F.conv_transpose2d(h, layer.weight, layer.bias, stride=2, padding=1)
        else:
            h = torch.relu(h)
    return h


def exact_encoder(encoder, x_bchw):
    h = encoder.hidden(encoder.convolutions(x_bchw).flatten(1))
    return encoder.posterior(h).chunk(2, dim=1)


def farthest(found_sd, expected_sd):
    """Return the largest relative distance of one training's one channel."""
    return max(
        distance(one_d, other_d)
        for one, other in zip(found_sd, expected_sd, strict=True)
        for one_d, other_d in zip(one, other, strict=True)
    )


@pytest.mark.parametrize(("side", "width", "channels"), [(4, 64, 32), (32, 32, 3), (32, 32, 1)])
def test_every_convolution_is_pytorch_s(precision, arithmetic, side, width, channels):
    """Of what the kernels are given, in the precision that they have it in."""
    images, area = TRAININGS * BATCH, kernels.convolutions.KERNEL_AREA
    random = torch.Generator().manual_seed(0)

    def maps(*shape):
        return torch.randn(shape, generator=random).to(DEVICE, arithmetic.dtype)

    small, active = maps(images, side, side, width), maps(images, side, side, width)
    large = kernels.padded_image(maps(images, 2 * side, 2 * side, channels))
    weight = maps(TRAININGS, width, area, channels).float()
    small_bias, large_bias = (maps(TRAININGS, n).float() for n in (width, channels))

    found = {
        "convolve": kernels.convolve(large, weight, arithmetic, bias=small_bias),
        "of input": kernels.convolve(large, weight, arithmetic, activation=active),
    }
    if channels > 4:
        found["up"] = kernels.convolve_up(small, weight, arithmetic, bias=large_bias)
    else:
        found["up"] = kernels.convolve_to_image(small, weight, large_bias, arithmetic)
    sums = {
        up: kernels.convolution_gradients(small, large, weight, arithmetic, up=up)
        for up in (False, True)
    }

    def exact(map_nhwc):
        """Return S×B×C×H×W."""
        map_nchw = map_nhwc.permute(0, 3, 1, 2).cpu().double()
        return map_nchw.unflatten(0, (TRAININGS, BATCH))

    taps = weight.cpu().double().view(TRAININGS, width, 4, 4, channels).permute(0, 1, 4, 2, 3)
    geometry = {"stride": 2, "padding": 1}
    expected = {name: [] for name in (*found, "of weight")}
    for s in range(TRAININGS):
        of_small, of_large, kernel = exact(small)[s], exact(large)[s], taps[s]
        down = F.conv2d(of_large, kernel, **geometry)
        bias = small_bias[s].cpu().double()[:, None, None]
        expected["convolve"].append((down + bias).relu())
        expected["of input"].append(down * (exact(active)[s] > 0))
        up = F.conv_transpose2d(of_small, kernel, large_bias[s].cpu().double(), **geometry)
        expected["up"].append(up.relu() if channels > 4 else up)
        of_weight = torch.nn.grad.conv2d_weight(of_large, kernel.shape, of_small, **geometry)
        expected["of weight"].append(of_weight)
    tolerance = {"float32": 2e-6, "tf32": 2e-3, "bfloat16": 1e-2}[precision]
    for name, map_nhwc in found.items():
        by_channel = exact(map_nhwc).transpose(1, 2)
        assert farthest(by_channel, torch.stack(expected[name]).transpose(1, 2)) < tolerance, name
    for up, (of_weight, of_bias) in sums.items():
        gradient = of_weight.view_as(weight).unflatten(2, (4, 4)).permute(0, 1, 4, 2, 3)
        assert farthest(gradient, torch.stack(expected["of weight"])) < tolerance
        assert distance(of_bias, exact(large if up else small).sum((1, 3, 4))) < tolerance


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "channels", "likelihood"),
    [("higgins", 3, "squared_error"), ("burgess", 1, "bernoulli")],
)
def test_errors_and_gradients_are_those_of_the_modules(precision, network, channels, likelihood):
    random = torch.Generator().manual_seed(0)
    models = modules(lambda: VariationalAutoencoder(network, channels, LATENTS))
    stack = stacked.stack(models, DEVICE, precision)
    x_nchw = torch.rand(TRAININGS * BATCH, channels, 64, 64, generator=random)
    noise_nl = torch.randn(TRAININGS * BATCH, LATENTS, generator=random)

    moments = stack.encoder(x_nchw.to(DEVICE))
    z_nl = objective.sample_posterior(*moments, noise_nl.to(DEVICE))
    logits_nchw = stack.decoder(z_nl)
    error_n = stack.likelihood(likelihood)(logits_nchw, x_nchw.to(DEVICE))
    kl_nl = objective.kl_divergence_per_latent(*moments)
    found = torch.autograd.grad(error_n.sum() + kl_nl.sum(), list(stack.parameters()))

    for i, model in enumerate(models):
        for one, other in zip(
            model.state_dict().values(), stack.unstacked(i).state_dict().values(), strict=True
        ):
            assert torch.equal(one, other)
        model.double()
        rows = slice(i * BATCH, (i + 1) * BATCH)
        x_bchw, noise_bl = x_nchw[rows].double(), noise_nl[rows].double()
        exact = exact_encoder(model.encoder, x_bchw)
        logits = exact_decoder(model.decoder, objective.sample_posterior(*exact, noise_bl))
        if likelihood == "bernoulli":
            errors = F.binary_cross_entropy_with_logits(logits, x_bchw, reduction="none")
        else:
            errors = (torch.sigmoid(logits) - x_bchw).square()
        error_b = errors.sum((1, 2, 3))
        kl_bl = objective.kl_divergence_per_latent(*exact)
        gradients = torch.autograd.grad(error_b.sum() + kl_bl.sum(), list(model.parameters()))
        tolerance = TOLERANCES[precision]
        assert distance([m[rows] for m in moments], exact) < tolerance
        assert distance(logits_nchw[rows], logits) < tolerance
        assert distance(error_n[rows], error_b) < tolerance
        for one, other in zip(found, in_stack_order(model, gradients), strict=True):
            assert distance(one[i], other) < 3 * tolerance


def with_state(parameters, **settings):
    """Return Adam with its moments where the first step finds them, as `Engine` makes it."""
    adam = torch.optim.Adam(parameters, fused=True, capturable=GPU, **settings)
    for parameter in adam.param_groups[0]["params"]:
        moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
        adam.state[parameter] = {"step": torch.zeros((), device=parameter.device), **moments}
    return adam


def test_both_players_gradients_of_a_discriminator(precision):
    models = modules(lambda: Discriminator(LATENTS, 3, 40))
    stack = stacked.stack(models, DEVICE, precision)
    adam = with_state(stack.parameters())
    codes = torch.randn(TRAININGS, 2 * BATCH, LATENTS, generator=torch.Generator().manual_seed(0))
    on_device = codes.to(DEVICE).requires_grad_()

    def losses(logits_sb):
        posterior_sb, prior_sb = logits_sb.chunk(2, dim=-1)
        reward = F.logsigmoid(posterior_sb).sum()
        return objective.discriminator_loss(prior_sb, posterior_sb).sum(), reward

    logits_sb = stack(on_device)
    loss, reward = losses(logits_sb)
    stack.differentiate(loss)
    stack.descend(adam)
    # The first moment after one step.
    found = [adam.state[parameter]["exp_avg"] / (1 - 0.9) for parameter in stack.parameters()]
    (of_codes,) = torch.autograd.grad(reward, on_device)
    for i, model in enumerate(models):
        model.double()
        exact_codes = codes[i].double().requires_grad_()
        logits_b = model.layers(exact_codes).squeeze(1)
        loss, reward = losses(logits_b)
        gradients = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
        (expected,) = torch.autograd.grad(reward, exact_codes)
        tolerance = TOLERANCES[precision]
        assert distance(logits_sb[i], logits_b) < tolerance
        assert distance(of_codes[i], expected) < 3 * tolerance
        for one, other in zip(found, in_stack_order(model, gradients), strict=True):
            assert distance(one[i], other) < 3 * tolerance


def test_a_discriminator_descends_as_with_pytorch_s_adam(precision):
    models = modules(lambda: Discriminator(LATENTS, 3, 40))
    stack = stacked.stack(models, DEVICE, precision)
    settings = {"lr": 1e-2, "betas": (0.5, 0.999)}
    adam = with_state(stack.parameters(), **settings)
    alone = [torch.optim.Adam(model.double().parameters(), **settings) for model in models]
    random = torch.Generator().manual_seed(0)
    for _ in range(3):
        codes = torch.randn(TRAININGS, 2 * BATCH, LATENTS, generator=random)
        logits_sb = stack(codes.to(DEVICE).requires_grad_())
        stack.differentiate(objective.discriminator_loss(*logits_sb.chunk(2, dim=1)).sum())
        stack.descend(adam)
        for i, (model, optimiser) in enumerate(zip(models, alone, strict=True)):
            optimiser.zero_grad()
            logits_b = model.layers(codes[i].double()).squeeze(1)
            objective.discriminator_loss(*logits_b.chunk(2)).backward()
            optimiser.step()
    assert {state["step"].item() for state in adam.state.values()} == {3}
    for i, (model, optimiser) in enumerate(zip(models, alone, strict=True)):
        expected = list(optimiser.state.values())
        found = list(adam.state.values())
        tolerance = TOLERANCES[precision]
        for name in ("exp_avg", "exp_avg_sq"):
            for one, other in zip(found, expected, strict=True):
                assert distance(one[name][i], other[name]) < 6 * tolerance
        # A weight whose gradient is nearly 0 may go either way: all of them, not each.
        changed = [parameter[i] for parameter in stack.parameters()]
        assert distance(changed, model.parameters()) < tolerance


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_gathered_images_are_those_of_the_array(tmp_path, packed, channels):
    if packed and channels > 1:
        pytest.skip("only images of one channel are stored packed")
    generator = np.random.default_rng(0)
    shape = (5, channels, 64, 8 if packed else 64)
    path = write_array(
        tmp_path / "toy.npy", generator.integers(0, 256, shape, np.uint8), splits={}, packed=packed
    )
    images = DeviceImages(open_array(path), torch.device("cpu"))
    indices = torch.tensor([4, 0, 3])
    found = kernels.gather(images._stored.to(DEVICE), indices.to(DEVICE), packed=packed)
    torch.testing.assert_close(found.permute(0, 3, 1, 2).cpu(), images.batch(indices))


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_of_an_image_are_its_pixels(precision, arithmetic, channels):
    random = torch.Generator().manual_seed(0)
    shape = (TRAININGS * BATCH, channels, 64, 64)
    stored = torch.randint(256, shape, generator=random, dtype=torch.uint8).to(DEVICE)
    indices = torch.arange(len(stored), device=DEVICE).flip(0)
    of_bytes = kernels.gather(stored, indices, packed=False, dtype=torch.uint8)
    x_nhwc = kernels.gather(stored, indices, packed=False)
    assert torch.equal(of_bytes.cpu(), stored[indices].permute(0, 2, 3, 1).cpu())
    weight = torch.randn(TRAININGS, 32, 16, channels, generator=random).to(DEVICE)
    bias = torch.zeros(TRAININGS, 32, device=DEVICE)
    small = torch.randn(TRAININGS * BATCH, 32, 32, 32, generator=random)
    small = small.to(DEVICE, arithmetic.dtype)
    logits = kernels.padded_image(torch.randn(x_nhwc.shape, generator=random).to(DEVICE))
    upstream = torch.rand(TRAININGS * BATCH, generator=random).to(DEVICE)
    found = []
    for image in (of_bytes, x_nhwc):
        image = kernels.padded_image(image)
        found.append(
            (
                kernels.convolve(image, weight, arithmetic, bias=bias),
                *kernels.convolution_gradients(small, image, weight, arithmetic, up=False),
                kernels.reconstruction_error(logits, image, "bernoulli"),
                kernels.reconstruction_error_gradient(logits, image, "squared_error", upstream),
            )
        )
    for one, other in zip(*found, strict=True):
        assert distance(one, other) < {"float32": 1e-6, "tf32": 1e-4, "bfloat16": 1e-3}[precision]


SMALLER = dataclasses.replace(SETTINGS, steps=4, batch_size=2, latents=LATENTS)
TWO = [SMALLER, dataclasses.replace(SMALLER, beta=1, gamma=3, seed=1)]


def write_data(folder, channels):
    images = np.random.default_rng(0).integers(0, 256, (12, channels, 64, 64), dtype=np.uint8)
    return write_array(folder / "toy.npy", images, splits={"train": (0, 12)})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "methods",
    [
        [{}, {}],
        [{"gamma": 0, "tc_density_ratio": 6}, {"gamma": 0, "tc_density_ratio": 35}],
        [{"gamma": 0, "tc_weighted_sampling": 5}, {"gamma": 0, "tc_weighted_sampling": 3}],
    ],
)
def test_a_stack_trains_as_the_modules_do(data, methods):
    """Steps of a stack, of whatever device, against those that a CPU takes one by one."""
    set_up(1)
    settings = [dataclasses.replace(s, **method) for s, method in zip(TWO, methods, strict=True)]
    images = {name: DeviceImages(open_array(data), torch.device(name)) for name in ("cpu", DEVICE)}
    stack = Engine(images[DEVICE], settings, stacked=True)
    alone = [Engine(images["cpu"], [of_training]) for of_training in settings]
    stack.batches.seek(0)
    for i, engine in enumerate(alone):
        engine.batches.seek(0)
        for name, noise in stack.batches.noise.items():
            # A GPU draws other numbers from the same seed.
            noise[i].copy_(engine.batches.noise[name][0])
    for tolerance in (2e-5, 1e-3):  # Adam's first step has the size of no gradient, but its sign.
        for engine in (stack, *alone):
            engine.step()
        for found, (expected,) in zip(stack.means(), [e.means() for e in alone], strict=True):
            assert found == pytest.approx(expected, rel=tolerance, abs=1e-5)
    for i, engine in enumerate(alone):
        assert distance(stack.trained(i).parameters(), engine.trained(0).parameters()) < 1e-4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:(invalid value|All-NaN):RuntimeWarning")  # the interpreter's
def test_a_training_that_fails_leaves_those_that_it_is_stacked_with_alone(
    data, tmp_path, monkeypatch
):
    monkeypatch.setattr(training, "trainers_of", partial(trainers_of, stacked=True))
    failing = dataclasses.replace(TWO[0], beta=float("inf"), steps=1, log_every=1)
    fine = dataclasses.replace(TWO[1], steps=1, log_every=1)
    beside, alone = (training.RunFiles(tmp_path / name) for name in ("beside", "alone"))
    with pytest.raises(UserError, match=r"β = inf, γ = 10, seed 0: the loss is .* 1 beside it are"):
        training.train(data, [(failing, training.RunFiles(tmp_path / "bad")), (fine, beside)])
    training.train(data, [(fine, alone)])
    assert not (tmp_path / "bad" / "model.safetensors").exists()
    assert beside.model.read_bytes() == alone.model.read_bytes()
    for one, other in zip(read_csv(beside.history), read_csv(alone.history), strict=True):
        assert list(map(float, one.values())) == pytest.approx(list(map(float, other.values())))
    # What is kept beside a failure is at its end: nothing is trained again.
    monkeypatch.setattr(Engine, "step", None)
    training.train(data, [(fine, beside)])
    assert beside.model.read_bytes() == alone.model.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("measured", [[0, 1, 1, 0, 1], [1] * 5])
def test_a_stack_is_evaluated_as_its_module(data, measured):
    set_up(1)
    model, _ = modules(lambda: VariationalAutoencoder("burgess", 1, LATENTS))
    measured = torch.tensor(measured, dtype=torch.bool)
    found, moments = [], []
    for each, device in ((model, "cpu"), (stacked.stack([model], DEVICE, "float32"), DEVICE)):
        device = torch.device(device)
        codes = Codes(each, DeviceImages(open_array(data), device), torch.arange(5))
        likelihood, noise = each.likelihood("bernoulli"), generator(0, "test", device)
        settings = EvaluationSettings(threads=1, batch_size=2)
        found.append(evaluate_split(codes, measured, likelihood, noise, settings))
        moments.append(codes.moments)
    assert distance(moments[1], moments[0]) < 1e-5
    for name, value in found[0].items():
        # A GPU draws other samples of the posterior from the same seed.
        drawn = name == "reconstruction_error" and GPU
        assert found[1][name] == pytest.approx(value, rel=5e-2 if drawn else 1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("network", "channels"), [("burgess", 1), ("higgins", 3)])
def test_a_training_gets_the_same_bytes_in_any_stack(tmp_path, precision, network, channels):
    images = DeviceImages(open_array(write_data(tmp_path, channels)), DEVICE)
    changes = {"precision": precision, "network": network, "batch_size": 12}
    settings = [dataclasses.replace(TWO[0], seed=seed, **changes) for seed in range(9)]
    both, *alone = (Engine(images, each) for each in (settings, settings[:1], settings[-1:]))
    means = []
    for engine in (both, *alone):
        for _ in range(7):
            engine.step()
        means.append(engine.means())
    for i, engine, (alone_means,) in zip((0, -1), alone, means[1:], strict=True):
        assert means[0][i] == pytest.approx(alone_means, rel=1e-5)
        for one, other in zip(
            both.trained(i).state_dict().values(),
            engine.trained(0).state_dict().values(),
            strict=True,
        ):
            assert torch.equal(one, other)


@pytest.mark.gpu
def test_what_can_advance_together_is_stacked(data):
    images = DeviceImages(open_array(data), DEVICE)
    plain = dataclasses.replace(SMALLER, gamma=0)
    other = dataclasses.replace(SMALLER, learning_rate=1e-4)
    found = trainers_of(images, [SMALLER, plain, TWO[1], other, TWO[1]], [0, 0, 0, 0, 2])
    first = found[0][0]
    assert [(t is first, number) for t, number in found] == [
        (True, 0),
        (False, 0),
        (True, 1),
        (False, 0),
        (False, 0),
    ]
    assert len({id(t) for t, _ in found}) == 4


def test_what_a_gpu_cannot_do_ends_in_one_line(data, tmp_path, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(kernels.compiler, "which", lambda name: None)
        with pytest.raises(UserError, match="needs a C compiler and Python's headers"):
            DeviceImages(open_array(data), torch.device("cuda"))
    monkeypatch.setenv("CC", "cc")
    monkeypatch.setattr(kernels.compiler.sysconfig, "get_path", lambda *names: str(tmp_path))
    with pytest.raises(UserError, match="needs a C compiler and Python's headers"):
        kernels.check_compiler()
    tmp_path.joinpath("Python.h").touch()
    kernels.check_compiler()


def test_more_images_than_the_kernels_count_are_refused():
    stack = stacked.stack([VariationalAutoencoder("burgess", 1, LATENTS)], DEVICE, "float32")
    x_nchw = torch.empty(1, device=DEVICE).expand(2**16, 1, 64, 64)
    with pytest.raises(UserError, match=r"65,536 images at once .* lower batch_size or trainings"):
        stack.encoder(x_nchw)


def test_a_setting_that_adam_s_kernel_lacks_is_refused():
    discriminator = stacked.stack([Discriminator(3, 1, 4)], DEVICE, "float32")
    adam = torch.optim.Adam(discriminator.parameters(), 1e-3, weight_decay=0.1)
    for parameter in discriminator.parameters():
        adam.state[parameter] = {"step": torch.zeros(())}
    with pytest.raises(NotImplementedError, match="has no weight_decay"):
        discriminator.descend(adam)
