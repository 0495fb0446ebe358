"""Models in training: equation 7 for the autoencoder, equation 6 for the discriminator.

Shape suffixes: S trainings, B images of each, N images of all, L latents, T terms.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from betagvae.model import objective
from betagvae.model.device import DeviceImages, computing_in, generator
from betagvae.model.networks import Discriminator, VariationalAutoencoder, initialise
from betagvae.settings.training import TrainingSettings


class Trainer:
    """S trainings that advance together: networks, optimisers and random streams.

    They differ in β, γ and seed, and all or none have γ ≠ 0: only there is a discriminator.

    On a CPU S is 1. On a GPU the networks of all are stacked (`betagvae.model.stacked`), and the
    whole step is recorded once as a CUDA graph and replayed from then on, on a stream of its own,
    so that nothing waits for the host. Whatever changes between steps hence lives in tensors that
    stay where they are.
    """

    def __init__(
        self,
        images: DeviceImages,
        settings: Sequence[TrainingSettings],
        *,
        stacked: bool | None = None,
    ) -> None:
        self.settings = list(settings)
        self.shared = s = settings[0]
        self.images = images
        self.train_split = images.splits["train"]
        device = images.device
        self.stacked = _are_stacked(images, stacked)
        self.step_number = 0
        self.model = self._networks(
            "autoencoder", lambda: VariationalAutoencoder(s.network, images.channels, s.latents)
        )
        self.optimiser = self._adam(self.model, s.learning_rate, s.adam_betas)
        self.discriminator = None
        if s.gamma:
            layers, units = s.discriminator_layers, s.discriminator_units
            self.discriminator = self._networks(
                "discriminator", lambda: Discriminator(s.latents, layers, units)
            )
            self.discriminator_optimiser = self._adam(
                self.discriminator, s.discriminator_learning_rate, s.discriminator_adam_betas
            )
        self.likelihood = self.model.likelihood(s.likelihood)
        self.reward = objective.REWARDS[s.reward]
        self.beta_s1, self.gamma_s1 = (
            torch.tensor([[float(getattr(each, name))] for each in settings], device=device)
            for name in ("beta", "gamma")
        )
        self.batches = len(self.train_split) // s.batch_size
        shape = (len(self.settings), self.batches, s.batch_size)
        self.order = torch.empty(shape, dtype=torch.long, device=device)
        self.noise = {
            stream: torch.empty((*shape, s.latents), device=device)
            for stream in (("posterior", "prior") if s.gamma else ("posterior",))
        }
        self.batch = torch.zeros(1, dtype=torch.long, device=device)
        self._epoch = -1
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._terms: dict[str, Tensor] = {}
        terms = s.latents + (6 if s.gamma else 3)
        self._sums_ts, self._summed = torch.zeros((terms, len(self.settings)), device=device), 0

    def _networks(self, purpose: str, build: Callable[[], nn.Module]) -> nn.Module:
        """Return the initialised networks of all trainings as one module on the device."""
        modules = [build() for _ in self.settings]
        for module, settings in zip(modules, self.settings, strict=True):
            initialise(module, generator(settings.seed, purpose))
        if self.stacked:
            # Imported here, since Triton exists for Linux alone.
            from betagvae.model.stacked import stack

            return stack(modules, self.images.device, self.shared.precision)
        (module,) = modules
        return module.to(memory_format=torch.channels_last)

    def _adam(
        self, module: nn.Module, learning_rate: float, betas: tuple[float, float]
    ) -> torch.optim.Adam:
        graphs = self.images.device.type == "cuda"
        adam = torch.optim.Adam(
            module.parameters(), learning_rate, betas, fused=True, capturable=graphs
        )
        # Made in the first step, the zeros would be part of the graph, and of every replay.
        for parameter in module.parameters():
            adam.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return adam

    def step(self) -> dict[str, Tensor]:
        """Take one step of both optimisers; return every term, S means over the batch.

        On a GPU the step is only queued, and the next step overwrites the returned tensors.
        """
        with self.on_stream():
            self._draw_if_an_epoch_begins()
            if self._stream is None:
                self._terms = self._step()
            else:
                if self._graph is None:
                    self._record_graph()
                self._graph.replay()
        self.step_number += 1
        self._summed += 1
        return self._terms

    def means(self) -> list[dict[str, float]]:
        """Return each training's terms, means over the steps since the last call; this waits."""
        with self.on_stream():
            means_st = (self._sums_ts.double() / self._summed).t().tolist()
            self._sums_ts.zero_()
        self._summed = 0
        return [dict(zip(self._terms, means_t, strict=True)) for means_t in means_st]

    def on_stream(self) -> contextlib.AbstractContextManager:
        """Return the context in which this trainer's tensors are to be used."""
        return torch.cuda.stream(self._stream) if self._stream else contextlib.nullcontext()

    def _draw_if_an_epoch_begins(self) -> None:
        """Draw the order of the training images, a batch a row, and all noise of an epoch.

        The last images of a permutation that do not fill a batch are left out.
        """
        epoch, batch = divmod(self.step_number, self.batches)
        if epoch == self._epoch:
            return
        for i, settings in enumerate(self.settings):
            order = generator(settings.seed, f"order {epoch}")
            permutation = torch.randperm(len(self.train_split), generator=order)
            used = permutation[: self.order[i].numel()].view_as(self.order[i])
            used += self.train_split.start
            self.order[i].copy_(used.pin_memory() if self._stream else used, non_blocking=True)
            for name, noise in self.noise.items():
                device = self.images.device
                noise[i].normal_(generator=generator(settings.seed, f"{name} {epoch}", device))
        self.batch.fill_(batch)
        self._epoch = epoch

    def _step(self) -> dict[str, Tensor]:
        shape = (len(self.settings), self.shared.batch_size)
        batch = self.images.stacked_batch if self.stacked else self.images.batch
        x_nchw = batch(self._of_batch(self.order).flatten())
        noise_sbl = {name: self._of_batch(noise) for name, noise in self.noise.items()}
        self.batch += 1
        with computing_in(self.shared.precision, self.images.device):
            mean_sbl, log_variance_sbl = (
                moment_nl.unflatten(0, shape) for moment_nl in self.model.encoder(x_nchw)
            )
            z_sbl = objective.sample_posterior(mean_sbl, log_variance_sbl, noise_sbl["posterior"])
            logits_nchw = self.model.decoder(z_sbl.flatten(0, 1))
        reconstruction_sb = self.likelihood(logits_nchw, x_nchw).unflatten(0, shape)
        kl_sbl = objective.kl_divergence_per_latent(mean_sbl, log_variance_sbl)

        reward_sb, terms = None, {}
        if self.discriminator is not None:
            # Before the autoencoder's step, so that both gradients see the same networks. A stack's
            # are known by then, and its discriminator may change at once.
            reward_sb, discriminator_loss_s, terms = self._judge(z_sbl, noise_sbl["prior"])
            if self.stacked:
                self.discriminator.descend(discriminator_loss_s.sum(), self.discriminator_optimiser)
            else:
                _set_gradients(
                    self.discriminator, self.discriminator.gradients(discriminator_loss_s.sum())
                )
        loss_s = objective.loss(reconstruction_sb, kl_sbl, reward_sb, self.beta_s1, self.gamma_s1)
        # Of the model alone: no loss reaches the other player's weights.
        weights = list(self.model.parameters())
        _set_gradients(self.model, torch.autograd.grad(loss_s.sum(), weights))
        self.optimiser.step()
        if self.discriminator is not None and not self.stacked:
            self.discriminator_optimiser.step()
        terms = {
            "loss": loss_s.detach(),
            "reconstruction_error": reconstruction_sb.detach().mean(1),
            "kl": kl_sbl.detach().sum(2).mean(1),
            **terms,
            **{f"kl_{i}": kl_s for i, kl_s in enumerate(kl_sbl.detach().mean(1).t())},
        }
        self._sums_ts += torch.stack(list(terms.values()))
        return terms

    def _of_batch(self, epoch: Tensor) -> Tensor:
        """Return what an epoch's tensor holds for the batch that is next; the graph reads it."""
        return epoch.index_select(1, self.batch).squeeze(1)

    def _judge(self, z_sbl: Tensor, prior_sbl: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Show the discriminator codes of the encoder and of the prior."""
        with computing_in(self.shared.precision, self.images.device):
            logits_sb = self.discriminator(torch.cat([z_sbl, prior_sbl], dim=1))
        posterior_sb, prior_sb = logits_sb.chunk(2, dim=1)
        reward_sb = self.reward(posterior_sb)
        loss_s = objective.discriminator_loss(prior_sb, posterior_sb)
        right_s = (prior_sb > 0).float().mean(1) + (posterior_sb < 0).float().mean(1)
        terms = {
            "reward": reward_sb.detach().mean(1),
            "discriminator_loss": loss_s.detach(),
            "discriminator_accuracy": right_s / 2,
        }
        return reward_sb, loss_s, terms

    def _record_graph(self) -> None:
        """Record the step as a CUDA graph; the state is afterwards what it was before."""
        # What was built or restored was queued on the default stream.
        self._stream.wait_stream(torch.cuda.default_stream(self.images.device))
        states = [self.state(training) for training in range(len(self.settings))]
        batch = self.batch.clone()
        for _ in range(3):  # Kernels are compiled, and libraries allocate, on their first calls.
            self.batch.zero_()
            self._step()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            self._terms = self._step()
        for training, state in enumerate(states):
            self.restore(training, state)
        self.batch.copy_(batch)
        self._epoch = self.step_number // self.batches
        self._graph = graph

    def state(self, training: int) -> dict[str, Any]:
        """Return a copy of everything that a training's next step depends on."""
        tensors = [tensor.clone() for tensor in self._tensors(training)]
        return {"step_number": self.step_number, "tensors": tensors}

    def restore(self, training: int, state: dict[str, Any]) -> None:
        """Let a training continue from what `state` returned; all must have taken as many steps."""
        self.step_number = state["step_number"]
        self._epoch, self._summed = -1, 0
        self._sums_ts.zero_()
        with torch.no_grad():
            for tensor, saved in zip(self._tensors(training), state["tensors"], strict=True):
                tensor.copy_(saved)
            for optimiser in self._optimisers():
                for of_parameter in optimiser.state.values():
                    of_parameter["step"].fill_(self.step_number)

    def _optimisers(self) -> list[torch.optim.Adam]:
        return [self.optimiser, *([self.discriminator_optimiser] if self.discriminator else [])]

    def _tensors(self, training: int) -> Iterator[Tensor]:
        """Yield a training's weights and moments; they are where the next step finds them."""
        for optimiser in self._optimisers():
            for parameter, state in optimiser.state.items():
                for tensor in (parameter.detach(), state["exp_avg"], state["exp_avg_sq"]):
                    yield tensor[training] if self.stacked else tensor

    def trained(self, training: int) -> VariationalAutoencoder:
        """Return the model of one training."""
        return self.model.unstacked(training) if self.stacked else self.model


def _set_gradients(module: nn.Module, gradients: Sequence[Tensor]) -> None:
    for parameter, gradient in zip(module.parameters(), gradients, strict=True):
        parameter.grad = gradient


def take_steps(trainers: Sequence[Trainer], steps: int) -> None:
    """Take steps with every trainer, in turns: on a GPU each has work queued all the time."""
    for _ in range(steps):
        for trainer in trainers:
            trainer.step()


def _are_stacked(images: DeviceImages, chosen: bool | None) -> bool:
    """Return what was chosen; where nothing was, trainings are stacked on a GPU alone."""
    return images.device.type == "cuda" if chosen is None else chosen


def trainers_of(
    images: DeviceImages,
    settings: Sequence[TrainingSettings],
    first_steps: Sequence[int],
    *,
    stacked: bool | None = None,
) -> list[tuple[Trainer, int]]:
    """Return each training's trainer and its number there; on a GPU, what can be is stacked.

    `first_steps` are the steps that each has taken already; `stacked` as in `Trainer`.
    """
    if not _are_stacked(images, stacked):
        return [(Trainer(images, [of_training], stacked=False), 0) for of_training in settings]
    stacks: dict[tuple[str, int], list[int]] = {}
    for i, (of_training, step) in enumerate(zip(settings, first_steps, strict=True)):
        alike = repr(replace(of_training, beta=0, gamma=bool(of_training.gamma), seed=0))
        stacks.setdefault((alike, step), []).append(i)
    found = {}
    for members in stacks.values():
        trainer = Trainer(images, [settings[i] for i in members], stacked=stacked)
        found.update({i: (trainer, number) for number, i in enumerate(members)})
    return [found[i] for i in range(len(settings))]
