"""Work in a process of its own, also from a process of Celery's pool, which by itself may start none."""

import subprocess
import sys
from pathlib import Path

import pytest

from spam_assets_tests.conftest import PROJECT

IN_A_WORKER = """
import operator, os, sys
import billiard, multiprocessing
from spam_assets.engine.child_process import run_in_child

def work():
    assert multiprocessing.current_process().daemon
    print(run_in_child(30, operator.add, 1, 2), run_in_child(30, os.getpid) != os.getpid(), flush=True)
    assert multiprocessing.current_process().daemon

if __name__ == "__main__":
    worker = billiard.get_context("fork").Process(target=work, daemon=True)
    worker.start()
    worker.join(30)
    sys.exit(worker.exitcode)
"""


@pytest.mark.timeout(120)
def test_a_worker_of_celerys_pool_may_have_children(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(IN_A_WORKER)
    environment = {"PYTHONPATH": f"{PROJECT}:{':'.join(sys.path[1:])}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=100)
    assert done.stdout == "3 True\n", done.stderr
