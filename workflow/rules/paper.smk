rule tables:
    input:
        TABLES,
    localrule: True


rule figures:
    input:
        FIGURES,
    localrule: True


rule table1:
    input:
        all_files(sweep_runs(), "metrics.json"),
    output:
        multiext(f"{RESULTS}/table1", ".csv", ".md", ".tex"),
    log:
        f"{LOGS}/table1.log",
    benchmark:
        f"{BENCHMARKS}/table1.tsv"
    threads: 1
    resources:
        **config["resources"]["paper"],
    params:
        pairs=" ".join(pair_words()),
        settings=flags(config["tables"]),
        code=source_digest("paper.tables_1_2"),
    shell:
        "betagvae table1 --pairs {params.pairs} --metrics {input:q} {params.settings} "
        "--outputs {output:q} 2> {log:q}"


rule table2:
    input:
        all_files(METHOD_RUNS, "metrics.json"),
    output:
        multiext(f"{RESULTS}/table2", ".csv", ".md", ".tex"),
    log:
        f"{LOGS}/table2.log",
    benchmark:
        f"{BENCHMARKS}/table2.tsv"
    threads: 1
    resources:
        **config["resources"]["paper"],
    params:
        methods=method_flags(),
        settings=flags(config["tables"]),
        code=source_digest("paper.tables_1_2"),
    shell:
        "betagvae table2 --methods {params.methods} --metrics {input:q} {params.settings} "
        "--outputs {output:q} 2> {log:q}"


rule table2_metrics:
    input:
        f"{RESULTS}/table2.csv",
    output:
        f"{RESULTS}/table2.json",
    log:
        f"{LOGS}/table2_metrics.log",
    benchmark:
        f"{BENCHMARKS}/table2_metrics.tsv"
    threads: 1
    resources:
        **config["resources"]["paper"],
    params:
        code=source_digest("paper.table_2_metrics"),
    shell:
        "betagvae metrics {input:q} --output {output:q} 2> {log:q}"


rule bars:
    input:
        all_files(METHOD_RUNS, "metrics.json"),
    output:
        multiext(f"{RESULTS}/{{figure}}", *PICTURE_EXTENSIONS),
    log:
        f"{LOGS}/{{figure}}.log",
    benchmark:
        f"{BENCHMARKS}/{{figure}}.tsv"
    wildcard_constraints:
        figure="|".join(QUANTITY_OF_FIGURE),
    threads: 1
    resources:
        **config["resources"]["paper"],
    params:
        quantity=lambda wildcards: QUANTITY_OF_FIGURE[wildcards.figure],
        methods=method_flags(),
        settings=flags(config["tables"]),
        code=source_digest("paper.figures_4_5"),
    shell:
        "betagvae bars {params.quantity} --methods {params.methods} --metrics {input:q} "
        "{params.settings} --outputs {output:q} 2> {log:q}"


rule training_curves:
    input:
        all_files(METHOD_RUNS, "training.json"),
        histories=all_files(METHOD_RUNS, "history.csv"),
    output:
        multiext(f"{RESULTS}/training_curves", *PICTURE_EXTENSIONS),
    log:
        f"{LOGS}/training_curves.log",
    benchmark:
        f"{BENCHMARKS}/training_curves.tsv"
    threads: 1
    resources:
        **config["resources"]["paper"],
    params:
        methods=method_flags(),
        code=source_digest("paper.figures_4_5"),
    shell:
        "betagvae curves --methods {params.methods} --histories {input.histories:q} "
        "--outputs {output:q} 2> {log:q}"


rule traversals:
    input:
        lambda wildcards: [
            f"{run}/{name}"
            for run in traversal_runs(wildcards.figure).values()
            for name in ("model.safetensors", "training.json", "metrics.json")
        ],
        array=lambda wildcards: array_path(DATASET_OF_FIGURE[wildcards.figure]),
    output:
        multiext(f"{RESULTS}/{{figure}}", *PICTURE_EXTENSIONS),
    log:
        f"{LOGS}/{{figure}}.log",
    benchmark:
        f"{BENCHMARKS}/{{figure}}.tsv"
    wildcard_constraints:
        figure="|".join(DATASET_OF_FIGURE),
    threads: 1
    resources:
        **config["resources"]["paper"],
    params:
        settings=traversal_flags,
        code=source_digest("paper.figures_6_7_8"),
    shell:
        "betagvae traversals {input.array:q} {params.settings} --outputs {output:q} 2> {log:q}"
