"""CPU seconds that loading the code location costs, beside importing Dagster and dagster-mlflow alone.

python -m benchmarks.loading [--json FILE]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

STATEMENTS = {
    "import dagster, dagster_mlflow": "import dagster, dagster_mlflow",
    "spam_assets.definitions": (
        "from spam_assets.definitions import defs; defs.get_repository_def(); defs.resolve_asset_graph()"
    ),
}
ROUNDS = 5


def measure_cpu_seconds(statement: str) -> float:
    """Return user + system CPU seconds of a fresh process that executes a statement."""
    code = f"{statement}\nimport time; print(time.process_time())"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print both medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    for statement in STATEMENTS.values():  # fills the file cache
        measure_cpu_seconds(statement)
    rounds = [{name: measure_cpu_seconds(code) for name, code in STATEMENTS.items()} for _ in range(ROUNDS)]
    medians = {name: statistics.median(found[name] for found in rounds) for name in STATEMENTS}
    peer, ours = medians.values()
    for name, seconds in medians.items():
        print(f"{name:32} {seconds:.2f} CPU s (median of {ROUNDS})")
    print(f"ratio {ours / peer:.2f}")
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"peer_cpu_seconds": peer, "cpu_seconds": ours, "ratio": ours / peer}, indent=2)
        )


if __name__ == "__main__":
    main()
