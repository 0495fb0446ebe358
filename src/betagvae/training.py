"""The training loop: equation 7 for the autoencoder, equation 6 for the discriminator."""

import logging
import math
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from betagvae import objective
from betagvae.arrays import ImageArray, open_array
from betagvae.device import DeviceImages, generator, set_up
from betagvae.errors import UserError
from betagvae.files import sha256, whole_file, write_csv, write_json
from betagvae.networks import Discriminator, VariationalAutoencoder, initialise
from betagvae.provenance import provenance

log = logging.getLogger(__name__)


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
    adam_betas: tuple[float, float] = field(default=(0.9, 0.999))
    discriminator_adam_betas: tuple[float, float] = field(default=(0.5, 0.9))


class Trainer:
    """One model in training: networks, optimisers and random streams.

    The discriminator exists only where γ ≠ 0.
    """

    def __init__(self, array: ImageArray, settings: TrainingSettings, device: torch.device) -> None:
        self.settings = settings
        self.images = DeviceImages(array, device)
        self.train_split = array.splits["train"]
        self.likelihood = objective.LIKELIHOODS[settings.likelihood]
        self.reward = objective.REWARDS[settings.reward]
        self.step_number = 0
        self._build_autoencoder(array.channels, device)
        self.discriminator = self._build_discriminator(device) if settings.gamma else None
        self.noise = {
            name: generator(settings.seed, name, device) for name in ("posterior", "prior")
        }
        self.epoch, self.order = -1, torch.empty(0)

    def _build_autoencoder(self, channels: int, device: torch.device) -> None:
        s = self.settings
        model = VariationalAutoencoder(s.network, channels, s.latents)
        initialise(model, generator(s.seed, "autoencoder"))
        self.model = model.to(device, memory_format=torch.channels_last)
        self.optimiser = torch.optim.Adam(
            self.model.parameters(), s.learning_rate, s.adam_betas, fused=True
        )

    def _build_discriminator(self, device: torch.device) -> Discriminator:
        s = self.settings
        discriminator = Discriminator(s.latents, s.discriminator_layers, s.discriminator_units)
        initialise(discriminator, generator(s.seed, "discriminator"))
        discriminator.to(device)
        self.discriminator_optimiser = torch.optim.Adam(
            discriminator.parameters(),
            s.discriminator_learning_rate,
            s.discriminator_adam_betas,
            fused=True,
        )
        return discriminator

    def next_indices(self) -> Tensor:
        """Return the indices of the next batch; each epoch is a new permutation.

        The last images of a permutation that do not fill a batch are left out.
        """
        size = self.settings.batch_size
        epoch, batch = divmod(self.step_number, len(self.train_split) // size)
        if epoch != self.epoch:
            order = generator(self.settings.seed, f"order {epoch}")
            permutation = torch.randperm(len(self.train_split), generator=order)
            self.order = (permutation + self.train_split.start).to(self.images.device)
            self.epoch = epoch
        return self.order[batch * size : (batch + 1) * size]

    def step(self) -> dict[str, Tensor]:
        """Take one step of both optimisers; return every term, mean over the batch."""
        x_bchw = self.images.batch(self.next_indices())
        mean_bl, log_variance_bl = self.model.encoder(x_bchw)
        noise_bl = self._normal(mean_bl, "posterior")
        z_bl = objective.sample_posterior(mean_bl, log_variance_bl, noise_bl)
        reconstruction_b = self.likelihood(self.model.decoder(z_bl), x_bchw)
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
        self.step_number += 1
        return {
            "loss": loss.detach(),
            "reconstruction_error": reconstruction_b.detach().mean(),
            "kl": kl_bl.detach().sum(1).mean(),
            **terms,
            **{f"kl_{i}": kl for i, kl in enumerate(kl_bl.detach().mean(0))},
        }

    def _judge(self, z_bl: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Show the discriminator codes of the encoder and of the prior."""
        prior_bl = self._normal(z_bl, "prior")
        posterior_logits_b, prior_logits_b = self.discriminator(torch.cat([z_bl, prior_bl])).chunk(
            2
        )
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
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name, stream in self.noise.items():
            stream.set_state(state["noise"][name])
        if self.discriminator is not None:
            self.discriminator.load_state_dict(state["discriminator"])
            self.discriminator_optimiser.load_state_dict(state["discriminator_optimiser"])


class Resume:
    """A scratch file from which a cut run goes on.

    It is kept beside the results but is none of them, so nobody deletes it with a failed job.
    """

    def __init__(self, path: Path, identity: dict[str, Any], every_seconds: float) -> None:
        self.path = path
        self.identity = identity
        self.every_seconds = every_seconds
        self._saved = time.monotonic()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the saved state; None without one, or when it belongs to another run."""
        if not self.path.exists():
            return None
        try:
            saved = torch.load(self.path, map_location=device, weights_only=True)
        except Exception as error:
            log.warning("%s cannot be read (%s): starting over", self.path, error)
            return None
        if saved["identity"] != self.identity:
            log.warning("%s is of another configuration: starting over", self.path)
            return None
        return saved

    def save_if_due(self, state: dict[str, Any]) -> None:
        """Save, unless that was done only a moment ago."""
        if time.monotonic() - self._saved < self.every_seconds:
            return
        with whole_file(self.path) as part:
            torch.save({"identity": self.identity, **state}, part)
        self._saved = time.monotonic()

    def remove(self) -> None:
        """Remove the file, once the results are written."""
        self.path.unlink(missing_ok=True)


def train(
    data: Path,
    settings: TrainingSettings,
    *,
    model: Path,
    history: Path,
    record: Path,
    resume_seconds: float = 60,
) -> None:
    """Train one model and write its weights, its history and a record of how it came about.

    Parameters
    ----------
    data
        The image array; its train split is used.
    settings
        Everything that the weights depend on besides the data.
    model, history, record
        Where to write the weights (safetensors), every term over time (CSV) and the record (JSON).
    resume_seconds
        How often to save the state from which a cut run goes on. It does not change any result.

    Raises
    ------
    UserError
        When the data or settings do not fit, or the loss is no longer a number.
    """
    device = set_up(settings.threads)
    array = open_array(data)
    check(array, settings)
    trainer = Trainer(array, settings, device)
    identity = {
        "settings": repr(settings),
        "data": array.metadata["hashes"]["array"]["sha256"],
        "torch": str(torch.__version__),
        "device": device.type,
    }
    resume = Resume(model.with_name(f"{model.stem}.resume.pt"), identity, resume_seconds)
    started = time.monotonic()
    rows, steps_here = run(trainer, resume)
    seconds = time.monotonic() - started
    write_csv(history, rows)
    with whole_file(model) as part:
        save_file({k: v.contiguous() for k, v in trainer.model.state_dict().items()}, part)
    write_json(
        record,
        {
            "settings": asdict(settings),
            "data": dict(array.metadata),
            "weights": {"sha256": sha256(model)},
            "seconds": round(seconds, 3),
            "steps_per_second": round(steps_here / seconds, 2),
            "provenance": provenance(device),
        },
    )
    resume.remove()


def check(array: ImageArray, settings: TrainingSettings) -> None:
    """Raise `UserError` where data and settings do not fit, before any time is spent."""
    if "train" not in array.splits or len(array.splits["train"]) < settings.batch_size:
        raise UserError(
            f"{array.dataset} has fewer training images than one batch of {settings.batch_size}: "
            "make the array with more images or lower training.batch_size"
        )
    if settings.steps % settings.log_every:
        raise UserError(
            f"training.steps ({settings.steps}) must be a multiple of training.log_every "
            f"({settings.log_every})"
        )


def run(trainer: Trainer, resume: Resume) -> tuple[list[dict[str, float]], int]:
    """Run to the last step; return the history's rows and the number of steps taken here.

    A row holds the mean of every term over the steps since the row before. Terms stay on the
    device until their row is due, so that no step waits for the one before.
    """
    s = trainer.settings
    rows: list[dict[str, float]] = []
    if saved := resume.load(trainer.images.device):
        trainer.restore(saved["trainer"])
        rows = saved["rows"]
        log.info("going on from step %d", trainer.step_number)
    first = trainer.step_number
    progress = Progress(first, s.steps)
    while trainer.step_number < s.steps:
        sums: dict[str, Tensor] = {}
        for _ in range(s.log_every):
            for name, value in trainer.step().items():
                sums[name] = sums[name] + value if name in sums else value
        means = (torch.stack(list(sums.values())).double() / s.log_every).tolist()
        rows.append({"step": trainer.step_number, **dict(zip(sums, means, strict=True))})
        if not math.isfinite(rows[-1]["loss"]):
            raise UserError(
                f"the loss is {rows[-1]['loss']} at step {trainer.step_number}: "
                "lower training.learning_rate"
            )
        progress.show(trainer.step_number, rows[-1])
        resume.save_if_due({"trainer": trainer.state(), "rows": rows})
    return rows, trainer.step_number - first


class Progress:
    """A bar for a person at a terminal, a line every half minute for a log."""

    def __init__(self, first: int, steps: int) -> None:
        self.first, self.steps = first, steps
        self.started = self.logged = time.monotonic()
        self.bar = tqdm(total=steps, initial=first, unit="step", disable=not sys.stderr.isatty())

    def show(self, step: int, row: dict[str, float]) -> None:
        """Tell the speed, the time left and where the two terms of eq. 7 stand."""
        self.bar.update(step - self.bar.n)
        now = time.monotonic()
        if self.bar.disable and (now - self.logged > 30 or step == self.steps):
            speed = (step - self.first) / (now - self.started)
            log.info(
                "step %d of %d, %.1f steps/s, %.0f s left, reconstruction error %.3f, KL %.3f",
                *(step, self.steps, speed, (self.steps - step) / speed),
                *(row["reconstruction_error"], row["kl"]),
            )
            self.logged = now
