for seeds in SEED_GROUPS:

    rule:
        name:
            f"training_seeds_{'_'.join(map(str, seeds))}"
        input:
            array=lambda wildcards: array_path(wildcards.dataset),
            metadata=lambda wildcards: array_path(wildcards.dataset).replace(".npy", ".json"),
        output:
            model=of_seeds(f"{RUN}/model.safetensors", seeds),
            history=of_seeds(f"{RUN}/history.csv", seeds),
            record=of_seeds(f"{RUN}/training.json", seeds),
        log:
            f"{LOGS}/{group_name(seeds)}/train.log",
        benchmark:
            f"{BENCHMARKS}/{group_name(seeds)}/train.tsv"
        threads: config["training"]["threads"]
        resources:
            **config["resources"]["train"],
        params:
            settings=training_flags,
            code=source_digest("training"),
            seeds=seeds_of_outputs,
        shell:
            "betagvae train {input.array:q} --model {output.model:q} --history {output.history:q} "
            "--record {output.record:q} --beta {wildcards.beta} --gamma {wildcards.gamma} "
            "--seeds {params.seeds} {params.settings} 2> {log:q}"
