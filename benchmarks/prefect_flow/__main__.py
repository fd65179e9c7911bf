"""What a person does with the flow: keep the secret, run it here, serve it, or deploy it to a work pool.

    python -m benchmarks.prefect_flow secret sqlite:////home/me/.spam_assets/mlflow.db
    python -m benchmarks.prefect_flow run --home .spam_assets 2002-08-01 2002-08-02
    python -m benchmarks.prefect_flow serve [date|dates]
    python -m benchmarks.prefect_flow deploy [date|dates] && prefect worker start --pool training

`PREFECT_API_URL` names the server; the work pool is made by `prefect work-pool create training --type process`.
"""

import argparse
from pathlib import Path

from prefect import flow
from prefect.blocks.system import Secret

from benchmarks.prefect_flow.flow import FLOWS, SECRET, train_date, train_dates

PROJECT = Path(__file__).parent.parent.parent
POOL = "training"
ENTRYPOINT = "benchmarks/prefect_flow/flow.py:train_{}"


def main() -> int:
    """Do what the command line says; return 1 if a flow failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.prefect_flow",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("secret", help="keep MLflow's URI in the Secret block").add_argument("uri")
    run = commands.add_parser("run", help="run dates in this process")
    run.add_argument("days", nargs="+", metavar="YYYY-MM-DD")
    run.add_argument("--home", default=".spam_assets")
    run.add_argument("--caching", choices=("none", "arguments", "content"), default="content")
    for name, what in (("serve", "stay up and run what is asked for"), ("deploy", f"deploy to the pool {POOL}")):
        commands.add_parser(name, help=what).add_argument("flow", nargs="?", choices=tuple(FLOWS), default="dates")
    options = parser.parse_args()
    if options.command == "secret":
        Secret(value=options.uri).save(SECRET, overwrite=True)
    elif options.command == "serve":
        FLOWS[options.flow].serve(name="served")
    elif options.command == "deploy":
        deployed = flow.from_source(source=str(PROJECT), entrypoint=ENTRYPOINT.format(options.flow))
        deployed.deploy(name="worked", work_pool_name=POOL)
    elif len(options.days) == 1:
        state = train_date(options.days[0], options.home, options.caching, return_state=True)
        print(state.name, state.message or "")
        return int(not state.is_completed())
    else:
        state = train_dates(options.days, options.home, options.caching, return_state=True)
        print(state.name, state.message or "")
        return int(not state.is_completed())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
