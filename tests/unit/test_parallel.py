import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from betagvae.data.parallel import in_order, meanwhile
from betagvae.errors import UserError


def fill(item, array):
    time.sleep(0.02 * (item % 3 == 0))  # some take longer than those after them
    array[:] = item
    return -item


@pytest.mark.parametrize("processes", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_results_come_in_order_and_whole(processes, count):
    items = [7 * number % 256 for number in range(count)]
    results = [(array.copy(), answer) for array, answer in in_order(fill, items, processes, (2, 3))]
    assert [answer for _, answer in results] == [-item for item in items]
    assert all((array == item).all() for (array, _), item in zip(results, items, strict=True))


def test_an_array_holds_until_the_next_is_asked_for():
    for item, (array, _) in enumerate(in_order(fill, range(12), 2, (4,))):
        time.sleep(0.03)  # the processes go on meanwhile
        assert (array == item).all()


def test_memory_is_bounded():
    """Three arrays a process, however many items there are."""
    arrays = [array for array, _ in in_order(fill, range(40), 2, (4,))]
    assert len({array.ctypes.data for array in arrays}) == 6


def test_what_a_process_raises_is_raised():
    def refuse(item, array):
        raise UserError(f"not {item}")

    with pytest.raises(UserError) as error:
        list(in_order(refuse, [0], 2, (1,)))
    assert str(error.value) == "not 0"
    assert "in refuse" in error.value.__notes__[0]


def test_a_process_that_is_killed():
    def die(item, array):
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(UserError, match=r"killed \(exit code -9\).*with more memory") as error:
        list(in_order(die, range(5), 2, (1,)))
    assert "\n" not in str(error.value)


def test_a_process_that_is_killed_while_its_last_answer_waits():
    def die_later(item, array):
        if item:
            os.kill(os.getpid(), signal.SIGKILL)

    results = in_order(die_later, range(9), 1, (1,))
    next(results)
    time.sleep(0.5)
    with pytest.raises(UserError, match=r"killed \(exit code -9\)"):
        list(results)


def test_an_error_that_cannot_be_sent_is_told_all_the_same():
    def refuse(item, array):
        raise ValueError("not this", lambda: None)

    with pytest.raises(RuntimeError, match="not this"):
        list(in_order(refuse, [0], 1, (1,)))


def test_no_process_is_one():
    assert [result.answer for result in in_order(lambda item, array: item, [3, 4], 0, (1,))] == [
        3,
        4,
    ]


def test_processes_end_with_the_reading():
    results = in_order(lambda item, array: os.getpid(), range(20), 2, (1,))
    processes = {next(results).answer for _ in range(10)}
    results.close()
    assert not any(Path(f"/proc/{process}").exists() for process in processes)


def test_processes_end_with_the_one_that_started_them():
    """Even when that one is killed."""
    script = (
        "import os, signal\n"
        "from betagvae.data.parallel import in_order\n"
        "results = in_order(lambda item, array: os.getpid(), range(99), 3, (1,))\n"
        "print(*{next(results).answer for _ in range(50)}, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # The processes hold the pipe open as long as they live.
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, timeout=20)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split()


def test_meanwhile(tmp_path):
    answer = tmp_path / "answer"

    def wait():
        for _ in range(2000):
            if answer.exists():
                return answer.name
            time.sleep(0.01)
        raise TimeoutError

    result = meanwhile(wait)
    answer.touch()
    assert result() == "answer"


def test_meanwhile_raises_what_it_raised():
    result = meanwhile(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        result()
