import pytest
import torch

from betagvae.networks import ARCHITECTURES, Discriminator, VariationalAutoencoder, initialise


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


def test_initial_weights_depend_on_the_generator_alone():
    def weights(seed, disturbance):
        torch.manual_seed(disturbance)
        model = VariationalAutoencoder("burgess", 1, 10)
        initialise(model, torch.Generator().manual_seed(seed))
        return torch.cat([parameter.flatten() for parameter in model.parameters()])

    assert torch.equal(weights(0, 1), weights(0, 2))
    assert not torch.equal(weights(0, 1), weights(1, 1))
