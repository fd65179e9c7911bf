"""deploy/: what can be told of it where there is no Docker and no Kubernetes."""

import importlib.util
import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import ValidationError

from spam_assets.engine.shared_instance import CELERY_URL, write_instance, write_worker_settings
from spam_assets.settings import Settings
from spam_assets_tests import deployment
from spam_assets_tests.conftest import PROJECT
from spam_assets_tests.deployment import DEPLOY, read_compose, read_dockerfile, read_values

needs_celery = pytest.mark.skipif(importlib.util.find_spec("dagster_celery") is None, reason="pip install '.[scale]'")
needs_kubernetes = pytest.mark.skipif(importlib.util.find_spec("dagster_k8s") is None, reason="pip install dagster-k8s")
WRITABLE = {"/var/lib/spam-assets", "/var/cache/spam-assets", "/tmp"}
SECRET_NAME = re.compile(r"(?i)(password|secret|token|access_key|_key)$|AUTH$")
VARIABLE = re.compile(r"\$\{(\w+):?[?-]?[^}]*\}")


# --- compose.yaml


def test_compose_has_all_services_and_they_fit_together() -> None:
    compose = read_compose()
    assert {*compose.services} == {
        "prepare", "code", "webserver", "daemon", "worker", "mlflow", "postgres", "redis", "s3",
    }  # fmt: skip
    assert compose.services["worker"].deploy is not None
    assert compose.services["worker"].deploy.replicas == 2
    for name, service in compose.services.items():
        assert (service.healthcheck is None) == (name == "prepare"), name
        for other, dependency in service.depends_on.items():
            is_once = dependency.condition == "service_completed_successfully"
            assert is_once == (other == "prepare"), f"{name} waits for {other}"
        for mount in service.volumes:
            if mount.type == "bind":
                assert (DEPLOY / str(mount.source)).is_file()
                assert mount.read_only
            elif mount.source is not None:
                assert mount.source in compose.volumes
        assert all(config.source in compose.configs for config in service.configs)


def test_our_services_write_in_three_folders_only_and_are_nobody_special() -> None:
    for service in read_compose().ours.values():
        assert service.read_only
        assert service.cap_drop == ["ALL"]
        assert service.security_opt == ["no-new-privileges:true"]
        assert {mount.target for mount in service.volumes if mount.type == "volume"} == WRITABLE


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("read_only: true\n  cap_drop", "read_onyl: true\n  cap_drop"),
        ("interval: 60s", "interval: 60"),
        ("condition: service_healthy", "condition: healthy"),
        ('ports: ["127.0.0.1:3000:3000"]', 'ports: ["3000:3000"]'),
        ('MLFLOW_PORT: "5000"', "MLFLOW_PORT: 5000"),
    ],
)
def test_a_mistake_in_compose_is_found(right: str, wrong: str) -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    assert right in text
    with pytest.raises(ValidationError):
        read_compose(text.replace(right, wrong))


def test_what_compose_takes_from_its_env_file_is_in_the_example_and_nothing_secret_has_a_value() -> None:
    example = dict(
        line.split("=", 1)
        for line in (DEPLOY / "env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert set(VARIABLE.findall((DEPLOY / "compose.yaml").read_text())) == set(example)
    assert {name for name, value in example.items() if value} == {"SPAM_ASSETS_VERSION", "WORKER_MEMORY"}


def test_every_setting_that_a_process_is_given_exists() -> None:
    known = {field.validation_alias or f"SPAM_ASSETS_{name.upper()}" for name, field in Settings.model_fields.items()}
    given = {name for service in read_compose().ours.values() for name in service.environment}
    environment = read_values()["dagster-user-deployments"]["deployments"][0]["env"]
    given |= {entry["name"] for entry in environment}
    ours = {name for name in given if name.startswith("SPAM_ASSETS_")}
    assert ours <= known
    assert {"SPAM_ASSETS_LANDING", "SPAM_ASSETS_STORAGE", "SPAM_ASSETS_POSTGRES_URL", CELERY_URL} <= ours


@pytest.mark.slow  # it imports MLflow's server
def test_mlflow_takes_what_its_service_sets() -> None:
    import mlflow.cli

    environment = read_compose().services["mlflow"].environment
    known = {parameter.envvar for parameter in mlflow.cli.server.params}
    ours = {name for name in environment if name.startswith("MLFLOW_")}
    assert ours - known == {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "MLFLOW_S3_ENDPOINT_URL"}
    hosts = environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert read_compose().ours["code"].environment["MLFLOW_TRACKING_URI"].removeprefix("http://") in hosts


# --- commands


@pytest.mark.slow  # it imports every tool
def test_every_command_of_compose_is_one_that_its_tool_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = deployment.list_commands(read_compose())
    assert len(commands) > 12
    for command in commands:
        if command[0] in ("celery", "dagster-celery") and importlib.util.find_spec("dagster_celery") is None:
            continue
        tool = deployment.find_tool([deployment.here(word) for word in command])
        if tool is None:
            compile(command[-1], "compose.yaml", "exec")
        else:
            deployment.parse(*tool)


def test_a_command_that_its_tool_does_not_take_is_found() -> None:
    for command in (["dagster", "api", "grcp"], ["dagster", "api", "grpc", "--modul", "x"]):
        tool = deployment.find_tool(command)
        assert tool is not None
        with pytest.raises(click.UsageError):
            deployment.parse(*tool)


def test_a_worker_that_is_told_to_stop_lets_its_run_end() -> None:
    worker = read_compose().services["worker"]
    script = worker.command[-1]
    assert """trap 'kill -TERM "$$(cat /tmp/celery.pid)"' TERM""" in script, "Celery itself, not its wrapper"
    assert "--pidfile=/tmp/celery.pid" in script
    assert worker.stop_grace_period == "30m"


# --- dagster.yaml, celery.yaml, workspace.yaml


def test_the_files_are_those_that_init_writes() -> None:
    assert (DEPLOY / "dagster.yaml").read_text() == write_instance(2, CELERY_URL), (
        "run spam-assets init, copy its files"
    )
    assert (DEPLOY / "celery.yaml").read_text() == write_worker_settings(CELERY_URL)


@needs_celery
def test_celery_knows_every_setting_and_loses_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    from celery.app.defaults import DEFAULTS
    from dagster_celery.cli import get_validated_config
    from dagster_celery.make_app import make_app

    monkeypatch.setenv(CELERY_URL, "redis://:password@queue.internal:6379/0")
    read: dict[str, Any] = get_validated_config(str(DEPLOY / "celery.yaml"))
    assert set(read["config_source"]) <= set(DEFAULTS)
    assert "worker_prefetch" not in DEFAULTS, "what Celery does not know is found"
    conf = make_app({name: read[name] for name in ("broker", "backend", "config_source")}).conf
    assert conf.broker_url == conf.result_backend == "redis://:password@queue.internal:6379/0"
    assert conf.task_track_started
    assert conf.worker_disable_prefetch
    assert conf.worker_max_tasks_per_child == 1
    assert not conf.task_acks_late


@needs_celery
def test_the_launcher_takes_its_part_of_dagster_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.instance.ref import InstanceRef

    monkeypatch.setenv(CELERY_URL, "redis://queue.internal:6379/0")
    launcher = InstanceRef.from_dir(str(DEPLOY)).run_launcher
    assert launcher is not None
    assert type(launcher).__name__ == "CancelingCeleryRunLauncher"
    assert launcher.celery.conf.task_track_started  # type: ignore[attr-defined]
    assert launcher.default_queue == "dagster"  # type: ignore[attr-defined]


def test_webserver_and_daemon_find_the_code_server() -> None:
    (found,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    compose = read_compose()
    code = found["grpc_server"]
    assert code["host"] in compose.services
    assert str(code["port"]) == compose.services[code["host"]].command[-1]
    assert code["location_name"] == "spam_assets.definitions"
    (server,) = read_values()["dagsterWebserver"]["workspace"]["servers"]
    (deployed,) = read_values()["dagster-user-deployments"]["deployments"]
    assert (server["host"], server["port"], server["name"]) == (
        deployed["name"],
        deployed["port"],
        code["location_name"],
    )


# --- values.yaml


def build_launcher_config(values: dict[str, Any]) -> dict[str, Any]:
    """What the chart makes of the values for its K8sRunLauncher."""
    given = values["runLauncher"]["config"]["k8sRunLauncher"]
    return {
        "service_account_name": "spam-assets",
        "job_namespace": "default",
        "load_incluster_config": False,
        "image_pull_policy": given["imagePullPolicy"],
        "dagster_home": values["global"]["dagsterHome"],
        "instance_config_map": "spam-assets-instance",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
        "resources": given["resources"],
        "security_context": given["securityContext"],
    }


def build_run_context(values: dict[str, Any]) -> dict[str, Any]:
    """What the chart makes of the code server's values for each run."""
    (code,) = values["dagster-user-deployments"]["deployments"]
    return {
        "image_pull_policy": code["image"]["pullPolicy"],
        "env": code["env"],
        "env_secrets": [secret["name"] for secret in code["envSecrets"]],
        "volumes": code["volumes"],
        "volume_mounts": code["volumeMounts"],
        "run_k8s_config": {"pod_spec_config": {"security_context": code["podSecurityContext"]}},
    }


@needs_kubernetes
def test_the_kubernetes_launcher_takes_what_the_chart_makes_of_the_values() -> None:
    from dagster._config import process_config, resolve_to_config_type
    from dagster_k8s import K8sRunLauncher
    from dagster_k8s.container_context import K8sContainerContext

    values = read_values()
    config = build_launcher_config(values)
    config_type = resolve_to_config_type(K8sRunLauncher.config_type())
    found = process_config(config_type, config)
    assert found.success, found.errors
    assert not process_config(config_type, {**config, "resource": {}}).success
    context = K8sContainerContext.create_from_config({"k8s": build_run_context(values)})
    container = context.run_k8s_config.container_config
    assert {"secret_ref": {"name": "spam-assets"}} in container["env_from"]
    assert {mount["mount_path"] for mount in container["volume_mounts"]} >= WRITABLE


@needs_kubernetes
@pytest.mark.parametrize("name", ["env", "volumes", "volume_mounts"])
def test_a_mistake_in_what_runs_are_given_is_found(name: str) -> None:
    from dagster._core.errors import DagsterInvalidConfigError
    from dagster_k8s.container_context import K8sContainerContext

    context = build_run_context(read_values())
    wrong = {**context, name: [*context[name], {"no_such": "field"}]}
    with pytest.raises(DagsterInvalidConfigError, match=f"path root:{name}"):
        K8sContainerContext.create_from_config({"k8s": wrong})


def test_on_kubernetes_the_same_holds_as_in_dagster_yaml() -> None:
    daemon = read_values()["dagsterDaemon"]
    mine = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    snake = {re.sub("([A-Z])", r"_\1", name).lower(): value for name, value in daemon["runMonitoring"].items()}
    assert snake == mine["run_monitoring"]
    assert daemon["runRetries"] == {"enabled": True, "maxRetries": 2, "retryOnAssetOrOpFailure": False}
    assert mine["run_retries"]["max_retries"] == 2
    concurrency = read_values()["concurrency"]
    assert concurrency["enabled"]
    assert concurrency["pools"] == {"defaultLimit": 1, "granularity": "run"}
    assert read_values()["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"


def test_on_kubernetes_every_pod_is_as_closed_as_in_compose() -> None:
    values = read_values()
    pods = [values["dagsterWebserver"], values["dagsterDaemon"], *values["dagster-user-deployments"]["deployments"]]
    for pod in pods:
        assert pod["podSecurityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["readOnlyRootFilesystem"]
        assert {mount["mountPath"] for mount in pod["volumeMounts"]} == {*WRITABLE, values["global"]["dagsterHome"]}
    assert values["runLauncher"]["config"]["k8sRunLauncher"]["securityContext"]["readOnlyRootFilesystem"]


# --- the image


def test_the_image_is_built_from_what_is_there_and_runs_as_nobody_special() -> None:
    instructions = read_dockerfile()
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*", "what is not named stays outside, .env and the home folder above all"
    for name, rest in instructions:
        if name == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (PROJECT / source).exists()
                assert f"!{source.removeprefix('./')}" in ignored
    last = dict(instructions)
    assert last["USER"] == "10001:10001"
    assert json.loads(last["CMD"]) == read_compose().services["code"].command
    environment = dict(word.split("=", 1) for name, rest in instructions if name == "ENV" for word in rest.split())
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "HOME", "XDG_CACHE_HOME", "SPAM_ASSETS_HOME", "DAGSTER_HOME"):
        assert any(environment[name].startswith(folder) for folder in WRITABLE), name


def test_the_image_has_the_extras_and_releases_of_this_project() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    project = (PROJECT / "pyproject.toml").read_text()
    (extras,) = re.findall(r"--constraint requirements\.lock '\.\[([\w,]+)\]'", text)
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras.split(","))
    (release,) = re.findall(r'^version = "(.*)"', project, re.MULTILINE)
    tags = {
        read_values()["dagsterDaemon"]["image"]["tag"],
        *re.findall(r"SPAM_ASSETS_VERSION(?:=|:-)([\d.]+)", (DEPLOY / "env.example").read_text()),
        *re.findall(r"SPAM_ASSETS_VERSION(?:=|:-)([\d.]+)", (DEPLOY / "compose.yaml").read_text()),
        *re.findall(r"spam-assets:([\d.]+)", text),
    }
    assert tags == {release}
    assert re.findall(r"--version ([\d.]+)", (DEPLOY / "values.yaml").read_text()) == [version("dagster")]


# --- secrets


def find_secrets(found: Any, name: str = "") -> list[str]:
    """Names of values that are written out although they are secret: by their name, or in a URL."""
    if isinstance(found, dict):
        return [bad for key, value in found.items() for bad in find_secrets(value, str(key))]
    if isinstance(found, list):
        return [bad for value in found for bad in find_secrets(value, name)]
    if not isinstance(found, str):
        return []
    text = VARIABLE.sub("", found)
    in_url = re.search(r"://[^/\s]*:[^/\s@]+@", text)
    return [name] if in_url or (SECRET_NAME.search(name) and text) else []


@pytest.mark.parametrize("path", deployment.list_files(), ids=lambda path: path.name)
def test_no_file_holds_a_secret(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"://[^/\s$:]+:(?!\$\{)[^/\s@]+@", text), "a password in a URL"
    if path.suffix == ".yaml":
        assert find_secrets(yaml.safe_load(text)) == []


def test_a_secret_that_is_written_out_is_found() -> None:
    assert find_secrets({"a": [{"POSTGRES_PASSWORD": "hunter2"}]}) == ["POSTGRES_PASSWORD"]
    assert find_secrets({"POSTGRES_PASSWORD": "${POSTGRES_PASSWORD:?set it}"}) == []
    assert find_secrets({"url": "redis://:hunter2@queue/0"}) == ["url"]
    assert find_secrets({"url": "redis://:${REDIS_PASSWORD:?set it}@queue/0"}) == []
