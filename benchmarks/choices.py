"""Time whole training steps with each choice that was made for speed undone.

    python benchmarks/choices.py

Prints a table of the time without the choice as a multiple of the time with it.
"""

import argparse
import itertools
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest import mock

import torch
import torch.nn.functional as F  # noqa: N812
from configuration import configuration, training_settings
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from betagvae.bench.running import draw
from betagvae.data.arrays import open_array
from betagvae.model import device, networks, objective
from betagvae.model.device import DeviceImages, computing_in
from betagvae.records.files import write_csv, write_text
from betagvae.records.provenance import device_name
from betagvae.results.labels import dataset_name
from betagvae.results.markdown import table
from betagvae.settings.training import TrainingSettings
from betagvae.training.engine import Engine

COMPARED = ("float32", "bfloat16")
STEPS = 3
"""Of one measurement."""
log = logging.getLogger(__name__)

Steps = Callable[[], Tensor]
"""Takes one step with every seed and returns their losses."""


def in_turns(images: DeviceImages, settings: Sequence[TrainingSettings]) -> Steps:
    """Return steps as the library takes them."""
    engines = [Engine(images, [s]) for s in settings]
    return lambda: torch.cat([engine.step()["loss"] for engine in engines])


@dataclass(frozen=True)
class Alternative:
    """A step without one of the choices."""

    choice: str
    """What is used and here undone, in words."""
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    """What holds from the start of the process on."""
    build: Callable[[DeviceImages, Sequence[TrainingSettings]], Steps] = in_turns
    seeds: int = 1
    """How many are trained."""
    reference: Callable[[], AbstractContextManager[object]] = nullcontext
    """What holds for the steps with the choice, which are taken in turns."""
    likelihoods: tuple[str, ...] = tuple(objective.LIKELIHOODS)
    """Those that it makes a difference for."""
    precisions: tuple[str, ...] = COMPARED
    """Likewise."""
    calls_onednn: bool = False
    """Directly, so that PyTorch has no other kernel to fall back to."""

    def runs_here(self, precision: str) -> bool:
        """Return whether this processor has the instructions that it needs."""
        supported = precision != "bfloat16" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return supported or not self.calls_onednn


class _UpsampledInPlanes(networks._Upsampled):
    """The last layer phase by phase, as planes of channels want it."""

    @staticmethod
    def forward(ctx: FunctionCtx, h_bdhw: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(h_bdhw, weight)
        phases = networks._by_parity(weight).permute(1, 3, 5, 0, 2, 4).flatten(0, 2)  # 4C×D×2×2
        y_bdhw = F.conv2d(h_bdhw, phases, bias.repeat_interleave(4), padding=1)
        return F.pixel_shuffle(y_bdhw, 2)[:, :, 1:-1, 1:-1].contiguous()


@contextmanager
def planes() -> Iterator[None]:
    """Keep every channel of an image in one piece."""
    with (
        mock.patch.object(torch, "channels_last", torch.contiguous_format),
        mock.patch.object(networks.ImageConvolution, "on_a_cpu", _UpsampledInPlanes),
    ):
        yield


def transposed_last_layer() -> AbstractContextManager[object]:
    """Compute the image like every other layer of the decoder."""
    return mock.patch.object(networks.ImageConvolution, "on_a_cpu", networks._Upsampled)


@contextmanager
def gradient_of_bias_by_pytorch() -> Iterator[None]:
    """Leave all three gradients of a transposed convolution to one call."""

    def backward(ctx: FunctionCtx, gradient_bdhw: Tensor) -> tuple[Tensor, ...]:
        h_bdhw, weight = ctx.saved_tensors
        gradient_bdhw = gradient_bdhw.to(
            h_bdhw.dtype, copy=weight.shape[1] == 1, memory_format=torch.channels_last
        )
        return torch.ops.aten.convolution_backward(
            *(gradient_bdhw, h_bdhw, weight, [weight.shape[1]]),
            *([2, 2], [1, 1], [1, 1], True, [0, 0], 1),
            [True, True, True],
        )

    with mock.patch.object(networks._Upsampled, "backward", staticmethod(backward)):
        yield


def bernoulli_by_pytorch() -> AbstractContextManager[object]:
    """Take the error of Bernoulli pixels from PyTorch."""

    def error(logits_bchw: Tensor, x_bchw: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits_bchw, x_bchw, reduction="none").sum(
            (1, 2, 3)
        )

    return mock.patch.dict(objective.LIKELIHOODS, bernoulli=error)


def indexed_batches() -> AbstractContextManager[object]:
    """Gather a batch by indexing."""
    return mock.patch.object(
        Tensor, "index_select", lambda tensor, dim, index: tensor[(slice(None),) * dim + (index,)]
    )


def relu_to_new_memory() -> AbstractContextManager[object]:
    """Keep what the activation is of."""
    activation = nn.ReLU
    return mock.patch.object(nn, "ReLU", lambda inplace=False: activation(inplace=False))


@contextmanager
def rearranged_first_layer() -> Iterator[None]:
    """Compute the encoder's first layer as a 2×2 convolution of 2×2 blocks of pixels."""
    convolve = nn.Conv2d.forward

    def forward(layer: nn.Conv2d, x_bchw: Tensor) -> Tensor:
        if layer.in_channels > 3:
            return convolve(layer, x_bchw)
        blocks = F.pad(x_bchw, (1, 1, 1, 1)).unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
        blocks_bhwc = blocks.permute(0, 2, 4, 1, 3, 5).flatten(3)
        weight = F.pixel_unshuffle(layer.weight, 2)
        return F.conv2d(blocks_bhwc.permute(0, 3, 1, 2), weight, layer.bias)

    with mock.patch.object(nn.Conv2d, "forward", forward):
        yield


class _Rectified(torch.autograd.Function):
    """Convolution and ReLU as one kernel of oneDNN."""

    @staticmethod
    def forward(ctx: FunctionCtx, h_bdhw: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        y_bdhw = torch.ops.mkldnn._convolution_pointwise(
            *(h_bdhw, weight, bias, [1, 1], [2, 2], [1, 1], 1), "relu", [], ""
        )
        ctx.save_for_backward(h_bdhw, weight, y_bdhw)
        return y_bdhw

    @staticmethod
    def backward(ctx: FunctionCtx, gradient_bdhw: Tensor) -> tuple[Tensor, ...]:
        h_bdhw, weight, y_bdhw = ctx.saved_tensors
        return torch.ops.aten.convolution_backward(
            torch.ops.aten.threshold_backward(gradient_bdhw, y_bdhw, 0),
            *(h_bdhw, weight, [weight.shape[0]], [2, 2], [1, 1], [1, 1], False, [0, 0], 1),
            [ctx.needs_input_grad[0], True, True],
        )


@contextmanager
def one_kernel_with_relu() -> Iterator[None]:
    """Rectify within the encoder's convolutions; the ReLU after them has nothing left to do."""

    def forward(layer: nn.Conv2d, h_bdhw: Tensor) -> Tensor:
        low = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if low else h_bdhw.dtype
        return _Rectified.apply(*(t.to(dtype) for t in (h_bdhw, layer.weight, layer.bias)))

    def without_relu(encoder: networks.Encoder, *arguments: object) -> None:
        build(encoder, *arguments)
        layers = [m for m in encoder.convolutions if not isinstance(m, nn.ReLU)]
        encoder.convolutions = nn.Sequential(*layers)

    build = networks.Encoder.__init__
    with (
        mock.patch.object(nn.Conv2d, "forward", forward),
        mock.patch.object(networks.Encoder, "__init__", without_relu),
    ):
        yield


@contextmanager
def compiled() -> Iterator[None]:
    """Have the compiler fuse what lies between the products of encoder and decoder."""
    with ExitStack() as stack:
        for network in (networks.Encoder, networks.Decoder):
            stack.enter_context(
                mock.patch.object(network, "forward", torch.compile(network.forward))
            )
        yield


def stacked(images: DeviceImages, settings: Sequence[TrainingSettings]) -> Steps:
    """Train all seeds as one model whose weights have a leading axis (torch.func.vmap)."""
    engines = [Engine(images, [s]) for s in settings]
    for engine in engines:
        engine.batches.seek(0)
    template, likelihood = engines[0].trainer.model, engines[0].trainer.likelihood
    weights, _ = torch.func.stack_module_state([engine.trainer.model for engine in engines])
    adam = torch.optim.Adam(weights.values(), settings[0].learning_rate, fused=True)

    def loss(weights: Mapping[str, Tensor], x_bchw: Tensor, noise_bl: Tensor) -> Tensor:
        encoder, decoder = (
            {name.removeprefix(part): w for name, w in weights.items() if name.startswith(part)}
            for part in ("encoder.", "decoder.")
        )
        with computing_in(settings[0].precision, images.device):
            mean_bl, log_variance_bl = torch.func.functional_call(template.encoder, encoder, x_bchw)
            z_bl = objective.sample_posterior(mean_bl, log_variance_bl, noise_bl)
            logits_bchw = torch.func.functional_call(template.decoder, decoder, z_bl)
        kl_bl = objective.kl_divergence_per_latent(mean_bl, log_variance_bl)
        return objective.loss(likelihood(logits_bchw, x_bchw), [(settings[0].beta, kl_bl.sum(-1))])

    losses = torch.func.vmap(loss)
    batches = itertools.cycle(range(engines[0].batches.count))

    def step() -> Tensor:
        batch = next(batches)
        x_sbchw = torch.stack([images.batch(e.batches.order["order"][0, batch]) for e in engines])
        noise_sbl = torch.stack([e.batches.noise["posterior"][0, batch] for e in engines])
        adam.zero_grad()
        losses_s = losses(weights, x_sbchw, noise_sbl)
        losses_s.sum().backward()
        adam.step()
        return losses_s.detach()

    return step


@contextmanager
def as_pytorch_has_it() -> Iterator[None]:
    """Keep planes and leave every gradient to PyTorch: vmap knows nothing else."""
    with (
        planes(),
        bernoulli_by_pytorch(),
        mock.patch.object(networks.UpConvolution, "forward", nn.ConvTranspose2d.forward),
    ):
        yield


def freed_memory_returned() -> AbstractContextManager[object]:
    """Leave it to the C library which freed memory goes back to the system."""
    return mock.patch.object(device, "_keep_freed_memory", lambda: None)


def in_float32(images: DeviceImages, settings: Sequence[TrainingSettings]) -> Steps:
    """Round no factor."""
    return in_turns(images, [replace(s, precision="float32") for s in settings])


ALTERNATIVES = (
    Alternative(
        "`precision: bfloat16` instead of float32", build=in_float32, precisions=("bfloat16",)
    ),
    Alternative("Interleaved channels (channels last) instead of planes", planes),
    Alternative("Freed memory is kept for the next step", freed_memory_returned),
    Alternative("The decoder's last layer phase by phase", transposed_last_layer),
    Alternative(
        "The bias's gradient of a transposed convolution by a sum, not by PyTorch's kernel",
        gradient_of_bias_by_pytorch,
    ),
    Alternative(
        "Bernoulli's error with one logarithm for a column of pixels",
        bernoulli_by_pytorch,
        likelihoods=("bernoulli",),
    ),
    Alternative("Batches gathered by whole images, not by indexing", indexed_batches),
    Alternative("ReLU in place", relu_to_new_memory),
    Alternative("Nothing (the error of these figures)"),
    Alternative(
        "The first layer as a convolution of pixels, not of 2×2 blocks", rearranged_first_layer
    ),
    Alternative(
        "The encoder's convolutions and ReLUs as two kernels",
        one_kernel_with_relu,
        calls_onednn=True,
    ),
    Alternative("No torch.compile of encoder and decoder", compiled),
    Alternative(
        "Two seeds in turns, not stacked into one model (both in planes, by PyTorch's gradients)",
        as_pytorch_has_it,
        stacked,
        seeds=2,
        reference=as_pytorch_has_it,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all alternatives on data sets in two precisions."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    datasets = list(configuration()["datasets"])
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--datasets", nargs="+", choices=datasets, default=["dsprites", "celeba"])
    p.add_argument("--precisions", nargs="+", choices=COMPARED, default=COMPARED)
    p.add_argument("--pairs", type=int, default=11, help="of measurements of each alternative")
    p.add_argument("--output", type=Path, default=Path("results/choices"))
    options = p.parse_args(arguments)
    if options.pairs < 1:
        p.error("--pairs must be positive")
    if not shutil.which(os.environ.get("CXX", "g++")):
        p.error("torch.compile needs a C++ compiler: install g++, or name another in CXX")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # The choices are a processor's.
    rows = []
    with TemporaryDirectory() as folder:
        for dataset in options.datasets:
            path = draw(dataset, Path(folder), 1)
            for precision in options.precisions:
                rows += measure(path, precision, options.pairs)
                write_csv(options.output / "choices.csv", rows)
                write_text(options.output / "choices.md", page(rows, options.pairs))
    print(page(rows, options.pairs))
    return 0


def measure(path: Path, precision: str, pairs: int) -> Iterator[dict[str, object]]:
    """Yield every pair's ratio of each alternative on one array."""
    dataset = open_array(path).dataset
    settings = training_settings(dataset, "VAE", precision=precision, threads=1)
    for number, alternative in enumerate(ALTERNATIVES):
        matters = settings.likelihood in alternative.likelihoods
        if not matters or precision not in alternative.precisions:
            continue
        if not alternative.runs_here(precision):
            log.warning("no %s in oneDNN on this processor: %s", precision, alternative.choice)
            continue
        log.info("%s, %s: %s", dataset, precision, alternative.choice)
        labels = {"dataset": dataset, "precision": precision, "choice": alternative.choice}
        for pair, ratio in enumerate(ratios(number, path, settings, pairs)):
            yield {**labels, "pair": pair, "ratio": ratio}


def ratios(number: int, path: Path, settings: TrainingSettings, pairs: int) -> Iterator[float]:
    """Yield the time of a step without a choice over that of one with it, pair by pair.

    A process for either: what one leaves in memory makes the other's allocations cheaper.
    """
    with ExitStack() as stack:
        sides = {}
        for undone in (False, True):
            process = ProcessPoolExecutor(1, get_context("spawn"))
            stack.enter_context(process)
            process.submit(_prepare, number, path, settings, undone).result()
            sides[undone] = process
        for pair in range(pairs):
            order = sides if pair % 2 else reversed(sides)
            seconds = {undone: sides[undone].submit(_seconds).result() for undone in order}
            yield seconds[True] / seconds[False]


_prepared: list[Steps] = []
_held = ExitStack()


def _prepare(number: int, path: Path, settings: TrainingSettings, undone: bool) -> None:
    """Get this process ready to take the steps of one of `ALTERNATIVES`, or of its reference."""
    alternative = ALTERNATIVES[number]
    around = alternative.around if undone else alternative.reference
    _held.enter_context(around())  # until the process ends
    device.set_up(settings.threads, settings.precision)
    images = DeviceImages(open_array(path), torch.device("cpu"))
    of_seeds = [replace(settings, seed=seed) for seed in range(alternative.seeds)]
    _prepared.append((alternative.build if undone else in_turns)(images, of_seeds))
    _seconds()


def _seconds() -> float:
    start = time.perf_counter()
    for _ in range(STEPS):
        _prepared[0]()
    return time.perf_counter() - start


def page(rows: Sequence[Mapping[str, object]], pairs: int) -> str:
    """Return the median ratios as Markdown, a column for each data set and precision."""
    columns = list(dict.fromkeys((row["dataset"], row["precision"]) for row in rows))
    found: dict[tuple[object, ...], list[float]] = {}
    for row in rows:
        label = (row["choice"], row["dataset"], row["precision"])
        found.setdefault(label, []).append(row["ratio"])
    header = ("Choice", *(f"{dataset_name(dataset)}, {p}" for dataset, p in columns))
    lines = [
        (a.choice, *(_ratio(found.get((a.choice, *column))) for column in columns))
        for a in ALTERNATIVES
    ]
    conditions = (
        f"{device_name(torch.device('cpu'))}, PyTorch {torch.__version__}, one thread; medians of "
        f"{pairs} interleaved pairs of {STEPS} steps, with and without in a process each "
        "(lowest–highest)."
    )
    return f"{table(header, lines, header[1:])}\n\n{conditions}\n"


def _ratio(ratios: Sequence[float] | None) -> str:
    if not ratios:
        return "–"
    return f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


if __name__ == "__main__":
    sys.exit(main())
