import pytest
from trees import copy_tree, snakemake


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A tree in which the tiny workflow has run outside any container."""
    folder = copy_tree(tmp_path_factory.mktemp("workflow") / "a folder")
    snakemake(folder)
    return folder
