from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ichscope import batch, phantom
from ichscope.models import registry
from ichscope.store import Store
from tests.batch.test_batch import table
from tests.support import tiny_model

STUDIES = 6


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Dask's own processes and sockets warn as they like
def test_two_processes_of_a_cluster_give_the_same_rows(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    tiny_model.build(tmp_path / "models", name="cranioscan")
    setup = batch.WorkerConfig(tmp_path / "models", provider="cpu")
    for seed in range(STUDIES):
        phantom.write(phantom.make("subdural", seed, slices=3, size=48), tmp_path / "in" / str(seed))
    (tmp_path / "in" / "broken.dcm").write_bytes(b"not a scan")
    Store.open(home=tmp_path / "here").close()
    shutil.copytree(tmp_path / "here", tmp_path / "there")  # the same key, or all hashes differ
    here = Store.open(home=tmp_path / "here")
    with batch.executor(2) as pool:
        batch.run([tmp_path / "in"], pool, here, setup)
    there = Store.open(home=tmp_path / "there")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with (
        distributed.LocalCluster(**options, local_directory=str(tmp_path)) as cluster,
        distributed.Client(cluster) as client,
    ):
        job = batch.run([tmp_path / "in"], client.get_executor(), there, setup)
        processes = {os.getpid(), *client.run(os.getpid).values()}
        loaded = client.run(lambda: registry.REGISTRY._loaded.cache_info().misses)
    assert (job.done, job.failed) == (STUDIES + 1, 0)
    assert len(processes) == 3
    assert set(loaded.values()) <= {0, 1}, "each process loads its models once"
    assert sum(loaded.values()) >= 1
    assert table(there) == table(here)
    assert {row.has_volume for row in there.worklist.page() if row.models} == {True}
    here.close()
    there.close()
