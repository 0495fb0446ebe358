"""What the steps of trainings are given: images, an epoch's order at a time, and random numbers.

Shape suffixes: S trainings, B images of each, N images of all, L latents, C×H×W an image.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from betagvae.model.device import DeviceImages, generator

NOISE = {
    "": ("posterior",),
    "prior": ("posterior", "prior"),
    "permuted": ("posterior", "second posterior", "permutation"),
}
"""Streams of standard normal numbers by the reference codes (`objective.Term.reference`)."""
ORDERS = {"": ("order",), "prior": ("order",), "permuted": ("order", "second order")}
"""Streams that order the images, likewise: a second batch comes from another order of them all."""


@dataclass(frozen=True)
class Batch:
    """What one step is given."""

    images: tuple[Tensor, ...]
    """N×C×H×W, those to train on and, where codes are permuted, a second batch."""
    noise: Mapping[str, Tensor]
    """S×B×L, by its stream of `NOISE`."""


class Batches:
    """The batches of S trainings, each with random streams of its own.

    Order and noise lie on the device for a whole epoch, and so does the number of the batch that is
    next: taking a batch neither waits for the host nor depends on anything that it holds.
    """

    def __init__(
        self,
        images: DeviceImages,
        gather: Callable[[Tensor], Tensor],
        seeds: Sequence[int],
        shape: tuple[int, int],
        reference: str,
    ) -> None:
        """Get ready for batches of a shape, B×L, whose images `gather` returns by their indices."""
        batch_size, latents = shape
        self.split, self.seeds, self._gather = images.splits["train"], seeds, gather
        self.count = len(self.split) // batch_size
        device, of_all = images.device, (len(seeds), self.count, batch_size)
        self.order = {
            stream: torch.empty(of_all, dtype=torch.long, device=device)
            for stream in ORDERS[reference]
        }
        self.noise = {
            stream: torch.empty((*of_all, latents), device=device) for stream in NOISE[reference]
        }
        self.number = torch.zeros(1, dtype=torch.long, device=device)
        self._epoch = -1

    def seek(self, step: int) -> None:
        """Have the batch of a step be next; draw its epoch, unless it is there.

        That is the order of the training images, a batch a row, and all noise. The last images of
        a permutation that do not fill a batch are left out.
        """
        epoch, batch = divmod(step, self.count)
        self.number.fill_(batch)
        if epoch == self._epoch:
            return
        for i, seed in enumerate(self.seeds):
            for stream, order in self.order.items():
                self._draw_order(order[i], generator(seed, f"{stream} {epoch}"))
            for stream, noise in self.noise.items():
                noise[i].normal_(generator=generator(seed, f"{stream} {epoch}", noise.device))
        self._epoch = epoch

    def _draw_order(self, order: Tensor, random: torch.Generator) -> None:
        permutation = torch.randperm(len(self.split), generator=random)
        used = permutation[: order.numel()].view_as(order)
        used += self.split.start
        order.copy_(used.pin_memory() if order.is_cuda else used, non_blocking=True)

    def next(self) -> Batch:
        """Return the next batch of the epoch."""
        images = tuple(self._gather(self._of_batch(o).flatten()) for o in self.order.values())
        noise = {stream: self._of_batch(noise) for stream, noise in self.noise.items()}
        self.number += 1
        return Batch(images, noise)

    def _of_batch(self, epoch: Tensor) -> Tensor:
        return epoch.index_select(1, self.number).squeeze(1)
