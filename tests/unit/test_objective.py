import dataclasses
import math

import pytest
import torch
from tiny_training import SETTINGS
from torch.distributions import Bernoulli, Normal, kl_divergence

from betagvae.model import objective
from betagvae.settings.training import ADVERSARIAL, WEIGHTS


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
    kl = torch.tensor([3.0, 7.0])
    reward = torch.tensor([0.25, 0.75])
    # mean of (10 + 4·3 − 10·0.25, 20 + 4·7 − 10·0.75)
    assert objective.loss(reconstruction, [(4, kl), (-10, reward)]).item() == 30.0
    assert objective.loss(reconstruction, [(1, kl)]).item() == 20.0


def encoded(z, mean=None, log_variance=None, logits=None, images=1):
    """Return codes of which only what a test is about is given."""
    mean = z if mean is None else mean
    log_variance = torch.zeros_like(z) if log_variance is None else log_variance
    return objective.Encoded(mean, log_variance, z, logits, images)


def changed(**settings):
    return dataclasses.replace(SETTINGS, **{"gamma": 0, **settings})


def reward(reading, logits):
    _, term = objective.terms_of(changed(gamma=10, reward=reading))
    return term.values(encoded(torch.zeros(*logits.shape, 2), logits=logits))


@pytest.mark.parametrize(
    ("reading", "expected"),
    [("probability", 0.5), ("log_probability", -math.log(2)), ("logit", 0.0)],
)
def test_reward_of_an_undecided_discriminator(reading, expected):
    assert reward(reading, torch.zeros(1)).item() == pytest.approx(expected)


@pytest.mark.parametrize("reading", ["probability", "log_probability", "logit"])
def test_reward_grows_with_the_discriminators_belief(reading):
    logits = torch.linspace(-3, 3, 7, requires_grad=True)
    (gradient,) = torch.autograd.grad(reward(reading, logits).sum(), logits)
    assert (gradient > 0).all()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [("kl", 4.0)]),
        ({"beta": 0}, [("kl", 0.0)]),
        ({"gamma": 10}, [("kl", 4.0), ("reward", -10.0)]),
        ({"tc_density_ratio": 35}, [("kl", 4.0), ("tc_density_ratio", 35.0)]),
        (
            {"gamma": 10, "tc_weighted_sampling": 5},
            [("kl", 4.0), ("reward", -10.0), ("tc_weighted_sampling", 5.0)],
        ),
    ],
)
def test_a_method_is_its_terms(settings, expected):
    settings = changed(**settings)
    terms = objective.terms_of(settings)
    assert [(t.column, objective.signed_weight(t, settings)) for t in terms] == expected


def test_the_columns_of_a_history():
    latents = [f"kl_{i}" for i in range(10)]
    first, judged = ["loss", "reconstruction_error"], ["discriminator_loss"]
    judged += ["discriminator_accuracy"]
    assert objective.columns(changed()) == [*first, "kl", *latents]
    found = objective.columns(changed(gamma=10))
    assert found == [*first, "kl", "reward", *judged, *latents]
    found = objective.columns(changed(tc_density_ratio=1, tc_weighted_sampling=1))
    assert found == [*first, "kl", "tc_density_ratio", "tc_weighted_sampling", *judged, *latents]


def test_settings_and_terms_name_the_same_weights():
    assert {term.weight for term in objective.TERMS} == set(WEIGHTS)
    adversarial = {term.weight for term in objective.TERMS if term.reference}
    assert adversarial == set(ADVERSARIAL)


@pytest.mark.parametrize("term", objective.TERMS, ids=lambda term: term.values.__name__)
def test_every_term_is_a_number_an_image_of_each_training(term):
    random = torch.Generator().manual_seed(0)
    mean, log_variance, z = torch.randn(3, 2, 5, 4, generator=random)
    logits = torch.randn(2, 5, generator=random)
    both = term.values(encoded(z, mean, log_variance, logits, images=100))
    assert both.shape == (2, 5)
    for i in range(2):
        alone = term.values(encoded(z[i], mean[i], log_variance[i], logits[i], images=100))
        torch.testing.assert_close(both[i], alone)


def test_total_correlation_by_density_ratio_by_hand():
    """D is σ(logit) that a code is a reference: ln of 1 − D over D, at D = 0.8 and 0.5."""
    logits = torch.tensor([math.log(0.8 / 0.2), 0.0])
    found = objective.density_ratio_total_correlation(encoded(torch.zeros(2, 3), logits=logits))
    assert found.tolist() == pytest.approx([math.log(0.2 / 0.8), 0.0])


def test_total_correlation_by_weighted_sampling_by_hand():
    # Two images of a hundred with unit variances; in units of the normal density at its mean, an
    # image's own is 1, the other's e^-½ for a latent and e^-1 for both.
    means = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    found = objective.weighted_sampling_total_correlation(encoded(means, images=100))
    joint, latent = (1 + math.exp(-1)) / 200, (1 + math.exp(-0.5)) / 200
    assert found.tolist() == pytest.approx([math.log(joint / latent**2)] * 2)
    # Codes and means at 0. The second image's first latent has the standard deviation e.
    log_variance = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    codes = encoded(torch.zeros(2, 2), log_variance=log_variance, images=100)
    found = objective.weighted_sampling_total_correlation(codes)
    joint = (1 + math.exp(-1)) / 200
    assert found.tolist() == pytest.approx([math.log(joint / (joint * 2 / 200))] * 2)


def correlated(correlation, images, random, variance=0.3):
    """Return means and codes, B×2, that together have unit variances and a correlation."""
    of_means = torch.tensor([[1 - variance, correlation], [correlation, 1 - variance]])
    noise = torch.randn(2, images, 2, generator=random)
    means = noise[0] @ torch.linalg.cholesky(of_means).T
    return means, means + math.sqrt(variance) * noise[1]


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_weighted_sampling_finds_the_total_correlation_of_a_gaussian(correlation):
    means, z = correlated(correlation, 3000, torch.Generator().manual_seed(0))
    log_variance = torch.full_like(z, math.log(0.3))
    for images in (3000, 10**6):
        codes = encoded(z, means, log_variance, images=images)
        found = objective.weighted_sampling_total_correlation(codes).mean().item()
        expected = -0.5 * math.log(1 - correlation**2)
        assert found - math.log(images) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_a_discriminator_finds_the_total_correlation_of_a_gaussian(correlation):
    """Taught with the loss of eq. 6 to tell codes from permuted codes of other images.

    The log density ratio of Gaussians is quadratic, so that four weights are enough.
    """
    random = torch.Generator().manual_seed(0)
    (_, z), (_, second) = (correlated(correlation, 20000, random) for _ in "ab")
    reference = objective.permute_latents(second, torch.randn(second.shape, generator=random))
    weights = torch.zeros(4, requires_grad=True)

    def logits(z):
        square = z.square()
        features = [torch.ones(len(z)), square[:, 0], square[:, 1], z.prod(1)]
        return torch.stack(features, 1) @ weights

    def loss():
        value = objective.discriminator_loss(logits(reference), logits(z))
        (weights.grad,) = torch.autograd.grad(value, weights)
        return value

    torch.optim.LBFGS([weights], max_iter=50, line_search_fn="strong_wolfe").step(loss)
    codes = encoded(z, logits=logits(z))
    found = objective.density_ratio_total_correlation(codes).mean().item()
    assert found == pytest.approx(-0.5 * math.log(1 - correlation**2), abs=0.015)


def test_permuted_latents_keep_their_values_and_lose_their_partners():
    random = torch.Generator().manual_seed(0)
    z = torch.arange(2 * 500.0).view(2, 500, 1) + torch.tensor([0.0, 0.25, 0.5])
    found = objective.permute_latents(z, torch.randn(z.shape, generator=random))
    assert torch.equal(found.sort(1).values, z)  # also: none is another training's
    for i, j in ((0, 1), (0, 2), (1, 2)):
        partners = found[..., i].floor() == found[..., j].floor()
        assert partners.sum(1).max() < 10  # one is expected


def test_every_permutation_is_as_likely():
    random = torch.Generator().manual_seed(0)
    z = torch.arange(3.0)[:, None].expand(6000, 3, 1)
    found = objective.permute_latents(z, torch.randn(z.shape, generator=random)).squeeze(2)
    _, counts = found.unique(dim=0, return_counts=True)
    assert len(counts) == 6
    assert (counts - 1000).abs().max() < 4 * math.sqrt(6000 * 5 / 36)


def test_discriminator_loss_by_hand():
    undecided = objective.discriminator_loss(torch.zeros(3), torch.zeros(3))
    assert undecided.item() == pytest.approx(2 * math.log(2))
    right = objective.discriminator_loss(torch.full((3,), 9.0), torch.full((3,), -9.0))
    assert right.item() == pytest.approx(2 * math.log1p(math.exp(-9)), rel=1e-4)
