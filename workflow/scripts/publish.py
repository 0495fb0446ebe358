"""Keep a finished run's small files in results/published, and show it in the README.

    python workflow/scripts/publish.py dsprites

Tables, figures, verdicts, and as CSV the numbers of every training that they follow from; no
weights. The README's part between its two marks is written from the published files alone.
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from betagvae.errors import UserError
from betagvae.records.files import read_csv, read_json, write_csv, write_json
from betagvae.results.labels import split_label

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ("claims.md", "claims.json", "table2.md", "table2.csv", "scores.md", "scores.csv")
TEXTS += ("quality.md", "quality.csv")
PICTURES = {
    "fig4": "Reconstruction error of the three methods",
    "fig5": "KL divergence of the three methods",
    "fig6": "Latent traversals on CelebA",
    "fig7": "Latent traversals on dSprites",
    "fig8": "Latent traversals on 3D Chairs",
    "rate_distortion": "Reconstruction error against KL divergence of every training",
    "training_curves": "Both terms during training",
}
IN_THE_README = ("fig7", "rate_distortion")
VERDICTS = {
    "reproduced": "holds",
    "not reproduced": "does not hold",
    "inconclusive": "undecided",
    "not judged": "not judged",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish a run."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("run", help="a folder of results")
    options = p.parse_args(arguments)
    try:
        publish(ROOT / "results" / options.run, ROOT / "results" / "published" / options.run)
        rewrite_readme(ROOT / "README.md", ROOT / "results" / "published" / options.run)
    except UserError as error:
        print(f"publish: {error}", file=sys.stderr)
        return 1
    return 0


def publish(run: Path, published: Path) -> None:
    """Copy a run's small files, and gather the numbers and records of its trainings.

    Raises
    ------
    UserError
        When the run is not finished; what was published before stays.
    """
    trainings = [path.parent for path in sorted(run.glob("*/*/seed*/training.json"))]
    wanted = [run / name for name in TEXTS]
    wanted += [folder / name for folder in trainings for name in ("metrics.json", "history.csv")]
    missing = [path for path in wanted if not path.exists()]
    if missing or not trainings:
        lacking = missing[0].relative_to(run) if missing else "trainings"
        raise UserError(f"{run} has no {lacking}: finish the run first")
    published.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=published.parent) as folder:
        _write(run, trainings, Path(folder))
        if published.exists():
            shutil.rmtree(published)
        published.mkdir()
        for path in Path(folder).iterdir():
            shutil.move(path, published)


def _write(run: Path, trainings: Sequence[Path], folder: Path) -> None:
    for name in TEXTS:
        shutil.copyfile(run / name, folder / name)
    for name in PICTURES:
        if (run / f"{name}.png").exists():
            # 256 colours make a picture a third of the size.
            picture = Image.open(run / f"{name}.png").convert("RGB").quantize(256)
            picture.save(folder / f"{name}.png", optimize=True)
    own = _own(trainings)
    write_csv(folder / "runs.csv", [row for one in trainings for row in _numbers(one, own)])
    write_csv(folder / "curves.csv", [row for one in trainings for row in _curve(one, own)])
    write_json(folder / "provenance.json", _provenance(trainings, own))


def _own(trainings: Sequence[Path]) -> list[str]:
    """Return the settings that tell trainings apart."""
    settings = [read_json(folder / "training.json")["settings"] for folder in trainings]
    differing = (k for k in settings[0] if len({str(one[k]) for one in settings}) > 1)
    return list(dict.fromkeys(["beta", "gamma", *differing, "seed"]))


def _labels(folder: Path, own: Sequence[str]) -> dict[str, Any]:
    s = read_json(folder / "training.json")
    return {"dataset": s["data"]["dataset"], **{name: s["settings"][name] for name in own}}


def _numbers(folder: Path, own: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each split of a training's evaluation."""
    splits, labels = read_json(folder / "metrics.json")["splits"], _labels(folder, own)
    names = ("images", "reconstruction_error", "kl")
    return [
        {
            **labels,
            "split": split_label(split, splits),
            **{name: found[name] for name in names},
        }
        for split, found in splits.items()
    ]


def _curve(folder: Path, own: Sequence[str]) -> list[dict[str, Any]]:
    names = ("step", "reconstruction_error", "kl")
    rows, labels = read_csv(folder / "history.csv"), _labels(folder, own)
    return [{**labels, **{name: row[name] for name in names}} for row in rows]


def _provenance(trainings: Sequence[Path], own: Sequence[str]) -> dict[str, Any]:
    """Return what the trainings share, and what each has of its own."""
    records = [read_json(folder / "training.json") for folder in trainings]
    evaluated = read_json(trainings[0] / "metrics.json")
    return {
        "settings": {k: v for k, v in records[0]["settings"].items() if k not in own},
        "data": records[0]["data"],
        "trained_with": {
            k: v for k, v in records[0]["provenance"].items() if not k.startswith("peak_")
        },
        "evaluated_with": {k: evaluated[k] for k in ("precision", "surroundings")},
        "trainings": [
            {
                **{k: record["settings"][k] for k in own},
                "weights": record["weights"],
                "seconds": record["seconds"],
                "trained_side_by_side": record["trained_side_by_side"],
                "revision": record["provenance"]["revision"],
                "device": record["provenance"]["device"],
                "peak_memory_mb": record["provenance"]["peak_memory_mb"],
                "peak_gpu_memory_mb": record["provenance"]["peak_gpu_memory_mb"],
            }
            for record in records
        ],
    }


def rewrite_readme(readme: Path, published: Path) -> None:
    """Put a published run between the README's two marks."""
    marks = re.compile(r"(<!-- published: begin -->\n).*(<!-- published: end -->)", re.S)
    text = readme.read_text(encoding="utf-8")
    block = readme_block(published, published.relative_to(readme.parent).as_posix())
    readme.write_text(marks.sub(lambda found: found[1] + block + found[2], text), encoding="utf-8")


def readme_block(published: Path, link: str) -> str:
    """Return the README's part about a published run, from its files alone."""
    claims = json.loads((published / "claims.json").read_text(encoding="utf-8"))
    tested = [
        (result["claim"], test)
        for result in claims["claims"]
        for test in result["results"]
        if test["verdict"] != "not tested"
    ]
    header = "| Claim | | Compared | Difference (95 % interval) | Claimed | Verdict |\n"
    header += "| --- | --- | --- | ---: | ---: | --- |\n"
    shown = [name for name in IN_THE_README if (published / f"{name}.png").exists()]
    pictures = [f"![{PICTURES[name]}]({link}/{name}.png)\n" for name in shown]
    return "\n".join(
        [
            f"{_conditions(published)} {_counts([test['verdict'] for _, test in tested])}"
            f"{_trade_off(tested)}\n",
            header + "\n".join(_row(*one) for one in tested) + "\n",
            f"All numbers, figures and reasons: [{link}]({link}/claims.md).\n",
            *pictures,
        ]
    )


def _conditions(published: Path) -> str:
    p = read_json(published / "provenance.json")
    seconds = max(training["seconds"] for training in p["trainings"])
    seeds = len({training["seed"] for training in p["trainings"]})
    data = " and ".join(dict.fromkeys(row["data"] for row in read_csv(published / "table2.csv")))
    return (
        f"On {data}, with {seeds} seeds of {p['settings']['steps']:,} steps a method "
        f"({len(p['trainings'])} trainings side by side in {seconds / 60:.0f} minutes of one "
        f"{p['trained_with']['device']}, {seconds / 3600:.2f} GPU hours, "
        f"{p['settings']['precision'].upper()}):"
    )


def _counts(verdicts: Sequence[str]) -> str:
    counted = [
        f"{verdicts.count(verdict)} {words}"
        for verdict, words in (
            ("reproduced", "hold"),
            ("not reproduced", "do not hold"),
            ("inconclusive", "are undecided"),
            ("not judged", "are not judged"),
        )
        if verdict in verdicts
    ]
    return f"of {len(verdicts)} claims that can be tested there, {', '.join(counted)}."


def _trade_off(tested: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> str:
    """Return a sentence about how β-GVAE stands to β-VAE on a data set where all of it was tested.

    Both terms, and their sum with the weight with which β-VAE minimises it.
    """
    found = {
        (claim["quantity"], test["data"]): (claim, test["comparisons"][0])
        for claim, test in tested
        if claim["compared_with"] == ["β-VAE"] and test["verdict"] != "not judged"
    }
    for quantity, data in found:
        terms = [(name, data) for name in ("kl", "reconstruction_error", "objective")]
        if quantity == "objective" and all(term in found for term in terms):
            claims, comparisons = zip(*map(found.get, terms), strict=True)
            kl, error, objective = (_range(one["difference"]) for one in comparisons)
            weight = claims[-1]["beta"]
            return (
                f" Against β-VAE, β-GVAE's KL divergence differs by {kl} nats, its reconstruction "
                f"error by {error}, and reconstruction error + {weight:g} · KL divergence, which "
                f"β-VAE itself minimises, by {objective} (95 % intervals){_meaning(*comparisons)}."
            )
    return ""


def _meaning(*comparisons: Mapping[str, Any]) -> str:
    """Return what differences of KL divergence, error and their sum mean, where it is plain."""
    kl, error, objective = (comparison["difference"] for comparison in comparisons)
    if kl["mean"] * error["mean"] >= 0:
        return ""
    if objective["low"] <= 0 <= objective["high"]:
        beyond = ", and whether beyond it these seeds cannot tell"
    else:
        beyond = ", and beyond it" if objective["mean"] < 0 else ", and falls short of it"
    return f": it moves along β-VAE's trade-off{beyond}"


def _row(claim: Mapping[str, Any], test: Mapping[str, Any]) -> str:
    weakest = min(test["comparisons"], key=_strength)
    text = claim["text"] + (" *" if claim["made_on"] else "")
    compared = f"{weakest['method']} − {weakest['compared_with']}"
    verdict = VERDICTS[test["verdict"]]
    return (
        f"| {claim['id']} | {text} | {compared} | {_range(weakest['difference'])} | "
        f"{weakest['side']} {_number(weakest['bound'])} | **{verdict}** |"
    )


def _strength(comparison: Mapping[str, Any]) -> float:
    surplus = comparison["surplus"]
    return surplus["mean"] if surplus["low"] is None else surplus["low"]


def _range(interval: Mapping[str, Any]) -> str:
    mean = _number(interval["mean"])
    if interval["low"] is None:
        return mean
    return f"{mean} ({_number(interval['low'])} to {_number(interval['high'])})"


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


if __name__ == "__main__":
    sys.exit(main())
