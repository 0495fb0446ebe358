"""The smallest training of every part: what the tests train, or change a little."""

from betagvae.settings.training import TrainingSettings

SETTINGS = TrainingSettings(
    beta=4,
    gamma=10,
    seed=0,
    steps=6,
    batch_size=4,
    learning_rate=1e-3,
    network="burgess",
    latents=10,
    likelihood="bernoulli",
    reward="probability",
    discriminator_layers=2,
    discriminator_units=16,
    discriminator_learning_rate=1e-3,
    log_every=2,
    threads=1,
    precision="float32",
)
