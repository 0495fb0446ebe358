import json
import shlex


def flags(settings):
    """Command-line flags for one section of the configuration; null leaves a flag out."""
    words = []
    for key, value in settings.items():
        values = value if isinstance(value, list) else [value]
        if value is not None and values:
            words += ["--" + key.replace("_", "-"), *map(str, values)]
    return shlex.join(words)


def method_flags():
    """The methods as NAME=BETA,GAMMA."""
    return shlex.join(f"{name}={m['beta']:g},{m['gamma']:g}" for name, m in METHODS.items())


def data_flags(wildcards):
    entry = DATASETS[wildcards.dataset]
    return flags({"source": entry["source"], **config["data"], **entry["data"]})


def training_flags(dataset):
    return flags({**config["training"], **DATASETS[dataset]["training"]})


def traversal_runs(figure):
    """Method to the run with the first seed."""
    dataset = DATASET_OF_FIGURE[figure]
    return {method: method_runs(dataset, method)[0] for method in METHODS}


def traversal_flags(wildcards):
    runs = [f"{method}={run}" for method, run in traversal_runs(wildcards.figure).items()]
    settings = config["figures"]["traversal"]
    base = settings["base_index"][DATASET_OF_FIGURE[wildcards.figure]]
    return flags({**settings, "base_index": base, "runs": runs})


def feature_weights():
    """The files that the feature network of image quality needs."""
    network = config["quality"]["features"]
    return [f"{config['data_dir']}/{network}.pth"] if network == "inception_v3" else []


def weights_flags():
    download_dir = config["data"]["download_dir"]
    return flags({**config["quality"]["weights"], "download_dir": download_dir})


def quality_flags():
    return flags({**config["quality"], "weights": feature_weights()})


def bench_flags():
    """All trainings, each data set with the settings that it changes."""
    datasets = [f"{name}={json.dumps(entry['training'])}" for name, entry in DATASETS.items()]
    sweep = {"table1": SWEEP and SWEEP["dataset"], "pairs": pair_words()}
    settings = {**config["training"], **config["bench"], "seeds": config["seeds"]}
    return f"--methods {method_flags()} {flags({**settings, **sweep, 'datasets': datasets})}"


def pair_words():
    """Table 1's pairs as BETA,GAMMA."""
    return [f"{beta:g},{gamma:g}" for beta, gamma in PAIRS]
