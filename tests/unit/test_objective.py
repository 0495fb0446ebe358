import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from betagvae.model import objective


def test_kl_divergence_equals_torch_distributions():
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 5, 3, generator=generator).unbind()
    posterior = Normal(mean, torch.exp(0.5 * log_variance))
    expected = kl_divergence(posterior, Normal(0.0, 1.0))
    torch.testing.assert_close(objective.kl_divergence_per_latent(mean, log_variance), expected)


def test_bernoulli_error_is_the_negative_log_likelihood_summed_over_pixels():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 1, 3, 3, generator=generator)
    x = torch.randint(2, (4, 1, 3, 3), generator=generator).float()
    expected = -Bernoulli(logits=logits).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(objective.bernoulli_error(logits, x), expected)


def test_bernoulli_error_and_its_gradient_stay_exact_far_out():
    logits = torch.tensor([-1e4, -100.0, -30.0, -3.0, 0.0, 3.0, 30.0, 100.0, 1e4])
    x = torch.tensor([0.0, 1.0, 0.0, 0.3, 0.5, 0.7, 1.0, 0.0, 1.0])
    logits = logits.view(9, 1, 1, 1).requires_grad_()
    x = x.view(9, 1, 1, 1)
    found = objective.bernoulli_error(logits, x)
    exact = logits.detach().double()
    expected = torch.nn.functional.softplus(exact) - x * exact
    torch.testing.assert_close(found.double(), expected.flatten(), rtol=1e-6, atol=2e-7)
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    torch.testing.assert_close(gradient.double(), torch.sigmoid(exact) - x, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("scale", [0.1, 1, 8, 30])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", ["planes", "interleaved", "cropped"])
def test_bernoulli_error_of_whole_images_in_any_layout(scale, channels, layout):
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(4, channels, 66, 66, generator=generator)
    x = torch.rand(4, channels, 64, 64, generator=generator)
    if layout != "planes":
        logits = logits.contiguous(memory_format=torch.channels_last)
    logits = logits[:, :, 1:-1, 1:-1]  # as the decoder's last layer cuts it
    if layout != "cropped":
        logits = logits.clone()
    exact = torch.nn.functional.binary_cross_entropy_with_logits(
        logits.double(), x.double(), reduction="none"
    )
    found = objective.bernoulli_error(logits, x).double()
    torch.testing.assert_close(found, exact.sum((1, 2, 3)), rtol=1e-6, atol=0)


def test_bernoulli_error_of_an_undecided_image():
    # The least that σ(|l|) can be, at every pixel: ½.
    error = objective.bernoulli_error(torch.zeros(2, 3, 64, 64), torch.ones(2, 3, 64, 64))
    torch.testing.assert_close(error, torch.full((2,), 3 * 64 * 64 * math.log(2)))


def test_squared_error_by_hand():
    # sigmoid(0) = 1/2 against 0, 1, 1, 1: four squares of 1/2.
    x = torch.tensor([[[[0.0, 1.0], [1.0, 1.0]]]])
    assert objective.squared_error(torch.zeros(1, 1, 2, 2), x).tolist() == [1.0]


def test_loss_by_hand():
    reconstruction = torch.tensor([10.0, 20.0])
    kl = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    reward = torch.tensor([0.25, 0.75])
    # mean of (10 + 4·3 − 10·0.25, 20 + 4·7 − 10·0.75)
    assert objective.loss(reconstruction, kl, reward, beta=4, gamma=10).item() == 30.0
    assert objective.loss(reconstruction, kl, None, beta=1, gamma=0).item() == 20.0


@pytest.mark.parametrize(
    ("reading", "expected"),
    [("probability", 0.5), ("log_probability", -math.log(2)), ("logit", 0.0)],
)
def test_reward_of_an_undecided_discriminator(reading, expected):
    assert objective.REWARDS[reading](torch.zeros(1)).item() == pytest.approx(expected)


@pytest.mark.parametrize("reading", objective.REWARDS)
def test_reward_grows_with_the_discriminators_belief(reading):
    logits = torch.linspace(-3, 3, 7, requires_grad=True)
    (gradient,) = torch.autograd.grad(objective.REWARDS[reading](logits).sum(), logits)
    assert (gradient > 0).all()


def test_discriminator_loss_by_hand():
    undecided = objective.discriminator_loss(torch.zeros(3), torch.zeros(3))
    assert undecided.item() == pytest.approx(2 * math.log(2))
    right = objective.discriminator_loss(torch.full((3,), 9.0), torch.full((3,), -9.0))
    assert right.item() == pytest.approx(2 * math.log1p(math.exp(-9)), rel=1e-4)
