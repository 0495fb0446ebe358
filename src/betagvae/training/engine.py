"""What takes the steps of trainings on a device: one after the other, or of a stack at once.

Shape suffixes: S trainings, C columns of the history.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from betagvae.model import objective
from betagvae.model.device import DeviceImages, generator
from betagvae.model.networks import Discriminator, VariationalAutoencoder, initialise
from betagvae.settings.training import WEIGHTS, TrainingSettings
from betagvae.training.batches import Batches
from betagvae.training.step import Trainer


class Engine:
    """S trainings that advance together; what may differ between them `alike` says.

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
        self.stacked = _are_stacked(images, stacked)
        self.step_number = 0
        autoencoder = self._player(
            *("autoencoder", lambda: VariationalAutoencoder(s.network, images.channels, s.latents)),
            *(s.learning_rate, s.adam_betas),
        )
        discriminator = None
        if s.adversarial:
            layers, units = s.discriminator_layers, s.discriminator_units
            discriminator = self._player(
                *("discriminator", lambda: Discriminator(s.latents, layers, units)),
                *(s.discriminator_learning_rate, s.discriminator_adam_betas),
            )
        train_images = len(images.splits["train"])
        self.trainer = Trainer(self.settings, train_images, autoencoder, discriminator)
        self.batches = Batches(
            *(images, images.stacked_batch if self.stacked else images.batch),
            *([each.seed for each in settings], (s.batch_size, s.latents)),
            objective.reference_of(self.trainer.terms),
        )
        cuda = images.device.type == "cuda"
        self._stream = torch.cuda.Stream(images.device) if cuda else None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._last: dict[str, Tensor] = {}
        shape = (len(self.trainer.columns), len(self.settings))
        self._sums_cs, self._summed = torch.zeros(shape, device=images.device), 0

    def _player(
        self,
        purpose: str,
        build: Callable[[], nn.Module],
        learning_rate: float,
        betas: tuple[float, float],
    ) -> tuple[nn.Module, torch.optim.Adam]:
        """Return the initialised networks of all trainings as one module, and its optimiser."""
        modules = [build() for _ in self.settings]
        for module, settings in zip(modules, self.settings, strict=True):
            initialise(module, generator(settings.seed, purpose))
        device = self.images.device
        if self.stacked:
            # Imported here, since Triton exists for Linux alone.
            from betagvae.model.stacked import stack

            module = stack(modules, device, self.shared.precision)
        else:
            (module,) = modules
            module.to(memory_format=torch.channels_last)
        weights, cuda = list(module.parameters()), device.type == "cuda"
        adam = torch.optim.Adam(weights, learning_rate, betas, fused=True, capturable=cuda)
        # Made in the first step, the zeros would be part of the graph, and of every replay.
        for parameter in weights:
            adam.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return module, adam

    def step(self) -> dict[str, Tensor]:
        """Take one step with all trainings; return S means over the batch, by column.

        On a GPU the step is only queued, and the next step overwrites the returned tensors.
        """
        with self.on_stream():
            if self.step_number % self.batches.count == 0:
                self.batches.seek(self.step_number)
            if self._stream is None:
                self._last = self._step()
            else:
                if self._graph is None:
                    self._record_graph()
                self._graph.replay()
        self.step_number += 1
        self._summed += 1
        return self._last

    def _step(self) -> dict[str, Tensor]:
        means = self.trainer.step(self.batches.next())
        self._sums_cs += torch.stack(list(means.values()))
        return means

    def _record_graph(self) -> None:
        """Record the step as a CUDA graph; the state is afterwards what it was before."""
        # What was built or restored was queued on the default stream.
        self._stream.wait_stream(torch.cuda.default_stream(self.images.device))
        states = [self.state(training) for training in range(len(self.settings))]
        for _ in range(3):  # Kernels are compiled, and libraries allocate, on their first calls.
            self.batches.number.zero_()
            self._step()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            self._last = self._step()
        for training, state in enumerate(states):
            self.restore(training, state)
        self._graph = graph

    def means(self) -> list[dict[str, float]]:
        """Return each training's row: means over the steps since the last call; this waits."""
        with self.on_stream():
            means_sc = (self._sums_cs.double() / self._summed).t().tolist()
            self._sums_cs.zero_()
        self._summed = 0
        return [dict(zip(self.trainer.columns, means_c, strict=True)) for means_c in means_sc]

    def on_stream(self) -> contextlib.AbstractContextManager:
        """Return the context in which the tensors of these trainings are to be used."""
        return torch.cuda.stream(self._stream) if self._stream else contextlib.nullcontext()

    def state(self, training: int) -> dict[str, Any]:
        """Return a copy of everything that a training's next step depends on."""
        tensors = [tensor.clone() for tensor in self._tensors(training)]
        return {"step_number": self.step_number, "tensors": tensors}

    def restore(self, training: int, state: dict[str, Any]) -> None:
        """Let a training continue from what `state` returned; all must have taken as many steps."""
        self.step_number = state["step_number"]
        self.batches.seek(self.step_number)
        self._sums_cs.zero_()
        self._summed = 0
        with torch.no_grad():
            for tensor, saved in zip(self._tensors(training), state["tensors"], strict=True):
                tensor.copy_(saved)
            for optimiser in self._optimisers():
                for of_parameter in optimiser.state.values():
                    of_parameter["step"].fill_(self.step_number)

    def _optimisers(self) -> list[torch.optim.Adam]:
        trainer = self.trainer
        return [trainer.optimiser, *([trainer.discriminator_optimiser] * bool(trainer.reference))]

    def _tensors(self, training: int) -> Iterator[Tensor]:
        """Yield a training's weights and moments; they are where the next step finds them."""
        for optimiser in self._optimisers():
            for parameter, state in optimiser.state.items():
                for tensor in (parameter.detach(), state["exp_avg"], state["exp_avg_sq"]):
                    yield tensor[training] if self.stacked else tensor

    def trained(self, training: int) -> VariationalAutoencoder:
        """Return the model of one training."""
        model = self.trainer.model
        return model.unstacked(training) if self.stacked else model


def take_steps(engines: Sequence[Engine], steps: int) -> None:
    """Take steps with every engine, in turns: on a GPU each has work queued all the time."""
    for _ in range(steps):
        for engine in engines:
            engine.step()


def _are_stacked(images: DeviceImages, chosen: bool | None) -> bool:
    """Return what was chosen; where nothing was, trainings are stacked on a GPU alone."""
    return images.device.type == "cuda" if chosen is None else chosen


def alike(settings: TrainingSettings) -> str:
    """Return what is equal for trainings that one engine can take: all but seed and weights.

    A weight may differ, but not whether it is 0: the terms are the same.
    """
    terms = {weight: bool(getattr(settings, weight)) for weight in WEIGHTS}
    return repr(replace(settings, seed=0, **terms))


def trainers_of(
    images: DeviceImages,
    settings: Sequence[TrainingSettings],
    first_steps: Sequence[int],
    *,
    stacked: bool | None = None,
) -> list[tuple[Engine, int]]:
    """Return each training's engine and its number there; on a GPU, what can be is stacked.

    `first_steps` are the steps that each has taken already; `stacked` as in `Engine`.
    """
    if not _are_stacked(images, stacked):
        return [(Engine(images, [of_training], stacked=False), 0) for of_training in settings]
    stacks: dict[tuple[str, int], list[int]] = {}
    for i, (of_training, step) in enumerate(zip(settings, first_steps, strict=True)):
        stacks.setdefault((alike(of_training), step), []).append(i)
    found = {}
    for members in stacks.values():
        engine = Engine(images, [settings[i] for i in members], stacked=stacked)
        found.update({i: (engine, number) for number, i in enumerate(members)})
    return [found[i] for i in range(len(settings))]
