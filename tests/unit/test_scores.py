"""Analytic cases and invariances, over the whole registry of scores."""

import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from score_settings import for_few

from betagvae.errors import UserError
from betagvae.evaluation.scores.registry import LABEL_FREE, SCORES, compute_scores
from betagvae.evaluation.scores.score import Encoded

SETTINGS = for_few(
    4000,
    seed=1,
    mig_points=2000,
    train_points=1200,
    test_points=2000,
    dci_trees=20,
    train_votes=1000,
    evaluation_votes=1000,
    infomec_points=1200,
    correlation_samples=300,
    correlation_subset=2000,
)
FACTOR_SIZES = {"binary": (2, 1, 2, 2, 2), "mixed": (3, 1, 4, 6, 6)}
"""The second factor is constant, like the colour of dSprites."""
IMAGES, LATENTS, FACTORS = 4000, 6, 4


def factors_of(grid):
    generator = np.random.default_rng(3)
    sizes = FACTOR_SIZES[grid]
    return np.stack([generator.integers(size, size=IMAGES) for size in sizes], axis=1)


def identity(grid):
    """Each factor in a latent of its own; the other latents do not move."""
    varying = factors_of(grid)[:, [0, 2, 3, 4]].astype(np.float64)
    scaled = (varying - varying.mean(axis=0)) / varying.std(axis=0)
    return np.pad(scaled, ((0, 0), (0, LATENTS - FACTORS)))


def noise(_):
    return np.random.default_rng(4).normal(size=(IMAGES, LATENTS))


def constant(_):
    return np.full((IMAGES, LATENTS), 0.3)


def entangled(grid):
    """Every factor leaks into its neighbour, with noise on top."""
    mixing = np.eye(LATENTS) + 0.4 * np.eye(LATENTS, k=1)
    return identity(grid) @ mixing + 0.2 * noise(grid)


def permuted(grid):
    return entangled(grid)[:, [3, 5, 0, 4, 2, 1]]


def flipped(grid):
    return -entangled(grid)


def scaled(grid):
    return 4 * entangled(grid)


def duplicated(grid):
    """Each factor in two latents."""
    return np.repeat(identity(grid)[:, :FACTORS], 2, axis=1)


def rotated(grid):
    """All factors in all latents."""
    rotation, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(LATENTS, LATENTS)))
    return identity(grid) @ rotation


CODES = (identity, noise, constant, entangled, permuted, flipped, scaled, duplicated, rotated)


@cache
def scores_of(code, grid):
    codes = code(grid).astype(np.float32)
    log_variances = np.full_like(codes, -2)
    if code is scaled:
        log_variances += 2 * np.log(4)
    return compute_scores(codes, log_variances, factors_of(grid), FACTOR_SIZES[grid], SETTINGS)


CASES = [(code, grid) for code in (identity, noise, constant, duplicated) for grid in FACTOR_SIZES]
CASES += [(code, "mixed") for code in (entangled, permuted, flipped, scaled, rotated)]

CHANCE = 1 / FACTORS
MAJORITY = float(np.mean([1 / size for size in FACTOR_SIZES["mixed"] if size > 1]))

EXPECTED = {
    # number: value for (identity, noise, constant), tolerance
    "mig": (1, 0, 0, 0.01),
    "dci_disentanglement": (1, 0, 0, 0.02),
    "dci_completeness": (1, 0, 0, 0.02),
    "dci_informativeness": (1, MAJORITY, MAJORITY, 0.03),
    "sap": (None, 0, 0, 0.03),  # the ceiling has a test of its own
    "factor_vae": (1, CHANCE, 0, 0.05),  # all constant latents are pruned
    "beta_vae": (1, CHANCE, CHANCE, 0.05),
    "modularity": (FACTORS / LATENTS, None, 0, 0.01),  # constant latents count 0; noise: docstring
    "explicitness": (None, 0.5, 0.5, 0.02),  # the ceiling has a test of its own
    "infom": (1, None, 0, 0.03),  # noise: see the docstring
    "infoe": (1, 0, 0, 0.02),
    "infoc": (1, None, 0, 0.03),
    "active_units": (FACTORS, LATENTS, 0, 0),
    "total_correlation": (0, None, 0, 0.15),  # noise: few narrow posteriors, see the docstring
    "total_correlation_gaussian": (0, 0, 0, 0.01),
}
"""What the definitions say of simple codes; None where they do not fix a value."""


def test_every_number_of_the_registry_has_expected_values():
    assert set(scores_of(identity, "mixed")) == set(EXPECTED)


@pytest.mark.parametrize("number", EXPECTED)
@pytest.mark.parametrize(("column", "code"), list(enumerate((identity, noise, constant))))
def test_simple_codes_score_as_defined(number, column, code):
    *values, tolerance = EXPECTED[number]
    if values[column] is not None:
        assert scores_of(code, "mixed")[number] == pytest.approx(values[column], abs=tolerance)


@pytest.mark.parametrize(("code", "grid"), CASES)
def test_every_number_is_a_finite_float_in_range(code, grid):
    results = scores_of(code, grid)
    assert all(type(value) is float and np.isfinite(value) for value in results.values())
    bounded = {name: value for name, value in results.items() if name not in _UNBOUNDED}
    assert all(-1e-6 <= value <= 1 + 1e-6 for value in bounded.values()), bounded


_UNBOUNDED = {"active_units", "total_correlation", "total_correlation_gaussian"}


def test_binary_identity_code_reaches_the_ceilings_of_the_linear_scores():
    results = scores_of(identity, "binary")
    assert results["sap"] == pytest.approx(1 - 0.5, abs=0.03)  # the runner-up guesses
    assert results["explicitness"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("code", [permuted, flipped, scaled])
@pytest.mark.parametrize("number", sorted(set(EXPECTED) - {"total_correlation"}))
def test_order_sign_and_unit_of_latents_do_not_matter(code, number):
    assert scores_of(code, "mixed")[number] == pytest.approx(
        scores_of(entangled, "mixed")[number], abs=0.01
    )


@pytest.mark.parametrize("code", [permuted, flipped, scaled])
def test_total_correlation_is_invariant_up_to_its_standard_error(code):
    name = "total_correlation"
    assert scores_of(code, "mixed")[name] == pytest.approx(
        scores_of(entangled, "mixed")[name], abs=0.25
    )


@pytest.mark.parametrize("grid", FACTOR_SIZES)
def test_duplicated_code_loses_compactness_but_not_modularity(grid):
    results, width = scores_of(duplicated, grid), 2 * FACTORS
    assert results["mig"] == pytest.approx(0, abs=1e-9)
    assert results["sap"] == pytest.approx(0, abs=1e-9)
    assert results["dci_completeness"] == pytest.approx(1 - np.log(2) / np.log(width), abs=0.05)
    assert results["infoc"] == pytest.approx((1 / 2 - 1 / width) / (1 - 1 / width), abs=0.02)
    assert results["total_correlation"] > 1
    for name in ("dci_disentanglement", "factor_vae", "beta_vae", "modularity", "infom", "infoe"):
        assert results[name] == pytest.approx(1, abs=0.03), name


def test_rotated_code_drops_in_all_that_measures_alignment():
    before, after = scores_of(identity, "mixed"), scores_of(rotated, "mixed")
    for name in ("mig", "dci_disentanglement", "dci_completeness", "sap", "infom", "infoc"):
        assert after[name] < before[name] - 0.25, name
    assert after["total_correlation_gaussian"] > 0.5
    assert after["infoe"] == pytest.approx(before["infoe"], abs=0.01)  # still linearly decodable


FAST = replace(
    SETTINGS,
    mig_points=300,
    train_points=300,
    test_points=150,
    dci_trees=3,
    train_votes=100,
    evaluation_votes=50,
    infomec_points=300,
    correlation_samples=50,
    correlation_subset=300,
)


def run(settings=FAST, only=None, **changes):
    """Score the entangled code at the smallest sizes; ``changes`` replace its arrays."""
    means = entangled("mixed")
    arguments = {
        "means": means,
        "log_variances": np.full_like(means, -2),
        "factor_classes": factors_of("mixed"),
        "factor_sizes": FACTOR_SIZES["mixed"],
    } | changes
    return compute_scores(*arguments.values(), settings, only=only)


def test_same_seed_same_numbers_whatever_the_global_state():
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    first = run()
    assert (np.random.get_state()[1] == state).all()
    np.random.seed(1)
    assert run() == first
    assert run(replace(FAST, seed=2)) != first


@pytest.mark.parametrize("name", SCORES)
def test_a_score_does_not_depend_on_which_others_run(name):
    alone, together = run(only=[name]), _all_numbers()
    assert alone == {number: together[number] for number in alone}


@cache
def _all_numbers():
    return run()


def test_float32_codes_are_accepted():
    means = entangled("mixed").astype(np.float32)
    assert run(means=means, log_variances=np.full_like(means, -2)).keys() == EXPECTED.keys()


def test_constant_factors_change_nothing():
    without = factors_of("mixed")[:, [0, 2, 3, 4]]
    assert run(factor_classes=without, factor_sizes=(3, 4, 6, 6)) == _all_numbers()


def test_a_factor_that_is_constant_among_the_rows_drops_out():
    rows = factors_of("mixed")[:, 0] == 2
    means = entangled("mixed")[rows]
    arrays = {"means": means, "log_variances": np.full_like(means, -2)}
    whole = run(factor_classes=factors_of("mixed")[rows], **arrays)
    part = run(factor_classes=factors_of("mixed")[rows, 2:], factor_sizes=(4, 6, 6), **arrays)
    assert whole == part


def test_unknown_factors_leave_the_label_free_scores():
    results = run(factor_classes=None, factor_sizes=None)
    assert results == run(only=LABEL_FREE)
    with pytest.raises(UserError, match="need known factors"):
        run(factor_classes=None, factor_sizes=None, only=["mig"])


NOT_FINITE = np.full((IMAGES, LATENTS), np.nan)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"only": ["migg"]}, "unknown scores"),
        ({"settings": replace(FAST, mig_points=IMAGES + 1)}, r"raise evaluation\.encoded_images"),
        ({"means": NOT_FINITE}, "diverged"),
        ({"means": np.zeros((IMAGES, 3))}, "equal N×L"),
        ({"factor_sizes": (3, 1, 4, 6)}, "factor classes must be"),
        ({"factor_sizes": (3, 1, 4, 6, 5)}, "outside"),
        ({"factor_classes": factors_of("mixed") * [1, 1, 0, 0, 0]}, "at least two"),
    ],
)
def test_bad_input_says_what_to_do(changes, message):
    with pytest.raises(UserError, match=message):
        run(**changes)


@pytest.mark.parametrize("name", SCORES)
def test_a_score_gives_the_numbers_that_it_describes_and_says_whether_it_needs_factors(name):
    score, means = SCORES[name], entangled("mixed")
    factors = factors_of("mixed")[:, [0, 2, 3, 4]]
    encoded = Encoded(means, np.full_like(means, -2), factors)
    found = score.compute(encoded, np.random.default_rng(0), FAST)
    assert list(found) == list(score.numbers)
    assert score.name == name
    assert score.needs_factors == (name not in LABEL_FREE)
    if not score.needs_factors:
        without = Encoded(means, np.full_like(means, -2), factors[:, :0])
        assert score.compute(without, np.random.default_rng(0), FAST) == found


def test_scores_need_no_torch():
    code = "import sys, betagvae.evaluation.scores.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
