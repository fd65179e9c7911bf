"""One of the machines of a race: registers the model of each day that it is told, as `gate_job` does.

    python -m benchmarks.registry_race

`benchmarks.many_machines` starts two of them, with homes of their own, and tells both a day at the same moment. Each
day is a process of its own, forked from one that has imported everything, so both begin at once and know nothing of the
registry's past.
"""

import os
import sys
import traceback


def register_day(day: str) -> str | None:
    """Take the stored model of a day through the gate; return why that failed, None if it did not."""
    from spam_assets.cli.open_home import open_instance
    from spam_assets.engine.run_days import run_days

    with open_instance() as (_, instance):
        (outcome,) = run_days(instance, "gate_job", day, day)
    return outcome.failure


def main() -> None:
    """Read days, a line each; answer each with `0`, or `1` after a failure, which is told on standard error."""
    import mlflow  # noqa: F401

    import spam_assets.definitions
    import spam_assets.engine.run_days
    import spam_assets.learning.succession  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                failure = register_day(line.strip())
                print(failure or "registered", file=sys.stderr, flush=True)
                status = int(failure is not None)
            except Exception:  # noqa: BLE001 - the process ends here, and nobody else would say why
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, status = os.waitpid(child, 0)
        print(int(status != 0), flush=True)


if __name__ == "__main__":
    main()
