rule bench:
    output:
        multiext(f"{RESULTS}/bench/bench", ".json", ".md"),
        multiext(
            f"{RESULTS}/bench/",
            "side_by_side.csv",
            "methods.csv",
            "evaluation.csv",
            "ceiling.csv",
            "floor.csv",
        ),
    log:
        f"{LOGS}/bench.log",
    benchmark:
        f"{BENCHMARKS}/bench.tsv"
    # All cores, so that no other job runs beside what is timed.
    threads: lambda wildcards: workflow.cores
    resources:
        **resources("train"),
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        experiment=EXPERIMENT.as_json(),
        settings=flags(config["bench"]),
        code=source_digest("bench"),
    shell:
        "betagvae bench --output {params.folder:q} --experiment {params.experiment:q} "
        "--cores {threads} {params.settings} 2> {log:q}"
