from snakemake.common.configfile import load_configfile

CLAIMS_FILE = find_file(config["claims"])
validate(load_configfile(CLAIMS_FILE), "../schemas/claims.schema.yaml", set_default=False)

CLAIMS = multiext(f"{RESULTS}/claims", ".json", ".md")
EVIDENCE = all_files(ALL_RUNS, "metrics.json", "scores.json", "quality.json")


rule claims:
    input:
        claims=CLAIMS_FILE,
        evidence=EVIDENCE,
    output:
        CLAIMS,
    log:
        f"{LOGS}/claims.log",
    benchmark:
        f"{BENCHMARKS}/claims.tsv"
    threads: 1
    resources:
        **config["resources"]["paper"],
    params:
        methods=method_flags(),
        settings=flags(config["tables"]),
        code=source_digest("paper.claims"),
    shell:
        "betagvae claims {input.claims:q} --methods {params.methods} "
        "--evidence {input.evidence:q} {params.settings} --outputs {output:q} 2> {log:q}"


rule rate_distortion:
    input:
        all_files(ALL_RUNS, "metrics.json"),
    output:
        multiext(f"{RESULTS}/rate_distortion", *PICTURE_EXTENSIONS),
    log:
        f"{LOGS}/rate_distortion.log",
    benchmark:
        f"{BENCHMARKS}/rate_distortion.tsv"
    threads: 1
    resources:
        **config["resources"]["paper"],
    params:
        methods=method_flags(),
        code=source_digest("paper.rate_distortion"),
    shell:
        "betagvae rate-distortion --methods {params.methods} --metrics {input:q} "
        "--outputs {output:q} 2> {log:q}"
