"""The objective: a reconstruction error, and terms that each have a weight among the settings.

Eq. 2, 4 and 7 of the paper, FactorVAE and β-TCVAE differ in the terms alone (`TERMS`). All are pure
functions that give one number an image: sums over pixels and latents, in nats or, for the squared
error, summed squared pixel differences with pixels in [0, 1]. The mean over images is taken once,
at the end. The paper maximises eq. 7; `loss` is its negative, to be minimised.

Shape suffixes: B images of a batch, L latents, C×H×W an image. Latents and images are the last
axes; where several trainings advance together, theirs comes before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from betagvae.settings.training import TrainingSettings


def sample_posterior(mean_bl: Tensor, log_variance_bl: Tensor, noise_bl: Tensor) -> Tensor:
    """Return z ~ q(z|x), B×L, by the reparametrisation of Kingma & Welling 2014 (eq. 10)."""
    return mean_bl + torch.exp(0.5 * log_variance_bl) * noise_bl


class _BernoulliError(torch.autograd.Function):
    """ln(1 + e^l) − x·l, l the logit, which is max(l, 0) − x·l − ln σ(|l|).

    PyTorch's own keeps the relative error of every pixel; here it is absolute, about 1e-7, as their
    sum sees it. σ(|l|) is at least ½, so that one logarithm of a product does for a column.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits_bchw: Tensor, x_bchw: Tensor) -> Tensor:
        ctx.save_for_backward(logits_bchw, x_bchw)
        likelier_bhwc = logits_bchw.abs().sigmoid_().permute(0, 2, 3, 1)
        # Rows lie in one piece in memory where channels are interleaved.
        log_likelier_b = likelier_bhwc.flatten(2).prod(1).log_().sum(1)
        error_bchw = logits_bchw.clamp_min(0).addcmul_(x_bchw, logits_bchw, value=-1)
        return error_bchw.sum((1, 2, 3)).sub_(log_likelier_b)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient_b: Tensor) -> tuple[Tensor, None]:
        logits_bchw, x_bchw = ctx.saved_tensors
        mean_bchw = torch.sigmoid(logits_bchw)
        return mean_bchw.sub_(x_bchw).mul_(gradient_b[:, None, None, None]), None


def bernoulli_error(logits_bchw: Tensor, x_bchw: Tensor) -> Tensor:
    """Return −ln p(x|z) for Bernoulli pixels, summed over pixels, in nats; shape B.

    Of images with at most 126 rows: the product over a column would leave float32's range.
    """
    return _BernoulliError.apply(logits_bchw, x_bchw)


def squared_error(logits_bchw: Tensor, x_bchw: Tensor) -> Tensor:
    """Return Σ (sigmoid(logit) − x)² over pixels; shape B.

    This is −ln p(x|z) of a Gaussian with variance ½, less its constant.
    """
    squares_bchw = F.mse_loss(torch.sigmoid(logits_bchw), x_bchw, reduction="none")
    return squares_bchw.sum((1, 2, 3))


LIKELIHOODS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bernoulli": bernoulli_error,
    "squared_error": squared_error,
}


def kl_divergence_per_latent(mean_bl: Tensor, log_variance_bl: Tensor) -> Tensor:
    """Return KL(q(z_l|x) ‖ N(0, 1)) in nats, B×L (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean_bl.square() + log_variance_bl.exp() - 1 - log_variance_bl)


@dataclass(frozen=True)
class Encoded:
    """A batch as the encoder sees it: all that a term may look at."""

    mean_bl: Tensor
    log_variance_bl: Tensor
    z_bl: Tensor
    """A sample of each posterior."""
    logits_b: Tensor | None
    """The discriminator's of `z_bl`, positive for "a reference code"; None where there is none."""
    images: int
    """N, of the whole training split."""

    @cached_property
    def kl_bl(self) -> Tensor:
        """KL divergence of each image and latent, in nats."""
        return kl_divergence_per_latent(self.mean_bl, self.log_variance_bl)


def kl_divergence(encoded: Encoded) -> Tensor:
    """Return KL(q(z|x) ‖ N(0, 1)), B: of eq. 2, and weighted by β of eq. 4 and 7."""
    return encoded.kl_bl.sum(-1)


def probability(encoded: Encoded) -> Tensor:
    """Return D(q(z|x)), B, as eq. 7 prints it: a probability, so that it lies in [0, 1]."""
    return torch.sigmoid(encoded.logits_b)


def log_probability(encoded: Encoded) -> Tensor:
    """Return ln D, B: the non-saturating generator loss of Goodfellow et al. 2014, section 3."""
    return F.logsigmoid(encoded.logits_b)


def log_density_ratio(encoded: Encoded) -> Tensor:
    """Return ln D/(1 − D), B: for the best discriminator ln p(z)/q(z), in nats."""
    return encoded.logits_b


def density_ratio_total_correlation(encoded: Encoded) -> Tensor:
    """Return ln q(z)/∏ q(z_l) by the density-ratio trick, B, in nats (Kim & Mnih 2018, FactorVAE).

    Theirs is ln D/(1 − D) of a discriminator whose positives are the encoder's codes: here these
    are the negatives, as in eq. 6, hence the sign.
    """
    return -encoded.logits_b


def weighted_sampling_total_correlation(encoded: Encoded) -> Tensor:
    """Return ln q(z)/∏ q(z_l) by minibatch-weighted sampling, B, in nats.

    Of N images and a batch of M: ln q(z_i) ≈ ln Σ_j q(z_i|x_j) − ln NM, and likewise of each latent
    (Chen et al. 2018, β-TCVAE). A mean over j would have ln M for ln NM: what comes out lies
    (L − 1) ln N above what that gives, which moves no gradient.
    """
    z_bjl = encoded.z_bl.unsqueeze(-2)
    mean_bjl, log_variance_bjl = (
        encoded.mean_bl.unsqueeze(-3),
        encoded.log_variance_bl.unsqueeze(-3),
    )
    squares_bjl = (z_bjl - mean_bjl).square() * torch.exp(-log_variance_bjl)
    log_density_bjl = -0.5 * (squares_bjl + log_variance_bjl + math.log(2 * math.pi))
    images, latents = log_density_bjl.shape[-2:]
    joint_b = log_density_bjl.sum(-1).logsumexp(-1)
    product_b = log_density_bjl.logsumexp(-2).sum(-1)
    return joint_b - product_b + (latents - 1) * math.log(encoded.images * images)


@dataclass(frozen=True)
class Term:
    """A term of the objective."""

    column: str
    """Its name in `history.csv`."""
    weight: str
    """The setting that weighs it."""
    values: Callable[[Encoded], Tensor]
    """Of each image, B."""
    source: str
    sign: int = 1
    """In what is minimised."""
    reference: str = ""
    """The codes that its discriminator tells from the encoder's: those of the `prior`, or others
    of the encoder's, `permuted` (`permute_latents`). Empty for a term without discriminator."""
    reward: str = ""
    """The setting's value, for a reading of D(q(z|x)) in eq. 7."""


_REWARD = partial(Term, "reward", "gamma", source="eq. 7", sign=-1, reference="prior")
TERMS = (
    Term("kl", "beta", kl_divergence, "eq. 2, 4 and 7"),
    _REWARD(probability, reward="probability"),
    _REWARD(log_probability, reward="log_probability"),
    _REWARD(log_density_ratio, reward="logit"),
    Term(
        *("tc_density_ratio", "tc_density_ratio", density_ratio_total_correlation),
        source="Kim & Mnih 2018, arXiv 1802.05983",
        reference="permuted",
    ),
    Term(
        *("tc_weighted_sampling", "tc_weighted_sampling", weighted_sampling_total_correlation),
        source="Chen et al. 2018, arXiv 1802.04942",
    ),
)
"""All there are, in the order of their columns; a weight has one, or one for every `reward`."""


def terms_of(settings: TrainingSettings) -> list[Term]:
    """Return the terms of a training: the KL divergence, and those whose weight is not 0."""
    return [
        term
        for term in TERMS
        if term.reward in ("", settings.reward)
        and (term.weight == "beta" or getattr(settings, term.weight))
    ]


def reference_of(terms: Iterable[Term]) -> str:
    """Return the codes that the discriminator of terms tells from the encoder's; empty if none."""
    return next((term.reference for term in terms if term.reference), "")


def columns(settings: TrainingSettings) -> list[str]:
    """Return the names of what a step of a training tells, in the order of `history.csv`."""
    return [
        *("loss", "reconstruction_error"),
        *(term.column for term in terms_of(settings)),
        *(("discriminator_loss", "discriminator_accuracy") if settings.adversarial else ()),
        *(f"kl_{latent}" for latent in range(settings.latents)),
    ]


def signed_weight(term: Term, settings: TrainingSettings) -> float:
    """Return the factor of a term in what is minimised."""
    return term.sign * float(getattr(settings, term.weight))


def loss(reconstruction_b: Tensor, weighted: Iterable[tuple[float | Tensor, Tensor]]) -> Tensor:
    """Return what is minimised, mean over images.

    Parameters
    ----------
    reconstruction_b
        −E_q ln p(x|z) of each image, up to a constant.
    weighted
        Each term's `signed_weight` and its values B. With the KL divergence alone this is eq. 2,
        the VAE, or eq. 4, the β-VAE; with a reward the negative of eq. 7.
    """
    total_b = reconstruction_b
    for weight, values_b in weighted:
        total_b = total_b + weight * values_b
    return total_b.mean(-1)


def discriminator_loss(reference_logits_b: Tensor, posterior_logits_b: Tensor) -> Tensor:
    """Return the negative of eq. 6, mean over images, in nats.

    Reference codes (in eq. 6 those from the prior) are the positives, codes from the encoder the
    negatives. A discriminator that knows nothing scores 2 ln 2.
    """
    return F.softplus(-reference_logits_b).mean(-1) + F.softplus(posterior_logits_b).mean(-1)


def permute_latents(z_bl: Tensor, noise_bl: Tensor) -> Tensor:
    """Return codes whose latents were each permuted over the batch, B×L, as if of ∏ q(z_l).

    permute_dims of Kim & Mnih 2018, whose algorithm 2 encodes the second batch after the
    autoencoder's step, and halves the discriminator's loss; here both players' gradients are of the
    same networks, and Adam does not see a factor. The order of independent noise of any one
    continuous distribution is a permutation, each as likely as any other.
    """
    return z_bl.gather(-2, noise_bl.argsort(-2))
