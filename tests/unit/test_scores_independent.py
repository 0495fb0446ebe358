"""Each score against a second, plain implementation, on random and on partly entangled codes."""

from collections import Counter
from math import log

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import digamma, logsumexp
from scipy.stats import norm

from betagvae.evaluation.scores.beta_vae import draw_pairs, mean_differences
from betagvae.evaluation.scores.dci import completeness, disentanglement
from betagvae.evaluation.scores.factor_vae import Votes, cast_votes, draw_vote_images, vote_accuracy
from betagvae.evaluation.scores.infomec import (
    concentration,
    normalised_information,
    predictive_information,
)
from betagvae.evaluation.scores.information import bin_codes, top_two_gap
from betagvae.evaluation.scores.label_free import (
    active_units,
    gaussian_total_correlation,
    log_mean_density,
    total_correlation,
)
from betagvae.evaluation.scores.mig import mutual_information_gap
from betagvae.evaluation.scores.modularity import modularity, one_against_rest_aucs
from betagvae.evaluation.scores.sampling import FactorIndex, split_points
from betagvae.evaluation.scores.sap import prediction_accuracies, sap

IMAGES = 600


def factors():
    generator = np.random.default_rng(0)
    return np.stack([generator.integers(size, size=IMAGES) for size in (2, 3, 5)], axis=1)


def random_codes():
    return np.random.default_rng(1).normal(size=(IMAGES, 4))


def entangled_codes():
    mixing = np.array([[1, 0.5, 0, 0], [0, 1, 0, 0.3], [0.2, 0, 1, 0.7]])
    return factors() @ mixing + 0.3 * random_codes()


codes = pytest.mark.parametrize("codes", [random_codes(), entangled_codes()])
weights = pytest.mark.parametrize(
    "weights",
    [
        np.random.default_rng(2).random((4, 3)),
        np.random.default_rng(3).dirichlet([0.2] * 4, size=3).T,
        np.eye(4)[:, :3],
    ],
)


def plain_mutual_information(x, y):
    """Sum over the joint histogram, cell by cell."""
    n, joint, left, right = len(x), Counter(zip(x, y, strict=True)), Counter(x), Counter(y)
    return sum(c / n * log(n * c / (left[a] * right[b])) for (a, b), c in joint.items())


@codes
def test_mig_equals_loops_over_the_joint_histogram(codes):
    expected = []
    for factor in factors().T.tolist():
        information = []
        for latent in codes.T:
            edges = np.histogram(latent, 20)[1]
            cells = np.digitize(latent, edges[:-1]).tolist()
            information.append(plain_mutual_information(cells, factor))
        first, second = sorted(information, reverse=True)[:2]
        expected.append((first - second) / plain_mutual_information(factor, factor))
    assert mutual_information_gap(codes, factors(), bins=20) == pytest.approx(expected, abs=1e-9)


def test_bins_have_equal_width_and_hold_the_maximum():
    assert bin_codes(np.array([[0.0], [0.24], [0.26], [1.0]]), 4).ravel().tolist() == [0, 0, 1, 3]


def plain_entropy(shares, base):
    return -sum(p * log(p, base) for p in shares if p > 0)


@weights
def test_disentanglement_and_completeness_equal_hand_formulas(weights):
    latents, factor_count = weights.shape
    total, d, c = weights.sum(), 0.0, 0.0
    for row in weights:
        if row.sum() > 0:
            d += row.sum() / total * (1 - plain_entropy(row / row.sum(), factor_count))
    for column in weights.T:
        c += column.sum() / total * (1 - plain_entropy(column / column.sum(), latents))
    assert disentanglement(weights) == pytest.approx(d)
    assert completeness(weights) == pytest.approx(c)


def test_no_importance_at_all_scores_zero():
    assert disentanglement(np.zeros((4, 3))) == completeness(np.zeros((4, 3))) == 0


@weights
def test_modularity_equals_loops(weights):
    expected = []
    for row in weights:
        best = max(row)
        template = [best if k == np.argmax(row) else 0 for k in range(3)]
        squares = sum((m - t) ** 2 for m, t in zip(row, template, strict=True))
        expected.append(1 - squares / (best**2 * 2) if best > 0 else 0)
    assert modularity(weights) == pytest.approx(np.mean(expected))


@weights
def test_concentration_equals_loops(weights):
    shares = [max(row) / sum(row) if sum(row) > 0 else 1 / 3 for row in weights]
    assert concentration(weights) == pytest.approx((np.mean(shares) - 1 / 3) / (2 / 3))


def test_top_two_gap_equals_loops():
    matrix = np.random.default_rng(4).random((5, 3))
    for gap, column in zip(top_two_gap(matrix), matrix.T.tolist(), strict=True):
        best = max(column)
        column.remove(best)
        assert gap == best - max(column)


def plain_svm(x, positive, weight):
    """Minimise the squared hinge loss of a one-dimensional, penalised linear classifier."""
    sign = np.where(positive, 1, -1)
    cost = 0.01 * np.where(positive, weight, 1)

    def loss(w):
        return 0.5 * (w @ w) + cost @ np.maximum(0, 1 - sign * (w[0] * x + w[1])) ** 2

    return minimize(loss, np.zeros(2), tol=1e-12).x


@codes
def test_sap_accuracies_equal_a_plain_svm(codes):
    train, test = slice(0, 400), slice(400, None)
    accuracy = prediction_accuracies(codes[train], factors()[train], codes[test], factors()[test])
    for latent in range(4):
        for factor in (1, 2):  # more than two values: one against the rest
            y, x = factors()[:, factor], codes[:, latent]
            values = np.unique(y)
            decisions = []
            for value in values:
                weight = 400 / (len(values) * (y[train] == value).sum())
                slope, offset = plain_svm(x[train], y[train] == value, weight)
                decisions.append(slope * x[test] + offset)
            predicted = values[np.argmax(decisions, axis=0)]
            expected = np.mean(predicted == y[test])
            assert accuracy[latent, factor] == pytest.approx(expected, abs=0.011)


def test_sap_is_the_mean_gap_on_images_it_was_not_fitted_to():
    fit, held_out = split_points(IMAGES, 400, 200, np.random.default_rng(14))
    codes = entangled_codes()
    accuracy = prediction_accuracies(
        codes[fit], factors()[fit], codes[held_out], factors()[held_out]
    )
    result = sap(codes, factors(), np.random.default_rng(14), train=400, test=200)
    assert result == {"sap": pytest.approx(top_two_gap(accuracy).mean())}


def test_images_drawn_for_a_value_have_it_and_all_of_them_come_up():
    index, generator = FactorIndex.build(factors()), np.random.default_rng(5)
    for factor, value in ((0, 1), (2, 4)):
        drawn = index.draw(np.array(factor), np.array(value), generator.random(20_000))
        assert set(drawn) == set(np.flatnonzero(factors()[:, factor] == value))


@codes
def test_factor_vae_votes_equal_naive_loops(codes):
    votes = cast_votes(codes, factors(), np.random.default_rng(6), votes=80, batch=16)
    index, generator = FactorIndex.build(factors()), np.random.default_rng(6)
    fixed, batches = draw_vote_images(factors(), index, generator, (80, 16))
    for vote, (factor, batch) in enumerate(zip(fixed, batches, strict=True)):
        assert len({factors()[image, factor] for image in batch}) == 1
        ratios = [
            np.var([codes[image, latent] for image in batch], ddof=1)
            / np.var(codes[:, latent], ddof=1)
            for latent in range(4)
        ]
        assert (votes.factor_v[vote], votes.latent_v[vote]) == (factor, np.argmin(ratios))


def test_vote_accuracy_equals_a_naive_majority_classifier():
    generator = np.random.default_rng(7)
    latents = generator.integers(4, size=(2, 200))
    labels = (latents + generator.integers(2, size=(2, 200))) % 3
    majority = {
        latent: Counter(sorted(labels[0][latents[0] == latent])).most_common(1)[0][0]
        for latent in range(4)
    }
    expected = np.mean([majority[z] == k for z, k in zip(latents[1], labels[1], strict=True)])
    train, evaluation = Votes(labels[0], latents[0]), Votes(labels[1], latents[1])
    assert vote_accuracy(train, evaluation, 4, 3) == pytest.approx(expected)


@codes
def test_beta_vae_features_equal_naive_loops(codes):
    features, fixed = mean_differences(
        codes, factors(), np.random.default_rng(8), points=50, batch=8
    )
    index, generator = FactorIndex.build(factors()), np.random.default_rng(8)
    factor_p, first, second = draw_pairs(factors(), index, generator, (50, 8))
    assert (fixed == factor_p).all()
    for point, factor in enumerate(factor_p):
        total = np.zeros(4)
        for a, b in zip(first[point], second[point], strict=True):
            assert factors()[a, factor] == factors()[b, factor]
            total += np.abs(codes[a] - codes[b])
        assert features[point] == pytest.approx(total / 8)


def test_explicitness_areas_equal_the_share_of_ordered_pairs():
    """In one dimension the classifier only orders the images, whatever its weights."""
    x, y = entangled_codes()[:, :1], factors()[:, 0]
    (low, high) = one_against_rest_aucs(x[:400], y[:400], x[400:], y[400:])
    ones, zeros = x[400:][y[400:] == 1], x[400:][y[400:] == 0]
    assert high == pytest.approx(np.mean(ones > zeros.T))
    assert low == pytest.approx(high)


def plain_neighbour_information(x, y, k):
    """Ross 2014, eq. 2, with explicit distances."""
    n, terms = len(x), []
    for i in range(n):
        distance = np.abs(x - x[i])
        same = np.sort(distance[y == y[i]])
        radius = same[k]  # same[0] is the point itself
        within = (distance < radius).sum()
        terms.append(digamma((y == y[i]).sum()) + digamma(within))
    return max(0, digamma(n) + digamma(k) - np.mean(terms))


@codes
def test_normalised_information_equals_explicit_neighbours(codes):
    estimate = normalised_information(codes, factors(), neighbours=10, seed=0)
    for latent, factor in np.ndindex(4, 3):
        y = factors()[:, factor]
        expected = plain_neighbour_information(codes[:, latent], y, 10)
        expected /= plain_mutual_information(y.tolist(), y.tolist())
        assert estimate[latent, factor] == pytest.approx(expected, abs=1e-6)


@codes
def test_predictive_information_equals_a_plain_softmax_fit(codes):
    y = factors()[:, 1]
    x = np.hstack([codes / codes.std(axis=0), np.ones((IMAGES, 1))])

    def loss(w):
        logits = x @ w.reshape(5, 3)
        return (logsumexp(logits, axis=1) - logits[np.arange(IMAGES), y]).mean()

    best = minimize(loss, np.zeros(15)).fun
    expected = 1 - best / plain_mutual_information(y.tolist(), y.tolist())
    estimate = predictive_information(codes / codes.std(axis=0), y, iterations=500)
    assert estimate == pytest.approx(expected, abs=1e-3)


def test_active_units_count_variances_above_the_threshold():
    spread = np.sqrt([0.011, 0.009, 1, 0])
    standard = np.random.default_rng(9).normal(size=(5000, 4))
    means = (standard - standard.mean(axis=0)) / standard.std(axis=0, ddof=1) * spread
    assert active_units(means, least_variance=0.01) == {"active_units": 2.0}


def test_log_mean_density_equals_explicit_gaussians_even_if_narrow():
    generator = np.random.default_rng(10)
    means = generator.normal(size=(50, 3))
    log_variances = generator.uniform(-12, 1, size=(50, 3))
    samples = np.concatenate([means[:20] + 1e-3, generator.normal(size=(20, 3))])
    explicit = [
        norm.logpdf(samples, mean, np.exp(log_variance / 2)).sum(axis=1)
        for mean, log_variance in zip(means, log_variances, strict=True)
    ]
    expected = logsumexp(explicit, axis=0) - log(50)
    assert log_mean_density(samples, means, log_variances) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9])
def test_total_correlation_equals_the_closed_form_of_a_gaussian(correlation):
    """Means and posteriors are Gaussian, so the aggregate posterior is, up to sampling."""
    posterior_variance = 0.2
    covariance = 0.8 * (np.full((3, 3), correlation) + (1 - correlation) * np.eye(3))
    means = np.random.default_rng(11).multivariate_normal(np.zeros(3), covariance, size=10_000)
    log_variances = np.full_like(means, log(posterior_variance))
    total = covariance + posterior_variance * np.eye(3)  # unit diagonal
    expected = -0.5 * np.linalg.slogdet(total)[1]
    results = total_correlation(
        means, log_variances, np.random.default_rng(12), samples=2000, subset=3000
    )
    assert results["total_correlation"] == pytest.approx(expected, abs=0.06)
    assert results["total_correlation_gaussian"] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("images", [2, 5, 40])
def test_total_correlation_of_one_sample_equals_the_plain_sum_over_all_posteriors(images):
    """One sample and all the other posteriors: nothing is left to estimate."""
    means = entangled_codes()[:images]
    log_variances = np.random.default_rng(15).uniform(-3, 0, size=(images, 4))
    results = total_correlation(
        means, log_variances, np.random.default_rng(13), samples=1, subset=images
    )
    generator = np.random.default_rng(13)
    (row,), _ = split_points(images, 1, images - 1, generator)
    z = means[row] + np.exp(log_variances[row] / 2) * generator.standard_normal((1, 4))[0]
    density = norm.pdf(z, means, np.exp(log_variances / 2))  # images × latents
    expected = log(density.prod(axis=1).mean()) - np.log(density.mean(axis=0)).sum()
    assert results["total_correlation"] == pytest.approx(expected)


def test_gaussian_total_correlation_uses_the_covariance_of_samples():
    means = entangled_codes()[:, 2:]
    log_variances = np.random.default_rng(16).uniform(-3, 0, size=(IMAGES, 2))
    variances = means.var(axis=0, ddof=1) + np.exp(log_variances).mean(axis=0)
    correlation = np.cov(means.T)[0, 1] / np.sqrt(variances.prod())
    expected = -0.5 * log(1 - correlation**2)
    assert gaussian_total_correlation(means, log_variances) == pytest.approx(expected)


def test_gaussian_total_correlation_ignores_units_and_signs():
    means, log_variances = entangled_codes(), np.full((IMAGES, 4), -2.0)
    factor = np.array([1, -10, 0.1, 3])
    rescaled = gaussian_total_correlation(
        means * factor, log_variances + 2 * np.log(np.abs(factor))
    )
    assert rescaled == pytest.approx(gaussian_total_correlation(means, log_variances))
