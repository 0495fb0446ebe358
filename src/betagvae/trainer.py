"""One model in training: equation 7 for the autoencoder, equation 6 for the discriminator."""

import contextlib
import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from betagvae import objective
from betagvae.device import DeviceImages, computing_in, generator
from betagvae.networks import Discriminator, VariationalAutoencoder, initialise


@dataclass(frozen=True)
class TrainingSettings:
    """What a training depends on besides its data; field by field in `config/README.md`."""

    beta: float
    gamma: float
    seed: int
    steps: int
    batch_size: int
    learning_rate: float
    network: str
    latents: int
    likelihood: str
    reward: str
    discriminator_layers: int
    discriminator_units: int
    discriminator_learning_rate: float
    log_every: int
    threads: int
    precision: str = "float32"
    adam_betas: tuple[float, float] = field(default=(0.9, 0.999))
    discriminator_adam_betas: tuple[float, float] = field(default=(0.5, 0.9))


class Trainer:
    """One model in training: networks, optimisers and random streams.

    The discriminator exists only where γ ≠ 0. On a GPU the whole step is recorded once as a CUDA
    graph and replayed from then on, on a stream of its own, so that steps of several trainers run
    side by side and none waits for the host. Whatever changes between steps hence lives in
    tensors that stay where they are.
    """

    def __init__(self, images: DeviceImages, settings: TrainingSettings) -> None:
        self.settings = settings
        self.images = images
        self.train_split = images.splits["train"]
        self.likelihood = objective.LIKELIHOODS[settings.likelihood]
        self.reward = objective.REWARDS[settings.reward]
        self.step_number = 0
        device = images.device
        self._build_autoencoder(images.channels, device)
        self.discriminator = self._build_discriminator(device) if settings.gamma else None
        self.noise = {
            name: generator(settings.seed, name, device) for name in ("posterior", "prior")
        }
        self.batches = len(self.train_split) // settings.batch_size
        self.order = torch.empty(
            (self.batches, settings.batch_size), dtype=torch.long, device=device
        )
        self.batch = torch.zeros(1, dtype=torch.long, device=device)
        self._epoch = -1
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._terms: dict[str, Tensor] = {}
        terms = settings.latents + (6 if settings.gamma else 3)
        self._sums, self._summed = torch.zeros(terms, device=device), 0

    def _adam(
        self, module: torch.nn.Module, learning_rate: float, betas: tuple[float, float]
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

    def _build_autoencoder(self, channels: int, device: torch.device) -> None:
        s = self.settings
        model = VariationalAutoencoder(s.network, channels, s.latents)
        initialise(model, generator(s.seed, "autoencoder"))
        self.model = model.to(device, memory_format=torch.channels_last)
        self.optimiser = self._adam(self.model, s.learning_rate, s.adam_betas)

    def _build_discriminator(self, device: torch.device) -> Discriminator:
        s = self.settings
        discriminator = Discriminator(s.latents, s.discriminator_layers, s.discriminator_units)
        initialise(discriminator, generator(s.seed, "discriminator"))
        discriminator.to(device)
        self.discriminator_optimiser = self._adam(
            discriminator, s.discriminator_learning_rate, s.discriminator_adam_betas
        )
        return discriminator

    def step(self) -> dict[str, Tensor]:
        """Take one step of both optimisers; return every term, mean over the batch.

        On a GPU the step is only queued, and the next step overwrites the returned tensors.
        """
        with self.on_stream():
            self._shuffle_if_an_epoch_begins()
            if self._stream is None:
                self._terms = self._step()
            else:
                if self._graph is None:
                    self._record_graph()
                self._graph.replay()
        self.step_number += 1
        self._summed += 1
        return self._terms

    def means(self) -> dict[str, float]:
        """Return each term's mean over the steps since the last call, for which it waits."""
        with self.on_stream():
            means = (self._sums.double() / self._summed).tolist()
            self._sums.zero_()
        self._summed = 0
        return dict(zip(self._terms, means, strict=True))

    def on_stream(self) -> contextlib.AbstractContextManager:
        """Return the context in which this trainer's tensors are to be used."""
        return torch.cuda.stream(self._stream) if self._stream else contextlib.nullcontext()

    def _shuffle_if_an_epoch_begins(self) -> None:
        """Put a new permutation of the training images into `order`, a batch a row.

        The last images of a permutation that do not fill a batch are left out.
        """
        epoch, batch = divmod(self.step_number, self.batches)
        if epoch == self._epoch:
            return
        order = generator(self.settings.seed, f"order {epoch}")
        permutation = torch.randperm(len(self.train_split), generator=order)
        rows = permutation[: self.order.numel()].view_as(self.order) + self.train_split.start
        self.order.copy_(rows.pin_memory() if self._stream else rows, non_blocking=True)
        self.batch.fill_(batch)
        self._epoch = epoch

    def _step(self) -> dict[str, Tensor]:
        x_bchw = self.images.batch(self.order.index_select(0, self.batch).squeeze(0))
        self.batch += 1
        with computing_in(self.settings.precision, self.images.device):
            mean_bl, log_variance_bl = self.model.encoder(x_bchw)
            noise_bl = self._normal(mean_bl, "posterior")
            z_bl = objective.sample_posterior(mean_bl, log_variance_bl, noise_bl)
            logits_bchw = self.model.decoder(z_bl)
        reconstruction_b = self.likelihood(logits_bchw, x_bchw)
        kl_bl = objective.kl_divergence_per_latent(mean_bl, log_variance_bl)

        reward_b, terms = None, {}
        if self.discriminator is not None:
            # Before the autoencoder's step, so that both gradients see the same networks.
            reward_b, discriminator_loss, terms = self._judge(z_bl)
            self._gradients(discriminator_loss, self.discriminator, keep_graph=True)
        loss = objective.loss(
            reconstruction_b, kl_bl, reward_b, self.settings.beta, self.settings.gamma
        )
        self._gradients(loss, self.model)
        self.optimiser.step()
        if self.discriminator is not None:
            self.discriminator_optimiser.step()
        terms = {
            "loss": loss.detach(),
            "reconstruction_error": reconstruction_b.detach().mean(),
            "kl": kl_bl.detach().sum(1).mean(),
            **terms,
            **{f"kl_{i}": kl for i, kl in enumerate(kl_bl.detach().mean(0))},
        }
        self._sums += torch.stack(list(terms.values()))
        return terms

    def _judge(self, z_bl: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Show the discriminator codes of the encoder and of the prior."""
        prior_bl = self._normal(z_bl, "prior")
        with computing_in(self.settings.precision, self.images.device):
            logits_b = self.discriminator(torch.cat([z_bl, prior_bl]))
        posterior_logits_b, prior_logits_b = logits_b.chunk(2)
        reward_b = self.reward(posterior_logits_b)
        loss = objective.discriminator_loss(prior_logits_b, posterior_logits_b)
        right = (prior_logits_b > 0).float().mean() + (posterior_logits_b < 0).float().mean()
        terms = {
            "reward": reward_b.detach().mean(),
            "discriminator_loss": loss.detach(),
            "discriminator_accuracy": right / 2,
        }
        return reward_b, loss, terms

    def _normal(self, like: Tensor, stream: str) -> Tensor:
        return torch.randn(like.shape, generator=self.noise[stream], device=like.device)

    @staticmethod
    def _gradients(loss: Tensor, module: torch.nn.Module, *, keep_graph: bool = False) -> None:
        """Set the gradients of `module` alone: no loss reaches the other player's weights."""
        parameters = list(module.parameters())
        gradients = torch.autograd.grad(loss, parameters, retain_graph=keep_graph)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient

    def _record_graph(self) -> None:
        """Record the step as a CUDA graph; the state is afterwards what it was before."""
        # What was built or restored was queued on the default stream.
        self._stream.wait_stream(torch.cuda.default_stream(self.images.device))
        state = copy.deepcopy(self.state())
        for _ in range(3):  # Libraries allocate and choose on their first calls.
            self.batch.zero_()
            self._step()
        self.restore(state)
        self._shuffle_if_an_epoch_begins()
        graph = torch.cuda.CUDAGraph()
        for stream in self.noise.values():
            graph.register_generator_state(stream)
        with torch.cuda.graph(graph, stream=self._stream):
            self._terms = self._step()
        self._graph = graph

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on."""
        state = {
            "step_number": self.step_number,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "noise": {name: stream.get_state() for name, stream in self.noise.items()},
        }
        if self.discriminator is not None:
            state["discriminator"] = self.discriminator.state_dict()
            state["discriminator_optimiser"] = self.discriminator_optimiser.state_dict()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.step_number = state["step_number"]
        self._epoch, self._graph, self._summed = -1, None, 0
        self._sums.zero_()
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name, stream in self.noise.items():
            stream.set_state(state["noise"][name])
        if self.discriminator is not None:
            self.discriminator.load_state_dict(state["discriminator"])
            self.discriminator_optimiser.load_state_dict(state["discriminator_optimiser"])


def take_steps(trainers: Sequence[Trainer], steps: int) -> None:
    """Take steps with every trainer, in turns: on a GPU each has work queued all the time."""
    for _ in range(steps):
        for trainer in trainers:
            trainer.step()
