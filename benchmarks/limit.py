"""Measure how much faster than it is a processor's step could be, kernel by kernel.

    python benchmarks/limit.py

Every layer of a VAE alone, with the inputs that it has in a step: what PyTorch's kernels take when
nothing is between them. With the likelihood and Adam their sum is the limit of any arrangement of
these kernels in one process.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from configuration import training_settings
from torch import Tensor, nn

from betagvae.bench.running import draw
from betagvae.data.arrays import open_array
from betagvae.model.device import PRECISIONS, DeviceImages, computing_in, set_up
from betagvae.records.files import write_csv, write_text
from betagvae.records.provenance import device_name
from betagvae.results.labels import dataset_name
from betagvae.results.markdown import table
from betagvae.settings.training import TrainingSettings
from betagvae.training.engine import Engine

CPU = torch.device("cpu")
REPEATS = 5
"""Of a piece, between two steps."""
log = logging.getLogger(__name__)

Work = Callable[[], object]


@dataclass(frozen=True)
class Piece:
    """A part of a step that can be done alone."""

    name: str
    kind: str
    """``forward``, ``gradients`` or ``other``."""
    work: Work


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure one data set and network."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--dataset", default="dsprites", choices=("dsprites", "celeba"))
    p.add_argument("--network", default="burgess", choices=("higgins", "burgess"))
    p.add_argument("--precision", default="bfloat16", choices=PRECISIONS)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--output", type=Path, default=Path("results/limit"))
    options = p.parse_args(arguments)
    changes = {"network": options.network, "precision": options.precision}
    settings = training_settings(options.dataset, "VAE", **changes)
    set_up(options.threads, options.precision)
    with TemporaryDirectory() as folder:
        images = DeviceImages(open_array(draw(options.dataset, Path(folder), 1)), CPU)
        engine = Engine(images, [settings])
        found = measure(engine, settings, options.rounds)
    text = page(found, settings, options.dataset, options.threads, options.rounds)
    name = f"{options.dataset}_{options.network}_{options.precision}_{options.threads}"
    write_csv(options.output / f"{name}.csv", rounds_of(found))
    write_text(options.output / f"{name}.md", text)
    print(text)
    return 0


def measure(
    engine: Engine, settings: TrainingSettings, rounds: int
) -> dict[tuple[str, str], list[float]]:
    """Return the seconds of every piece and of the whole step, a number a round, interleaved."""
    parts = [Piece("whole step", "step", engine.step), *pieces(engine, settings)]
    found: dict[tuple[str, str], list[float]] = {(p.name, p.kind): [] for p in parts}
    for number in range(rounds + 1):
        for piece in parts if number % 2 == 0 else reversed(parts):
            seconds = _seconds(piece.work)
            if number:  # The first round warms up.
                found[piece.name, piece.kind].append(seconds)
    return found


def _seconds(work: Work) -> float:
    """Return the shortest of some repeats: what lies between is another program's."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def pieces(engine: Engine, settings: TrainingSettings) -> list[Piece]:
    """Return every layer's forward and backward pass, the likelihood and Adam, each alone."""
    engine.step()  # Draws what the pieces take, and has every gradient.
    trainer, indices_b = engine.trainer, engine.batches.order["order"][0, 0]
    model = trainer.model
    x_bchw = engine.images.batch(indices_b)
    z_bl = torch.randn(settings.batch_size, settings.latents)
    found = [Piece("batch", "other", lambda: engine.images.batch(indices_b))]
    encoder = [*model.encoder.convolutions, nn.Flatten(), *model.encoder.hidden]
    for part, layers, h in (
        ("encoder", [*encoder, model.encoder.posterior], x_bchw),
        ("decoder", [*model.decoder.hidden, _Maps(model), *model.decoder.convolutions], z_bl),
    ):
        found += _layers(part, layers, h, settings.precision)
    logits_bchw = model.decoder(z_bl).detach().requires_grad_()

    def likelihood() -> None:
        torch.autograd.grad(trainer.likelihood(logits_bchw, x_bchw).sum(), logits_bchw)

    found.append(Piece("likelihood and its gradient", "other", likelihood))
    found.append(Piece("Adam", "other", trainer.optimiser.step))
    return found


class _Maps(nn.Module):
    """Features as the decoder's smallest maps."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.shape = model.decoder.map_shape

    def forward(self, h_bd: Tensor) -> Tensor:
        h_bdhw = h_bd.unflatten(1, self.shape)
        return h_bdhw.contiguous(memory_format=torch.channels_last)


def _layers(part: str, layers: Sequence[nn.Module], h: Tensor, precision: str) -> Iterator[Piece]:
    """Yield the passes of what has weights; a ReLU is the layer's whose output it takes."""
    number = 0
    for layer in layers:
        with computing_in(precision, CPU), torch.no_grad():
            y = layer(h)
        if list(layer.parameters()):
            number += 1
            name = f"{part} {number}: {tuple(h.shape[1:])} to {tuple(y.shape[1:])}"
            wanted = number > 1 or part == "decoder"
            yield from _passes(name, layer, h.clone(), y.clone(), precision, wanted)
        h = y


def _passes(
    name: str, layer: nn.Module, h: Tensor, y: Tensor, precision: str, of_input: bool
) -> Iterator[Piece]:
    h = h.detach().requires_grad_(of_input)
    wanted = [*([h] if of_input else []), *layer.parameters()]
    gradient = torch.randn_like(y)

    def forward() -> Tensor:
        with computing_in(precision, CPU):
            return layer(h)

    output = forward()
    yield Piece(name, "forward", forward)
    yield Piece(
        name,
        "gradients",
        lambda: torch.autograd.grad(output, wanted, gradient, retain_graph=True),
    )


def rounds_of(found: dict[tuple[str, str], list[float]]) -> list[dict[str, object]]:
    """Return a row for every piece and round."""
    return [
        {"piece": name, "kind": kind, "round": number, "seconds": seconds}
        for (name, kind), taken in found.items()
        for number, seconds in enumerate(taken)
    ]


def page(
    found: dict[tuple[str, str], list[float]],
    settings: TrainingSettings,
    dataset: str,
    threads: int,
    rounds: int,
) -> str:
    """Return the table, milliseconds, with the sum beside the whole step."""
    medians = {key: 1e3 * median(taken) for key, taken in found.items()}
    step = medians.pop(("whole step", "step"))
    names = dict.fromkeys(name for name, _ in medians)
    rows = [
        (name, *(_ms(medians.get((name, kind))) for kind in ("forward", "gradients", "other")))
        for name in names
    ]
    limit = sum(medians.values())
    rows.append(("**sum**", "", "", f"**{limit:.2f}**"))
    rows.append(("**whole step**", "", "", f"**{step:.2f}**"))
    header = ("Piece", "Forward, ms", "Gradients, ms", "Other, ms")
    batch = settings.batch_size
    conditions = (
        f"VAE on {dataset_name(dataset)}, {settings.network.title()} network, batch {batch}, "
        f"{settings.precision}, {threads} threads; {device_name(CPU)}, PyTorch "
        f"{torch.__version__}; medians of {rounds} interleaved rounds. The kernels alone would do "
        f"{1e3 * batch / limit:,.0f} images a second, the step does {1e3 * batch / step:,.0f}: "
        f"{limit / step:.0%} of its time is theirs."
    )
    return f"{table(header, rows, header[1:])}\n\n{conditions}\n"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
