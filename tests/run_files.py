"""Files beside a run, as the stages write them, with numbers of the test's choice."""

import json

STAND_IN = {"source": "drawn", "stand_in": True}


def _write(folder, name, dataset, pair, seed, content, changes):
    beta, gamma = pair
    run = folder / dataset / f"beta{beta:g}_gamma{gamma:g}" / f"seed{seed}"
    run.mkdir(parents=True, exist_ok=True)
    identity = {
        "dataset": dataset,
        "source": "drawn" if dataset == "dsprites" else "original",
        "stand_in": False,
        "beta": float(beta),
        "gamma": float(gamma),
        "seed": seed,
        "likelihood": "squared_error" if dataset == "celeba" else "bernoulli",
        "steps": 1_000_000,
    }
    path = run / f"{name}.json"
    path.write_text(json.dumps({**identity, **content, **changes}), encoding="utf-8")
    return path


def write_metrics(folder, dataset, pair, seed, error, kl, **changes):
    """Real images, trained to the end; the train split is 10 worse in error."""
    splits = {
        name: {
            "images": 100,
            "reconstruction_error": error + shift,
            "kl": kl,
            "kl_per_latent": [kl, 0.0],
        }
        for name, shift in (("train", 10), ("test", 0))
    }
    return _write(folder, "metrics", dataset, pair, seed, {"splits": splits}, changes)


def write_scores(folder, dataset, pair, seed, scores, **changes):
    return _write(folder, "scores", dataset, pair, seed, {"scores": scores}, changes)


def write_quality(folder, dataset, pair, seed, sample, reconstruction, **changes):
    content = {
        "features": "inception",
        "images": 10_000,
        "frechet_sample": sample,
        "frechet_reconstruction": reconstruction,
    }
    return _write(folder, "quality", dataset, pair, seed, content, changes)
