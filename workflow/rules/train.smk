rule training:
    input:
        array=lambda wildcards: array_path(wildcards.dataset),
        metadata=lambda wildcards: array_path(wildcards.dataset).replace(".npy", ".json"),
    output:
        model=f"{RUN}/model.safetensors",
        history=f"{RUN}/history.csv",
        record=f"{RUN}/training.json",
    log:
        f"{LOGS}/{RUN_NAME}/train.log",
    benchmark:
        f"{BENCHMARKS}/{RUN_NAME}/train.tsv"
    threads: config["training"]["threads"]
    resources:
        **config["resources"]["train"],
    params:
        settings=training_flags,
        code=source_digest("training"),
    shell:
        "betagvae train {input.array:q} --model {output.model:q} --history {output.history:q} "
        "--record {output.record:q} --beta {wildcards.beta} --gamma {wildcards.gamma} "
        "--seed {wildcards.seed} {params.settings} 2> {log:q}"
