for dataset, jobs in TRAINING_JOBS.items():
    for number, trainings in enumerate(jobs, start=1):

        rule:
            name:
                f"training_{dataset}_{number:02}"
            input:
                array=array_path(dataset),
                metadata=array_path(dataset).replace(".npy", ".json"),
            output:
                model=[f"{run_path(*training)}/model.safetensors" for training in trainings],
                history=[f"{run_path(*training)}/history.csv" for training in trainings],
                record=[f"{run_path(*training)}/training.json" for training in trainings],
            log:
                f"{LOGS}/{job_name(trainings)}/train.log",
            benchmark:
                f"{BENCHMARKS}/{job_name(trainings)}/train.tsv"
            threads: config["training"]["threads"]
            resources:
                **config["resources"]["train"],
            params:
                settings=training_flags(dataset),
                code=source_digest("training.run"),
                runs=runs_of_outputs,
            shell:
                "betagvae train {input.array:q} --runs {params.runs:q} {params.settings} 2> {log:q}"
