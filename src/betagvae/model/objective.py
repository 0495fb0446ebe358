"""Equation 7 of the paper and its parts, as pure functions.

Every term is one number an image (shape B): sums over pixels and latents, in nats or, for the
squared error, summed squared pixel differences with pixels in [0, 1]. The mean over images is
taken once, at the end. The paper maximises eq. 7; `loss` is its negative, to be minimised.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


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


REWARDS: dict[str, Callable[[Tensor], Tensor]] = {
    # Eq. 7 as printed: D is a probability, so the reward lies in [0, 1].
    "probability": torch.sigmoid,
    # The non-saturating generator loss of Goodfellow et al. 2014, section 3.
    "log_probability": F.logsigmoid,
    # The log density ratio ln p(z)/q(z), as FactorVAE (Kim & Mnih 2018) uses it.
    "logit": lambda logits_b: logits_b,
}
"""Readings of D(q(z|x)) in eq. 7: discriminator logits B to the encoder's reward B."""


def loss(
    reconstruction_b: Tensor,
    kl_bl: Tensor,
    reward_b: Tensor | None,
    beta: float | Tensor,
    gamma: float | Tensor,
) -> Tensor:
    """Return the negative of eq. 7, mean over images: the last axis, of latents the one before.

    Parameters
    ----------
    reconstruction_b
        −E_q ln p(x|z) of each image, up to a constant.
    kl_bl
        KL divergence of each image and latent, in nats.
    reward_b
        D(q(z|x)) in one of `REWARDS`; None where γ = 0, since then no discriminator exists.
    beta, gamma
        Weights of eq. 7: (1, 0) is eq. 2, the VAE; (β, 0) is eq. 4, the β-VAE.
    """
    negative_b = reconstruction_b + beta * kl_bl.sum(-1)
    if reward_b is not None:
        negative_b = negative_b - gamma * reward_b
    return negative_b.mean(-1)


def discriminator_loss(prior_logits_b: Tensor, posterior_logits_b: Tensor) -> Tensor:
    """Return the negative of eq. 6, mean over images, in nats; images are the last axis.

    Codes from the prior are the positives, codes from the encoder the negatives. A
    discriminator that knows nothing scores 2 ln 2.
    """
    return F.softplus(-prior_logits_b).mean(-1) + F.softplus(posterior_logits_b).mean(-1)
