for dataset, jobs in JOBS.items():
    for number, folders in enumerate(jobs, start=1):

        rule:
            name:
                f"training_{dataset}_{number:02}"
            input:
                array=array_path(dataset),
                metadata=array_path(dataset).replace(".npy", ".json"),
            output:
                model=[f"{folder}/model.safetensors" for folder in folders],
                history=[f"{folder}/history.csv" for folder in folders],
                record=[f"{folder}/training.json" for folder in folders],
            log:
                f"{LOGS}/{job_name(folders)}/train.log",
            benchmark:
                f"{BENCHMARKS}/{job_name(folders)}/train.tsv"
            threads: BY_FOLDER[folders[0]].settings.threads
            resources:
                **resources("train"),
            params:
                settings=flags(SHARED[dataset]),
                code=source_digest("training.run"),
                trainings=trainings_of_outputs,
            shell:
                "betagvae train {input.array:q} --trainings {params.trainings:q} {params.settings} "
                "2> {log:q}"
