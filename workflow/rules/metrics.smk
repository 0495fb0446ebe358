rule table2_metrics:
    input:
        f"{RESULTS}/table2.csv",
    output:
        METRICS,
    log:
        f"{LOGS}/table2_metrics.log",
    benchmark:
        f"{BENCHMARKS}/table2_metrics.tsv"
    threads: 1
    resources:
        **config["resources"]["paper"],
    params:
        code=source_digest("table_metrics"),
    shell:
        "betagvae metrics {input:q} --output {output:q} 2> {log:q}"
