"""A step of training: eq. 7 for the autoencoder, eq. 6 for the discriminator.

Shape suffixes: S trainings that advance together, B images of each, N images of all, L latents.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from betagvae.model import objective
from betagvae.model.device import computing_in
from betagvae.model.networks import set_gradients
from betagvae.settings.training import TrainingSettings
from betagvae.training.batches import Batch


class Trainer:
    """The networks of S trainings with their optimisers, and the terms that they descend.

    The trainings differ in seed and in weights of the objective, and have the same terms.
    """

    def __init__(
        self,
        settings: Sequence[TrainingSettings],
        images: int,
        autoencoder: tuple[nn.Module, torch.optim.Adam],
        discriminator: tuple[nn.Module, torch.optim.Adam] | None,
    ) -> None:
        """Train on a number of images; there is a discriminator where a term needs one."""
        self.model, self.optimiser = autoencoder
        self.discriminator, self.discriminator_optimiser = discriminator or (None, None)
        self.images = images
        self.shared = settings[0]
        self.columns = objective.columns(self.shared)
        self.terms = objective.terms_of(self.shared)
        self.reference = objective.reference_of(self.terms)
        self.likelihood = self.model.likelihood(self.shared.likelihood)
        device = next(self.model.parameters()).device
        self._precision = partial(computing_in, self.shared.precision, device)
        self.weights_s1 = [
            torch.tensor([[objective.signed_weight(term, s)] for s in settings], device=device)
            for term in self.terms
        ]

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Take a step of both optimisers; return S means over the batch, by column."""
        x_nchw = batch.images[0]
        with self._precision():
            moments_sbl, z_sbl = self._encode(x_nchw, batch.noise["posterior"])
            logits_nchw = self.model.decoder(z_sbl.flatten(0, 1))
        reconstruction_sb = self.likelihood(logits_nchw, x_nchw).unflatten(0, z_sbl.shape[:2])
        with self._precision():
            posterior_sb, reference_sb = self._judge(z_sbl, batch)
        encoded = objective.Encoded(*moments_sbl, z_sbl, posterior_sb, self.images)
        values_sb = [term.values(encoded) for term in self.terms]
        loss_s = objective.loss(reconstruction_sb, zip(self.weights_s1, values_sb, strict=True))

        # Both gradients see the same networks, and no loss reaches the other player's weights.
        judged = (
            [] if self.discriminator is None else self._differentiate(posterior_sb, reference_sb)
        )
        weights = list(self.model.parameters())
        set_gradients(weights, torch.autograd.grad(loss_s.sum(), weights))
        self.optimiser.step()
        if self.discriminator is not None:
            self.discriminator.descend(self.discriminator_optimiser)
        with torch.no_grad():
            means = [each_sb.mean(1) for each_sb in (reconstruction_sb, *values_sb)]
            means = [loss_s.detach(), *means, *judged, *encoded.kl_bl.mean(1).t()]
        return dict(zip(self.columns, means, strict=True))

    def _differentiate(self, posterior_sb: Tensor, reference_sb: Tensor) -> list[Tensor]:
        """Differentiate the discriminator's loss; return it, and the share of codes told right."""
        loss_s = objective.discriminator_loss(reference_sb, posterior_sb)
        self.discriminator.differentiate(loss_s.sum())
        right_s = (reference_sb > 0).float().mean(1) + (posterior_sb < 0).float().mean(1)
        return [loss_s.detach(), right_s / 2]

    def _encode(self, x_nchw: Tensor, noise_sbl: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return mean and log variance of q(z|x), and a sample of it."""
        moments = [m_nl.unflatten(0, noise_sbl.shape[:2]) for m_nl in self.model.encoder(x_nchw)]
        return moments, objective.sample_posterior(*moments, noise_sbl)

    def _judge(self, z_sbl: Tensor, batch: Batch) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """Return the discriminator's logits, S×B, of the encoder's codes and of reference codes."""
        if self.discriminator is None:
            return None, None
        reference_sbl = self._reference_codes(batch)
        return self.discriminator(torch.cat([z_sbl, reference_sbl], dim=1)).chunk(2, dim=1)

    @torch.no_grad()
    def _reference_codes(self, batch: Batch) -> Tensor:
        """Return codes, S×B×L, that the discriminator is to tell from the encoder's."""
        if self.reference == "prior":
            return batch.noise["prior"]
        _, second_nchw = batch.images
        _, z_sbl = self._encode(second_nchw, batch.noise["second posterior"])
        return objective.permute_latents(z_sbl, batch.noise["permutation"])
