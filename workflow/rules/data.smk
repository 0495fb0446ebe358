rule image_array:
    output:
        array=f"{config['data_dir']}/{{dataset}}.{{source}}.npy",
        metadata=f"{config['data_dir']}/{{dataset}}.{{source}}.json",
    log:
        f"{LOGS}/data/{{dataset}}.{{source}}.log",
    benchmark:
        f"{BENCHMARKS}/data/{{dataset}}.{{source}}.tsv"
    threads: config["data"]["threads"]
    resources:
        **resources("data"),
    params:
        settings=data_flags,
        code=lambda wildcards: source_digest(f"data.{wildcards.dataset}"),
    shell:
        "betagvae data {wildcards.dataset} --output {output.array:q} {params.settings} 2> {log:q}"


rule feature_weights:
    output:
        f"{config['data_dir']}/inception_v3.pth",
    log:
        f"{LOGS}/data/inception_v3.log",
    benchmark:
        f"{BENCHMARKS}/data/inception_v3.tsv"
    threads: 1
    resources:
        **resources("data"),
    params:
        settings=weights_flags(),
        code=source_digest("evaluation.inception_weights"),
    shell:
        "betagvae weights inception_v3 --output {output:q} {params.settings} 2> {log:q}"
