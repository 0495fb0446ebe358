"""Ordered work on several processes with bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from torch.utils.data import DataLoader, Dataset

T = TypeVar("T")
R = TypeVar("R")


class _Work(Dataset):
    """The results as a data set, so that PyTorch's loader can spread and order them."""

    def __init__(self, function: Callable[[T], R], items: Sequence[T]) -> None:
        self.function, self.items = function, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> R:
        return self.function(self.items[index])


def in_order(function: Callable[[T], R], items: Sequence[T], processes: int) -> Iterator[R]:
    """Yield ``function(item)`` for each item, in order.

    Processes read CelebA about an eighth faster than as many threads, and drawing chairs holds
    the interpreter lock throughout; the loader gives each process one PyTorch thread.
    """
    workers = min(processes, len(items))
    yield from DataLoader(
        _Work(function, items),
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=workers if workers > 1 else 0,
    )


def _as_it_is(result: R) -> R:
    """Keep the loader from turning arrays into tensors, which would need shared memory."""
    return result
