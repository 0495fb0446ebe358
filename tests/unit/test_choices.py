"""Do the steps that speed is compared with compute the same, by other operators?"""

from dataclasses import replace

import choices
import pytest
import torch
from configuration import training_settings
from image_arrays import write_array
from torch.utils._python_dispatch import TorchDispatchMode

from betagvae.data.arrays import open_array
from betagvae.model.device import DeviceImages

# Compiling takes half a minute, and what it makes is the compiler's.
ALTERNATIVES = [a for a in choices.ALTERNATIVES if a.around is not choices.compiled]
SAME_OPERATORS = (choices.freed_memory_returned, choices.nullcontext)
KINDS = {"celeba": (3, 64, "squared_error"), "dsprites": (1, 8, "bernoulli")}


class Operators(TorchDispatchMode):
    """Every operator that is called, with the strides of what it is given."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        tensors = [a for a in args if isinstance(a, torch.Tensor)]
        self.calls.append((str(function), [(t.stride(), t.dtype) for t in tensors]))
        return function(*args, **(kwargs or {}))


@pytest.fixture(scope="module", params=KINDS)
def array(request, tmp_path_factory):
    """Return a few images stored like those of a data set, and its likelihood."""
    channels, width, likelihood = KINDS[request.param]
    shape = (24, channels, 64, width)
    generator = torch.Generator().manual_seed(0)
    stored = torch.randint(256, shape, dtype=torch.uint8, generator=generator).numpy()
    path = tmp_path_factory.mktemp("images") / "toy.npy"
    return write_array(path, stored, splits={"train": (0, 24)}, packed=width == 8), likelihood


def first_steps(build, images, settings):
    """Return the losses of three steps, and the operators of the last one."""
    step = build(images, settings)
    losses = [step() for _ in range(2)]
    with Operators() as operators:
        losses.append(step())
    return torch.stack(losses), operators.calls


@pytest.mark.parametrize(
    ("array", "alternative", "precision"),
    [
        pytest.param(kind, alternative, precision, id=f"{alternative.choice}-{kind}-{precision}")
        for kind, (_, _, likelihood) in KINDS.items()
        for alternative in ALTERNATIVES
        if likelihood in alternative.likelihoods
        for precision in alternative.precisions
    ],
    indirect=["array"],
)
def test_alternatives_train_alike_by_other_operators(array, alternative, precision):
    if not alternative.runs_here(precision):
        pytest.skip(f"oneDNN has no {precision} on this processor")
    path, likelihood = array
    images = DeviceImages(open_array(path), torch.device("cpu"))
    settings = training_settings(
        "celeba", "VAE", likelihood=likelihood, precision=precision, batch_size=8, threads=1
    )
    of_seeds = [replace(settings, seed=seed) for seed in range(alternative.seeds)]
    with alternative.reference():
        expected, operators = first_steps(choices.in_turns, images, of_seeds)
    with alternative.around():
        found, others = first_steps(alternative.build, images, of_seeds)
    tolerance = 1e-5 if precision == "float32" else 5e-3
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=0)
    the_same = alternative.around in SAME_OPERATORS and alternative.build is choices.in_turns
    assert (others == operators) == the_same


def test_what_an_alternative_changes_holds_in_the_process_that_is_timed(array):
    path, likelihood = array
    settings = training_settings("celeba", "VAE", likelihood=likelihood, batch_size=8, threads=1)
    (stacked,) = [a for a in ALTERNATIVES if a.build is choices.stacked]
    # Without the change, stacking is refused.
    (ratio,) = choices.ratios(choices.ALTERNATIVES.index(stacked), path, settings, pairs=1)
    assert ratio > 0
