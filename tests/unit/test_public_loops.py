"""Timing foreign loops: on a repository made for the test, with the shape of a real one."""

import dataclasses
import subprocess

import compare
import public_loops
import pytest
from public_loops import PUBLIC_LOOPS, SKIPPED, LoopSettings, PacedLoader, Peer, check_loop

from betagvae.errors import UserError

SOLVER = """
import time
from dataset import return_data

def train():
    loader = return_data(None)
    for batch in loader:
        time.sleep(0.01)
        assert batch < LIMIT, "the loss exploded"
"""


class Clock:
    """A connection that asks for rounds, and a clock that counts the batches handed out."""

    def __init__(self, rounds):
        self.rounds, self.answers, self.batches = rounds, [], 0

    def recv(self):
        if not self.rounds:
            raise EOFError
        return self.rounds.pop(0)

    def send(self, answer):
        self.answers.append(answer)

    def monotonic(self):
        return self.batches


def test_a_round_is_so_many_whole_steps_after_those_that_were_loaded_ahead(monkeypatch):
    clock = Clock([5, 1])
    monkeypatch.setattr(public_loops.time, "monotonic", clock.monotonic)
    with pytest.raises(EOFError):
        for _ in PacedLoader([0, 1, 2], clock):
            clock.batches += 1
    assert clock.answers == [5, 1]
    assert clock.batches == 2 * SKIPPED + 5 + 1


@pytest.fixture
def checkout(tmp_path):
    """Return a function that makes a repository whose loop fails at a batch."""

    def make(limit):
        folder = tmp_path / "checkout"
        folder.mkdir()
        (folder / "main.py").write_text("import solver, visdom\nsolver.train()\n")
        (folder / "solver.py").write_text(SOLVER.replace("LIMIT", str(limit)))
        (folder / "dataset.py").write_text("def return_data(args):\n    return range(30)\n")
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "loop"]):
            subprocess.run(["git", "-C", folder, *words], check=True)
        head = ["git", "-C", folder, "rev-parse", "HEAD"]
        commit = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
        loop = dataclasses.replace(PUBLIC_LOOPS["1Konny/Beta-VAE"], commit=commit)
        return LoopSettings(loop, "dsprites", "higgins", tmp_path, threads=1), folder

    return make


def test_only_the_very_commit_is_timed(checkout):
    settings, folder = checkout(99)
    check_loop(settings.loop, folder)
    with pytest.raises(UserError, match="is not 1Konny/Beta-VAE at"):
        check_loop(PUBLIC_LOOPS["1Konny/Beta-VAE"], folder)
    (folder / "solver.py").write_text("faster = True")
    with pytest.raises(UserError, match="restore"):
        check_loop(settings.loop, folder)


def test_what_reads_a_loop_s_images_must_be_there(checkout):
    settings, folder = checkout(99)
    loop = dataclasses.replace(settings.loop, needs={"no_such_reader": "no-such-reader"})
    with pytest.raises(UserError, match="-m pip install no-such-reader"):
        check_loop(loop, folder)


def test_a_loop_runs_in_rounds_and_writes_nothing_into_its_checkout(checkout, tmp_path):
    settings, folder = checkout(99)
    before = sorted(folder.iterdir())
    with Peer(settings, folder, tmp_path / "copy") as peer:
        assert peer.seconds(3) >= 0.03
        assert peer.seconds(20) >= 0.2
    assert sorted(folder.iterdir()) == before


def test_a_loop_that_fails_says_why(checkout, tmp_path):
    settings, folder = checkout(10)
    with (
        Peer(settings, folder, tmp_path / "copy") as peer,
        pytest.raises(UserError, match="the loss exploded"),
    ):
        peer.seconds(5)


def test_ratios_are_medians_of_rounds_not_ratios_of_medians():
    labels = {"public_loop": "a", "dataset": "b", "network": "c", "likelihood": "d"}
    rounds = [(100, 200), (50, 150), (10, 20)]
    rows = [
        {**labels, "round": i, "public": theirs, "one_process": ours, "ratio_x": ours / theirs}
        for i, (theirs, ours) in enumerate(rounds)
    ]
    (found,) = compare.medians(rows)
    assert found["public"] == 50
    assert found["one_process"] == 150
    assert found["ratio_x"] == 2
    assert found["ratio_x_range"] == [2, 3]


@pytest.mark.parametrize("case", compare.CASES, ids=str)
def test_each_case_trains_what_the_public_loop_trains(case):
    assert case.repository in PUBLIC_LOOPS
    settings = compare.our_settings(case, "bfloat16")
    assert settings.precision == "bfloat16"
    assert (settings.network, settings.likelihood) == (case.network, case.likelihood)
    assert (settings.batch_size, settings.gamma, settings.threads) == (64, 0, 1)
    words = " ".join(PUBLIC_LOOPS[case.repository].arguments(case.dataset, case.network))
    assert "64" in words
