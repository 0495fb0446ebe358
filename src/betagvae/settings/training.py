"""What a training depends on besides its data: `training` of the configuration, and a method's row.

Every key may stand in a row of `methods`, and in a data set's own `training`. Roles: ``weight`` of
a term of the objective; ``job``, what is equal for all trainings of one process.
"""

from dataclasses import dataclass

from betagvae.errors import UserError
from betagvae.settings.setting import setting, with_role

PRECISIONS = ("float32", "tf32", "bfloat16")
"""Names of `betagvae.model.device.PRECISIONS`."""

ADVERSARIAL = ("gamma", "tc_density_ratio")
"""Weights of the terms that need a discriminator."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Weights of the objective, networks, optimisers and length of a training."""

    beta: float = setting(
        "weight of the KL divergence in eq. 7: 1 for the VAE", least=0, roles=("weight",)
    )
    gamma: float = setting(
        "weight of the discriminator's reward in eq. 7; 0 for VAE and β-VAE",
        0.0,
        least=0,
        roles=("weight",),
    )
    tc_density_ratio: float = setting(
        "weight of the total correlation as FactorVAE estimates it (its γ; Kim & Mnih 2018): a "
        "discriminator tells codes from codes whose latents were permuted over a second batch",
        0.0,
        least=0,
        roles=("weight",),
    )
    tc_weighted_sampling: float = setting(
        "weight of the total correlation as β-TCVAE estimates it, by minibatch-weighted sampling "
        "(Chen et al. 2018); their β is this plus `beta`, with `beta` 1",
        0.0,
        least=0,
        roles=("weight",),
    )
    seed: int = setting("seed of weights, batches and noise", least=0)
    network: str = setting(
        "`higgins` (convolutions 32-32-64-64, one layer of 256) or `burgess` (32-32-32-32, two of "
        "256). The paper does not say; the first is β-VAE's own for CelebA",
        "higgins",
        choices=("higgins", "burgess"),
    )
    latents: int = setting(
        "dimensions of z; the introduction speaks of ten, and the figures have ten rows",
        10,
        least=1,
    )
    likelihood: str = setting(
        'what "reconstruction error" means; by default what the data set says. `squared_error`: '
        "summed over pixels in [0, 1]; the paper's values near 230 on CelebA fit this and no "
        "Bernoulli likelihood (about 6,500). `bernoulli`: cross-entropy in nats, summed over "
        "pixels, the field's default for black-and-white and grey images",
        choices=("bernoulli", "squared_error"),
    )
    reward: str = setting(
        "reading of γ·D(q(z\\|x)) in eq. 7. `probability`: D's output in [0, 1], as printed. "
        "`log_probability`: log D, the non-saturating loss. `logit`: the log density ratio",
        "probability",
        choices=("probability", "log_probability", "logit"),
        matters_with=("gamma",),
    )
    discriminator_layers: int = setting(
        "hidden layers of the discriminator; not in the paper, so FactorVAE's",
        6,
        least=1,
        matters_with=ADVERSARIAL,
    )
    discriminator_units: int = setting(
        "units of each; FactorVAE's", 1000, least=1, matters_with=ADVERSARIAL
    )
    discriminator_learning_rate: float = setting(
        "step size of its Adam; FactorVAE's", 1e-4, above=0, matters_with=ADVERSARIAL
    )
    discriminator_adam_betas: tuple[float, float] = setting(
        "decay rates of its Adam; FactorVAE's",
        (0.5, 0.9),
        least=0,
        below=1,
        matters_with=ADVERSARIAL,
    )
    steps: int = setting(
        "length of the training; not in the paper. One million steps is what public "
        "implementations train",
        1_000_000,
        unit="steps",
        least=1,
        roles=("job",),
    )
    batch_size: int = setting("not in the paper; the field's 64", 64, unit="images", least=1)
    learning_rate: float = setting(
        "step size of Adam; not in the paper; the field's 1e-4", 1e-4, above=0
    )
    adam_betas: tuple[float, float] = setting(
        "decay rates of Adam; not in the paper; the field's", (0.9, 0.999), least=0, below=1
    )
    log_every: int = setting(
        "steps that one row of `history.csv` averages; `steps` must be a multiple",
        1000,
        unit="steps",
        least=1,
        roles=("job",),
    )
    threads: int = setting(
        "CPU threads of one training. Results are equal byte for byte only with equal threads, so "
        "this is not Snakemake's to change",
        1,
        unit="threads",
        least=1,
        roles=("job",),
    )
    precision: str = setting(
        "what networks compute in. `float32`: the default, since it means the same on every "
        "machine. `bfloat16`: activations and the factors of products are rounded to 8 bits; "
        "sums, losses, weights and Adam stay float32. It pays on a GPU (compute capability 8.0 or "
        "later), where it is [2.4 to 3 times as fast](../benchmarks/README.md#on-a-gpu), and on a "
        "processor with units for it (`grep avx512_bf16 /proc/cpuinfo`); five seeds show no "
        "difference [there](../benchmarks/README.md#precision) or [on an "
        "H100](../benchmarks/README.md#on-a-gpu). Elsewhere it is slower. `tf32`: a GPU cuts the "
        "factors to 11 bits, and is 1.8 times as fast as in float32; a processor computes in "
        "float32. In `float32` a GPU adds three products of rounded factors, whose error is about "
        "that of float32",
        "float32",
        choices=PRECISIONS,
        roles=("job",),
    )

    def __post_init__(self) -> None:
        """Raise `UserError` where settings exclude each other."""
        if self.steps % self.log_every:
            raise UserError(
                f"training.steps ({self.steps}) must be a multiple of training.log_every "
                f"({self.log_every})"
            )
        if sum(bool(getattr(self, weight)) for weight in ADVERSARIAL) > 1:
            weights = " or ".join(ADVERSARIAL)
            raise UserError(f"a training has one discriminator: set {weights} to 0")

    @property
    def adversarial(self) -> bool:
        """Whether there is a discriminator."""
        return any(getattr(self, weight) for weight in ADVERSARIAL)


WEIGHTS = with_role(TrainingSettings, "weight")
"""Settings that weigh a term of the objective (`betagvae.model.objective`)."""

SHARED_BY_A_JOB = with_role(TrainingSettings, "job")
"""Settings that are equal for all trainings that advance side by side in one process."""
