import pytest
import torch

from betagvae.model.architecture import ARCHITECTURES
from betagvae.model.device import PRECISIONS, computing_in
from betagvae.model.networks import (
    Discriminator,
    ImageConvolution,
    UpConvolution,
    VariationalAutoencoder,
    initialise,
)


@pytest.mark.parametrize("network", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes(network, channels):
    model = VariationalAutoencoder(network, channels, latents=10)
    mean, log_variance = model.encoder(torch.rand(2, channels, 64, 64))
    assert mean.shape == log_variance.shape == (2, 10)
    assert model.decoder(mean).shape == (2, channels, 64, 64)
    assert Discriminator(10, layers=2, units=8)(mean).shape == (2,)


def test_parameter_counts_are_the_published_networks():
    def count(network, channels):
        model = VariationalAutoencoder(network, channels, latents=10)
        return sum(parameter.numel() for parameter in model.parameters())

    # Encoder and decoder, counted layer by layer from Higgins et al. 2017 and Burgess et al. 2018.
    assert count("higgins", 1) == 382_932 + 381_313
    assert count("burgess", 1) == 252_052 + 249_953


@pytest.mark.parametrize("part", ["encoder", "decoder", "discriminator"])
@pytest.mark.parametrize("network", ARCHITECTURES)
def test_every_layer_has_the_weights_and_the_output_that_it_is_said_to_have(network, part):
    model = VariationalAutoencoder(network, 3, latents=10)
    judge = Discriminator(10, layers=2, units=8)
    module = judge if part == "discriminator" else getattr(model, part)
    found = []

    def note(layer, inputs, output):
        parameters = layer.weight.numel(), layer.bias.numel()
        found.append((*parameters, inputs[0].numel(), output.numel()))

    for layer in module.modules():
        if list(layer.parameters(recurse=False)):
            layer.register_forward_hook(note)
    module(torch.rand(1, 3, 64, 64) if part == "encoder" else torch.rand(1, 10))
    assert found == [
        (layer.weights, layer.biases, layer.inputs.values, layer.outputs.values)
        for layer in module.architecture
    ]


def test_initial_weights_depend_on_the_generator_alone():
    def weights(seed, disturbance):
        torch.manual_seed(disturbance)
        model = VariationalAutoencoder("burgess", 1, 10)
        initialise(model, torch.Generator().manual_seed(seed))
        return torch.cat([parameter.flatten() for parameter in model.parameters()])

    assert torch.equal(weights(0, 1), weights(0, 2))
    assert not torch.equal(weights(0, 1), weights(1, 1))


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2)])
@pytest.mark.parametrize(("layer", "channels"), [("up", 32), ("image", 1), ("image", 3)])
def test_the_decoder_s_layers_are_transposed_convolutions(layer, channels, precision, tolerance):
    """Values and gradients are those of PyTorch's own, as exact as the type is."""
    plain = torch.nn.ConvTranspose2d(32, channels, 4, stride=2, padding=1)
    ours = {"up": UpConvolution, "image": ImageConvolution}[layer](32, channels)
    ours.load_state_dict(plain.state_dict())
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(2, 32, 16, 16, generator=generator).to(PRECISIONS[precision].dtype)
    h = h.contiguous(memory_format=torch.channels_last).requires_grad_()
    gradient = torch.randn(2, channels, 32, 32, generator=generator)

    expected = plain(h.float())
    expected_gradients = torch.autograd.grad(expected, [h, *plain.parameters()], gradient)
    with computing_in(precision, h.device):
        found = ours(h)
    found_gradients = torch.autograd.grad(found, [h, *ours.parameters()], gradient.to(h.dtype))
    for one, other in zip([found, *found_gradients], [expected, *expected_gradients], strict=True):
        distance = (one.float() - other.float()).norm() / other.float().norm()
        assert distance < tolerance
