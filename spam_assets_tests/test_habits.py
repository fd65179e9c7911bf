"""What CONTRIBUTING.md promises: one command for each thing, locked versions, and a CI that a person can run."""

import os
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from spam_assets_tests.conftest import PROJECT

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest brings it
    import tomli as tomllib  # type: ignore[no-redef]

LOCK = PROJECT / "requirements.lock"
LOCKED_EXTRAS = ("test", "s3")


def read_pins(text: str) -> dict[str, str]:
    """Releases by canonical name; raises ValueError for a line that is no exact pin."""
    pins = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        found = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+]+)", line)
        if found is None:
            raise ValueError(f"{line!r} is no exact pin")
        pins[canonicalize_name(found[1])] = found[2]
    return pins


def find_unlocked(requirements: Iterable[str], pins: Mapping[str, str]) -> list[str]:
    """Requirements that no pin fulfils."""
    wanted = [Requirement(text) for text in requirements]
    return [
        str(requirement)
        for requirement in wanted
        if not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"), prereleases=True)
        or canonicalize_name(requirement.name) not in pins
    ]


def list_what_came(name: str, extras: Iterable[str] = ()) -> set[str]:
    """Canonical names of what an installed distribution asked for and got, with all that came with it."""
    found: set[str] = set()
    waiting = [(canonicalize_name(name), frozenset(extras))]
    seen = set(waiting)
    while waiting:
        distribution, wanted = waiting.pop()
        try:
            asked_for = requires(distribution) or []
        except PackageNotFoundError:  # find_differences says so
            continue
        for text in asked_for:
            requirement = Requirement(text)
            here = requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in (*wanted, "")
            )
            step = (canonicalize_name(requirement.name), frozenset(requirement.extras))
            if here and step not in seen:
                seen.add(step)
                found.add(step[0])
                waiting.append(step)
    return found


def find_differences(names: Iterable[str], pins: Mapping[str, str]) -> list[str]:
    """Installed distributions that the lock does not name, or in another release."""
    differences = []
    for name in sorted(names):
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "nothing"
        if pins.get(name) != installed:
            differences.append(f"{name}: {installed} is installed, the lock says {pins.get(name, 'nothing')}")
    return differences


def list_targets(makefile: str) -> set[str]:
    return set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def list_named_targets(text: str) -> set[str]:
    return set(re.findall(r"\bmake ([a-z]+)", " ".join(re.findall(r"`+[^`]*`+", text))))


def find_other_steps(workflow: Mapping[str, Any]) -> list[str]:
    """What a workflow does beside getting the files and calling .ci/run."""
    steps = [step for job in workflow["jobs"].values() for step in job.get("steps", [job])]
    return [
        str(step)
        for step in steps
        if step.get("run") != "bash .ci/run" and not str(step.get("uses")).startswith("actions/checkout@")
    ]


# --- the lock


def test_the_lock_pins_what_the_project_asks_for() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = [name for extra in LOCKED_EXTRAS for name in project["optional-dependencies"][extra]]
    assert find_unlocked([*project["dependencies"], *extras], read_pins(LOCK.read_text())) == []


@pytest.mark.parametrize(
    ("requirement", "is_locked"),
    [
        ("rich", True),
        ("Rich>=13", True),
        ("rich>=15", True),
        ("rich>=15.1", False),
        ("rich<15", False),
        ("unheard-of", False),
        ("unheard-of>=0", False),
    ],
)
def test_what_the_lock_lacks_or_has_in_another_release_is_found(requirement: str, is_locked: bool) -> None:
    assert (find_unlocked([requirement], {"rich": "15.0.0"}) == []) is is_locked


@pytest.mark.parametrize(
    "line", ["--index-url x", "rich>=15", "rich", "rich==15.*", "rich @ file:///rich", "-e .", "rich==15; a == 'b'", ""]
)
def test_a_line_that_is_no_exact_pin_is_found(line: str) -> None:
    with pytest.raises(ValueError, match="is no exact pin"):
        read_pins(f"# a remark\nnumpy==2.1\n{line}\n")


def test_nothing_for_a_graphics_card_is_locked() -> None:
    pins = read_pins(LOCK.read_text())
    assert [name for name in pins if name.startswith(("torch", "nvidia", "tensorflow", "jax"))] == []


@pytest.mark.skipif(
    Path(os.environ.get("PIP_CONSTRAINT", "")).resolve() != LOCK.resolve(),
    reason="the environment was not made by the lock; that of .ci/run is",
)
def test_what_is_installed_is_what_the_lock_says() -> None:
    assert find_differences(list_what_came("spam-assets", {"test"}), read_pins(LOCK.read_text())) == []


def test_an_environment_that_differs_from_the_lock_is_found() -> None:
    installed = {name: version(name) for name in list_what_came("pytest-timeout")}
    assert set(installed) >= {"pytest", "pluggy"}
    assert find_differences(installed, installed) == []
    assert find_differences(installed, {**installed, "pluggy": "0.1"}) == [
        f"pluggy: {installed['pluggy']} is installed, the lock says 0.1"
    ]
    without = {name: release for name, release in installed.items() if name != "pytest"}
    assert find_differences(installed, without) == [
        f"pytest: {installed['pytest']} is installed, the lock says nothing"
    ]


def test_ci_holds_the_readmes_command_to_the_lock() -> None:
    lines = (PROJECT / ".ci" / "run").read_text().splitlines()
    assert lines.index('export PIP_CONSTRAINT="$PWD/requirements.lock"') < lines.index('eval "$test_command"')


# --- commands


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "README.md", "SECURITY.md", "requirements.lock"])
def test_every_make_command_that_is_named_is_there(document: str) -> None:
    targets = list_targets((PROJECT / "Makefile").read_text())
    assert list_named_targets((PROJECT / document).read_text()) <= targets


def test_contributing_names_every_make_command() -> None:
    targets = list_targets((PROJECT / "Makefile").read_text()) - {"help"}  # plain `make`
    assert list_named_targets((PROJECT / "CONTRIBUTING.md").read_text()) == targets


def test_a_make_command_that_is_named_in_code_is_seen_and_prose_is_not() -> None:
    text = "make sure to `make test`, or\n```sh\ncd x && make lint\n```\nand `make bench NAME=loading`"
    assert list_named_targets(text) == {"test", "lint", "bench"}


def test_every_make_command_says_what_it_does() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    assert set(re.findall(r"^([a-z]+):.*  ## \S", makefile, re.MULTILINE)) == list_targets(makefile)


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "SECURITY.md"])
def test_every_file_that_a_guide_names_is_there(document: str) -> None:
    text = (PROJECT / document).read_text()
    named = re.findall(r"`([\w./-]+/(?:[\w.-]+\.\w+)?)`", text) + re.findall(r"\]\(([^):#]+)\)", text)
    missing = [name for name in named if not any((root / name).exists() for root in (PROJECT, PROJECT / "spam_assets"))]
    assert named
    assert missing == []


def test_contributing_answers_ten_questions() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text()
    table = text.partition("<!-- ten questions: begin -->")[2].partition("<!-- ten questions: end -->")[0]
    files = re.findall(r"\| `(spam_assets/\S+\.py)` \|$", table, re.MULTILINE)
    assert len(set(files)) == len(files) == 10


# --- CI and hooks


def test_the_workflow_calls_ci_run_and_nothing_else() -> None:
    workflows = sorted((PROJECT / ".github" / "workflows").iterdir())
    assert [path.name for path in workflows] == ["ci.yml"]
    workflow = yaml.safe_load(workflows[0].read_text())
    assert find_other_steps(workflow) == []
    assert [step for job in workflow["jobs"].values() for step in job["steps"] if step.get("run")]


@pytest.mark.parametrize(
    "step",
    [
        {"run": "pip install x"},
        {"run": "bash .ci/run && rm -r ."},
        {"uses": "someone/else@v1"},
        {"uses": "actions/checkout-but-not@v1"},
    ],
)
def test_a_step_beside_ci_run_is_found(step: dict[str, str]) -> None:
    steps = [{"uses": "actions/checkout@v4"}, {"run": "bash .ci/run"}]
    assert find_other_steps({"jobs": {"ci": {"steps": steps}}}) == []
    assert find_other_steps({"jobs": {"ci": {"steps": [*steps, step]}}}) == [str(step)]
    assert find_other_steps({"jobs": {"ci": {"steps": steps}, "elsewhere": step}}) == [str(step)]


def test_hooks_are_the_installed_tools_that_ci_runs() -> None:
    configuration = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in configuration["repos"]] == ["local"]  # nothing is downloaded
    hooks = configuration["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    checks = (PROJECT / ".ci" / "run").read_text().splitlines()
    for hook in hooks:
        command = hook["entry"].removesuffix(" --force-exclude")
        assert [line for line in checks if line.startswith(command)], command
