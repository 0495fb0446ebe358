TABLES = [f"{RESULTS}/table2.json"] + [
    f"{RESULTS}/{table}{extension}"
    for table in (["table1"] if EXPERIMENT.swept else []) + ["table2", "scores", "quality"]
    for extension in (".csv", ".md", ".tex")
]
FIGURES = [
    f"{RESULTS}/{figure}{extension}"
    for figure in [*QUANTITY_OF_FIGURE, *DATASET_OF_FIGURE, "training_curves", "rate_distortion"]
    for extension in PICTURE_EXTENSIONS
]
CLAIMS = multiext(f"{RESULTS}/claims", ".json", ".md")


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
        all_files(EXPERIMENT.of_table1().all_trainings(), "metrics.json"),
    output:
        multiext(f"{RESULTS}/table1", ".csv", ".md", ".tex"),
    log:
        f"{LOGS}/table1.log",
    benchmark:
        f"{BENCHMARKS}/table1.tsv"
    threads: 1
    resources:
        **resources("paper"),
    params:
        experiment=EXPERIMENT.of_table1().as_json(),
        settings=flags(config["tables"]),
        code=paper_digest("paper.tables_1_2"),
    shell:
        "betagvae table1 --experiment {params.experiment:q} {params.settings} "
        "--outputs {output:q} 2> {log:q}"


rule table2:
    input:
        all_files(METHOD_TRAININGS, "metrics.json"),
    output:
        multiext(f"{RESULTS}/table2", ".csv", ".md", ".tex"),
    log:
        f"{LOGS}/table2.log",
    benchmark:
        f"{BENCHMARKS}/table2.tsv"
    threads: 1
    resources:
        **resources("paper"),
    params:
        experiment=EXPERIMENT.without_table1().as_json(),
        settings=flags(config["tables"]),
        code=paper_digest("paper.tables_1_2"),
    shell:
        "betagvae table2 --experiment {params.experiment:q} {params.settings} "
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
        **resources("paper"),
    params:
        code=source_digest("paper.table_2_metrics"),
    shell:
        "betagvae metrics {input:q} --output {output:q} 2> {log:q}"


rule score_tables:
    input:
        all_files(TRAININGS, "scores.json"),
    output:
        multiext(f"{RESULTS}/scores", ".csv", ".md", ".tex"),
    log:
        f"{LOGS}/score_tables.log",
    benchmark:
        f"{BENCHMARKS}/score_tables.tsv"
    threads: 1
    resources:
        **resources("paper"),
    params:
        experiment=EXPERIMENT.as_json(),
        settings=flags(config["tables"]),
        code=paper_digest("paper.score_tables"),
    shell:
        "betagvae score-tables --experiment {params.experiment:q} {params.settings} "
        "--outputs {output:q} 2> {log:q}"


rule quality_tables:
    input:
        all_files(TRAININGS, "quality.json"),
    output:
        multiext(f"{RESULTS}/quality", ".csv", ".md", ".tex"),
    log:
        f"{LOGS}/quality_tables.log",
    benchmark:
        f"{BENCHMARKS}/quality_tables.tsv"
    threads: 1
    resources:
        **resources("paper"),
    params:
        experiment=EXPERIMENT.as_json(),
        settings=flags(config["tables"]),
        code=paper_digest("paper.quality_tables"),
    shell:
        "betagvae quality-tables --experiment {params.experiment:q} {params.settings} "
        "--outputs {output:q} 2> {log:q}"


rule bars:
    input:
        all_files(METHOD_TRAININGS, "metrics.json"),
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
        **resources("paper"),
    params:
        quantity=lambda wildcards: QUANTITY_OF_FIGURE[wildcards.figure],
        experiment=EXPERIMENT.without_table1().as_json(),
        settings=flags(config["tables"]),
        code=paper_digest("paper.figures_4_5"),
    shell:
        "betagvae bars {params.quantity} --experiment {params.experiment:q} "
        "{params.settings} --outputs {output:q} 2> {log:q}"


rule training_curves:
    input:
        all_files(METHOD_TRAININGS, "training.json", "history.csv"),
    output:
        multiext(f"{RESULTS}/training_curves", *PICTURE_EXTENSIONS),
    log:
        f"{LOGS}/training_curves.log",
    benchmark:
        f"{BENCHMARKS}/training_curves.tsv"
    threads: 1
    resources:
        **resources("paper"),
    params:
        experiment=EXPERIMENT.without_table1().as_json(),
        code=paper_digest("paper.training_curves"),
    shell:
        "betagvae curves --experiment {params.experiment:q} --outputs {output:q} " "2> {log:q}"


rule rate_distortion:
    input:
        all_files(TRAININGS, "metrics.json"),
    output:
        multiext(f"{RESULTS}/rate_distortion", *PICTURE_EXTENSIONS),
    log:
        f"{LOGS}/rate_distortion.log",
    benchmark:
        f"{BENCHMARKS}/rate_distortion.tsv"
    threads: 1
    resources:
        **resources("paper"),
    params:
        experiment=EXPERIMENT.as_json(),
        code=paper_digest("paper.rate_distortion"),
    shell:
        "betagvae rate-distortion --experiment {params.experiment:q} --outputs {output:q} "
        "2> {log:q}"


rule traversals:
    input:
        traversal_files,
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
        **resources("paper"),
    params:
        settings=traversal_flags,
        experiment=lambda wildcards: shown_in_traversals(wildcards).as_json(),
        code=paper_digest("paper.figures_6_7_8"),
    shell:
        "betagvae traversals {input.array:q} --experiment {params.experiment:q} {params.settings} "
        "--outputs {output:q} 2> {log:q}"


rule claims:
    input:
        all_files(TRAININGS, "metrics.json", "scores.json", "quality.json"),
        claims=CLAIMS_FILE,
    output:
        CLAIMS,
    log:
        f"{LOGS}/claims.log",
    benchmark:
        f"{BENCHMARKS}/claims.tsv"
    threads: 1
    resources:
        **resources("paper"),
    params:
        experiment=EXPERIMENT.as_json(),
        settings=flags(config["tables"]),
        code=paper_digest("paper.claims.judging"),
    shell:
        "betagvae claims {input.claims:q} --experiment {params.experiment:q} {params.settings} "
        "--outputs {output:q} 2> {log:q}"
