"""Compile the kernels of training and evaluation for GPUs that need not be there.

`python compile_kernels.py 86:float32 90:tf32 ...` prints JSON: of every architecture and precision
all kernels, each with its arguments and what it takes of the GPU. Triton must not interpret here,
and must not find a GPU: hence a process apart from the tests'.
"""

import contextlib
import io
import json
import multiprocessing
import re
import sys
import tempfile

import torch
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from betagvae.evaluation.metrics import BATCH_SIZES
from betagvae.model import kernels, objective, stacked
from betagvae.model.architecture import ARCHITECTURES
from betagvae.model.networks import Discriminator, VariationalAutoencoder

PROCESSES = 2
TRAININGS, BATCH, LATENTS = 2, 64, 10
CPU = torch.device("cpu")


class NamedGPU:
    """A driver that knows only which GPU it stands for."""

    def __init__(self, architecture):
        self.architecture = architecture

    def get_current_target(self):
        return GPUTarget("cuda", self.architecture, warp_size=32)

    def get_current_device(self):
        return self.architecture  # What is compiled for one device is not looked up for another.

    def get_current_stream(self, device):
        return 0


class Compiler:
    """Compiles what would be launched, and notes what it takes; results are as memory was."""

    def __init__(self, folder):
        self.notes = {}
        self.needed = {}
        self._launch = JITFunction.run
        # The only place where Triton tells of spills without loading a kernel onto a GPU. It is
        # written where a kernel is compiled, and not where it is found in a folder.
        knobs.nvidia.dump_ptxas_log = True
        knobs.cache.dir = folder
        compiler = self
        JITFunction.run = lambda kernel, *a, **k: compiler.compile(kernel, *a, **k)

    def compile(self, kernel, *arguments, grid, warmup, **keywords):
        with contextlib.redirect_stdout(io.StringIO()) as log:
            compiled = self._launch(kernel, *arguments, grid=grid, warmup=True, **keywords)
        if compiled.hash not in self.notes:
            self.notes[compiled.hash] = {
                "kernel": kernel.fn.__name__,
                "arguments": {name: str(value) for name, value in keywords.items()},
                "shared": compiled.metadata.shared,
                "registers": _number(r"Used (\d+) registers", log.getvalue()),
                "spilled": _number(r"(\d+) bytes spill stores", log.getvalue()),
            }
        self.needed[compiled.hash] = self.notes[compiled.hash]

    def compile_all(self, architecture, precision):
        """Return what every kernel of a precision takes."""
        self.needed = {}
        driver.set_active(NamedGPU(architecture))
        judge(precision)
        for network in ARCHITECTURES:
            for channels in (1, 3):
                step(network, channels, precision)
                evaluate(network, channels, precision)
        return list(self.needed.values())


def _number(pattern, log):
    (number,) = re.findall(pattern, log)
    return int(number)


def step(network, channels, precision):
    """Do what a step does, with the errors of both likelihoods."""
    models = [VariationalAutoencoder(network, channels, LATENTS) for _ in range(TRAININGS)]
    stack = stacked.stack(models, CPU, precision)
    x_nchw = gathered(channels, TRAININGS * BATCH, torch.uint8 if channels > 1 else torch.float32)
    moments = stack.encoder(x_nchw)
    noise_nl = torch.zeros(TRAININGS * BATCH, LATENTS)
    logits_nchw = stack.decoder(objective.sample_posterior(*moments, noise_nl))
    errors = [stack.likelihood(name)(logits_nchw, x_nchw) for name in objective.LIKELIHOODS]
    kl_nl = objective.kl_divergence_per_latent(*moments)
    torch.autograd.grad(sum(errors).sum() + kl_nl.sum(), list(stack.parameters()))


def evaluate(network, channels, precision):
    """Do what an evaluation does."""
    models = [VariationalAutoencoder(network, channels, LATENTS)]
    stack = stacked.stack(models, CPU, precision)
    mean_nl, _ = stack.encoder(gathered(channels, BATCH_SIZES["cuda"]))
    stack.decoder(mean_nl)


def judge(precision):
    """Do what a step does with the discriminators."""
    models = [Discriminator(LATENTS, layers=6, units=1000) for _ in range(TRAININGS)]
    stack = stacked.stack(models, CPU, precision)
    codes_sbl = torch.zeros(TRAININGS, 2 * BATCH, LATENTS, requires_grad=True)
    loss = stack(codes_sbl).sum()
    torch.autograd.grad(loss, codes_sbl, retain_graph=True)
    adam = torch.optim.Adam(stack.parameters())
    for parameter in stack.parameters():
        moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
        adam.state[parameter] = {"step": torch.zeros(()), **moments}
    stack.differentiate(loss)
    stack.descend(adam)


def gathered(channels, images, dtype=torch.float32):
    """Return a batch as `DeviceImages` does; of one channel, from arrays of either kind."""
    indices_n = torch.zeros(images, dtype=torch.long)
    if channels == 1:
        kernels.gather(torch.zeros(1, 1, 64, 8, dtype=torch.uint8), indices_n, packed=True)
    stored = torch.zeros(1, channels, 64, 64, dtype=torch.uint8)
    x_nhwc = kernels.gather(stored, indices_n, packed=False, dtype=dtype)
    return x_nhwc.permute(0, 3, 1, 2)


def compile_named(name):
    architecture, precision = name.split(":")
    return compiler.compile_all(int(architecture), precision)


def begin(folder):
    global compiler
    torch.set_num_threads(1)
    compiler = Compiler(tempfile.mkdtemp(dir=folder))


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        multiprocessing.Pool(PROCESSES, begin, (folder,)) as pool,
    ):
        found = pool.map(compile_named, sys.argv[1:], chunksize=1)
    json.dump(dict(zip(sys.argv[1:], found, strict=True)), sys.stdout)
