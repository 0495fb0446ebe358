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
        **config["resources"]["data"],
    params:
        settings=data_flags,
        code=lambda wildcards: source_digest(f"data.{wildcards.dataset}"),
    shell:
        "betagvae data {wildcards.dataset} --output {output.array:q} {params.settings} 2> {log:q}"
