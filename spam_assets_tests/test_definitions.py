"""The code location as Dagster sees it, loaded in fresh processes."""

import os
import subprocess
import sys

import pytest

from spam_assets_tests.conftest import PROJECT

CONTRACT = {
    "champion_report": {"mail_features"},
    "scored_mail": set(),
    "raw_mail": set(),
    "validated_mail": {"raw_mail"},
    "mail_features": {"validated_mail"},
    "trained_model": {"mail_features", "validated_mail", "training_window"},
    "registered_model": {"trained_model", "mail_features", "training_window"},
}


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env={**os.environ, **environment},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_the_asset_graph_is_the_one_of_the_contract() -> None:
    from spam_assets.definitions import defs

    graph = defs.resolve_asset_graph()
    found = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.materializable_asset_keys
    }
    assert found == CONTRACT
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.partitions_def is not None
        assert node.description
        assert node.owners
        assert node.group_name in {"mail", "learning"}


def test_every_rule_that_guards_a_model_is_a_blocking_check() -> None:
    from spam_assets.definitions import defs

    specs = {spec.name: spec for check in defs.asset_checks or [] for spec in check.check_specs}  # type: ignore[union-attr]
    assert {name for name, spec in specs.items() if spec.blocking} == {
        "frame_has_mail_schema",
        "columns_are_present",
        "bodies_have_text",
        "labels_are_known",
        "message_ids_are_unique",
        "dates_are_inside_partition",
        "day_has_messages",
    }
    assert len(specs) == 12
    assert not specs["labels_agree_with_earlier_days"].blocking  # the day is learnt by no model, whatever ran before


def test_mail_without_labels_is_checked_by_the_rules_that_need_none() -> None:
    from spam_assets.assets import scored_mail

    assert {spec.name for spec in scored_mail.check_specs} == {
        "frame_has_mail_schema",
        "columns_are_present",
        "message_ids_are_unique",
        "dates_are_inside_partition",
        "day_has_messages",
    }


def test_labelled_and_unlabelled_mail_have_jobs_of_their_own() -> None:
    from spam_assets.definitions import defs

    def selected(job: str) -> set[str]:
        layer = defs.resolve_job_def(job).asset_layer
        return {key.to_user_string() for key in layer.executable_asset_keys}

    assert selected("score_job") == {"scored_mail"}
    for job in ("train_job", "mail_job", "retrain_job", "gate_job"):
        assert selected(job)
        assert "scored_mail" not in selected(job)


def test_definitions_load_in_a_fresh_process_without_a_warning_or_heavy_imports() -> None:
    done = run_python(
        "import sys; from spam_assets.definitions import defs; defs.resolve_asset_graph()\n"
        "print(sorted({'sklearn', 'matplotlib', 'numba', 'pandera', 'apprise', 'dagster_postgres', 'dagster_celery', "
        "'psycopg2', 'spam_assets.shared.postgres'} & set(sys.modules)))",
        SPAM_ASSETS_ALERT_URLS="jsons://alerts.example.com",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
    assert "Warning" not in done.stderr


def test_days_that_train_nothing_spread_over_runs_and_training_stays_in_one() -> None:
    done = run_python(
        "from spam_assets.definitions import defs\n"
        "graph = defs.resolve_asset_graph()\n"
        "for key in sorted(graph.materializable_asset_keys):\n"
        "    print(key.to_user_string(), graph.get(key).backfill_policy.max_partitions_per_run)\n"
        "jobs = [defs.resolve_job_def(name) for name in ('mail_job', 'retrain_job')]\n"
        "print([job.backfill_policy.max_partitions_per_run for job in jobs])",
        SPAM_ASSETS_DAYS_PER_RUN="7",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        *("champion_report 7", "mail_features 7", "raw_mail 7", "registered_model None"),
        *("scored_mail 7", "trained_model None", "validated_mail 7"),
        "[7, None]",
    ]
    assert "Warning" not in done.stderr


def test_a_start_after_the_end_is_one_clear_sentence() -> None:
    done = run_python(
        "from spam_assets.cli.app import main; import sys; sys.argv = ['spam-assets', 'models']; main()",
        SPAM_ASSETS_START_DATE="2024-02-01",
        SPAM_ASSETS_END_DATE="2024-01-01",
    )
    assert done.returncode == 1
    assert "SPAM_ASSETS_END_DATE (2024-01-01) is before SPAM_ASSETS_START_DATE (2024-02-01)" in done.stderr.replace(
        "\n", " "
    )
    assert "Traceback" not in done.stderr


def test_the_tracking_uri_is_shown_nowhere_in_the_definitions() -> None:
    done = run_python(
        "from spam_assets.definitions import defs\n"
        "from dagster._core.remote_representation.external_data import RepositorySnap\n"
        "from dagster._serdes import serialize_value\n"
        "print(serialize_value(RepositorySnap.from_def(defs.get_repository_def())))",
        MLFLOW_TRACKING_URI="https://user:hunter2@mlflow.example.com",
    )
    assert done.returncode == 0, done.stderr
    assert "raw_mail" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.slow
def test_sensors_that_tell_are_on_once_there_is_a_channel_of_any_kind() -> None:
    code = (
        "from spam_assets.definitions import defs\n"
        "print([defs.get_sensor_def(name).default_status.value for name in ('alerts', 'alert_failures')])"
    )
    assert run_python(code).stdout.strip() == "['STOPPED', 'STOPPED']"
    for name, value in (("URLS", "jsons://alerts.example.com"), ("WEBHOOK", "https://chat.example.com/hooks/x")):
        assert run_python(code, **{f"SPAM_ASSETS_ALERT_{name}": value}).stdout.strip() == "['RUNNING', 'RUNNING']"


def test_the_urls_of_alert_services_are_shown_nowhere_in_the_definitions() -> None:
    done = run_python(
        "from spam_assets.definitions import defs\n"
        "from dagster._core.remote_representation.external_data import RepositorySnap\n"
        "from dagster._serdes import serialize_value\n"
        "print(serialize_value(RepositorySnap.from_def(defs.get_repository_def())))",
        SPAM_ASSETS_ALERT_URLS="jsons://user:hunter2@alerts.example.com/hunter2",
    )
    assert done.returncode == 0, done.stderr
    assert "alert_failures" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
