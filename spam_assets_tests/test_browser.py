"""The Dagster UI as a person uses it: a real `dagster dev`, a real Chromium, clicks."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spam_assets_tests.conftest import PROJECT, day_text, make_mail
from spam_assets_tests.homes import wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SECONDS = 1000
DAYS_LANDED = 5

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; apt-get install chromium"),
]


@pytest.fixture
def dagster_dev(tmp_path: Path, prepared_mlflow: Path) -> Iterator[str]:
    """Five landed days, the fourth of them bad, and `dagster dev` on a home of its own; yields its URL."""
    home = tmp_path / "home"
    (home / "landing").mkdir(parents=True)
    (home / "dagster" / ".nux").mkdir(parents=True)
    (home / "dagster" / ".nux" / "nux.yaml").write_text("seen: 1\n")  # the community pop-up blocks all clicks
    shutil.copy(prepared_mlflow, home / "mlflow.db")
    from spam_assets.engine.instance import prepare_instance

    prepare_instance(home / "dagster")
    for offset in range(DAYS_LANDED):
        mail = make_mail(day_text(offset))
        if offset == 3:
            mail.loc[:5, "label"] = "junk"
        mail.to_csv(home / "landing" / f"training-{day_text(offset)}.csv", index=False)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "SPAM_ASSETS_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "PYTHONPATH": str(PROJECT),
    }
    environment["SPAM_ASSETS_SENSOR_SECONDS"] = "1"
    with (tmp_path / "dagster.log").open("wb") as log:
        process = subprocess.Popen(
            # Not in the checkout, whose `.env` may name somebody's own home folder and wins over the environment.
            [sys.executable, "-m", "dagster", "dev", "-w", PROJECT / "workspace.yaml", "-p", str(port)],
            cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(f"{url}/server_info", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "dagster.log").read_text()
                assert time.monotonic() < deadline, (tmp_path / "dagster.log").read_text()
                time.sleep(0.3)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def page() -> "Iterator[Page]":
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(60 * SECONDS)
        yield page
        browser.close()


def materialize_by_clicks(page: "Page", url: str, partitions: str) -> None:
    page.goto(f"{url}/asset-groups")
    page.get_by_role("button", name="Materialize all").first.click()
    dialog = page.locator(".bp5-dialog").last
    text_box = dialog.locator("input[type=text]").last
    text_box.fill(partitions)
    text_box.press("Enter")
    dialog.locator("button", has_text="Launch").last.click()


def visit_until_shown(page: "Page", url: str, text: str, *, exact: bool = False) -> None:
    """Open a page again until it shows a text: one that was open before a step ended is not always renewed."""
    deadline = time.monotonic() + 180
    while True:
        page.goto(url)
        page.wait_for_timeout(3 * SECONDS)
        if page.get_by_text(text, exact=exact).count():
            return
        assert time.monotonic() < deadline, page.locator("body").inner_text()


def read_partition_bar(page: "Page") -> list[tuple[str, int]]:
    """The colours of an asset's partition bar from left to right, each with the days it spans."""
    spans = page.locator("[class^=PartitionStatusBar_colorSpan]")
    spans.first.wait_for()
    look = "spans => spans.map(span => [getComputedStyle(span).backgroundColor, span.getBoundingClientRect()])"
    boxes = [(box["left"], box["width"], color) for color, box in spans.evaluate_all(look)]
    whole = sum(width for _, width, _ in boxes)
    return [(name_color(color), round(DAYS_LANDED * width / whole)) for _, width, color in sorted(boxes)]


def name_color(css: str) -> str:
    red, green, blue = (int(number) for number in re.findall(r"\d+", css)[:3])
    return "green" if green > max(red, blue) else "red" if red > max(green, blue) else css


def test_days_materialized_by_clicks_show_their_checks_and_the_picture(dagster_dev: str, page: "Page") -> None:
    materialize_by_clicks(page, dagster_dev, f"[{day_text(0)}...{day_text(4)}]")

    # The model of the last day: a small picture and the card at once, the large picture behind a link.
    visit_until_shown(
        page, f"{dagster_dev}/assets/trained_model?view=partitions&partition={day_text(4)}", "confusion_matrix"
    )
    small = page.locator("img[alt='DET curve'][src^='data:image/svg+xml']")
    small.wait_for()
    assert small.evaluate("image => image.naturalWidth") == 180
    page.get_by_text("spam missed (up) over ham lost (across)").wait_for()
    page.get_by_text("of mail is learnt by no model").wait_for()
    page.get_by_role("row", name=re.compile("^all [0-9]+ of [0-9]+ [0-9]+ of [0-9]+$")).wait_for()
    page.get_by_text("[Show Markdown]").first.click()
    picture = page.locator("img[alt^='DET curve and']")
    picture.wait_for()
    assert picture.evaluate("image => image.naturalWidth") > 300

    # The champion's last days, without a click.
    report = f"{dagster_dev}/assets/champion_report?view=partitions&partition={day_text(4)}"
    visit_until_shown(page, report, "recall_of_60_days")
    for number, figure in enumerate(("recall_of_60_days", "fpr_of_60_days", "champion_age_of_60_days")):
        page.get_by_text(figure).wait_for()
        line = page.locator(f"img[alt*='on {day_text(4)}; the top is']").nth(number)
        line.wait_for()
        assert line.evaluate("image => image.naturalWidth") == 360

    # The bad day: failed check with its sentence; the good days have passed.
    page.goto(f"{dagster_dev}/assets/raw_mail?view=checks&checkName=labels_are_known")
    page.get_by_text("labels are neither ham nor spam").or_(page.get_by_text("Failed")).first.wait_for()
    bar = [("green", 3), ("red", 1), ("green", 1)]
    for asset in ("validated_mail", "registered_model"):
        page.goto(f"{dagster_dev}/assets/{asset}?view=partitions")
        wait_for(f"partition bar of {asset} that is {bar}", lambda: read_partition_bar(page) == bar)

    # Who serves, since when and why, without a click.
    page.goto(f"{dagster_dev}/assets/registered_model?view=partitions&partition={day_text(4)}")
    page.get_by_role("cell", name=re.compile(r"^champion (none|\d) to \d")).first.wait_for()


def test_a_sensor_that_is_turned_on_by_a_click_runs_the_day_that_lands(
    dagster_dev: str, page: "Page", tmp_path: Path
) -> None:
    landing = tmp_path / "home" / "landing"
    for path in landing.iterdir():
        path.unlink()
    page.goto(f"{dagster_dev}/locations/spam_assets.definitions/sensors/new_mail")
    switch = page.locator("label:has(input[type=checkbox])").first
    switch.wait_for()
    assert not switch.locator("input").is_checked()
    switch.click()
    page.wait_for_function("document.querySelector('label input[type=checkbox]').checked")

    day = day_text(2)
    beside = landing / ".beside"
    make_mail(day).to_csv(beside, index=False)
    beside.rename(landing / f"training-{day}.csv")
    visit_until_shown(page, f"{dagster_dev}/runs", "Success", exact=True)
    page.locator("a[href*='/runs/']", has_text="mail_job").or_(page.locator("a[href^='/runs/']")).first.click()
    page.get_by_text("View tags and configuration").or_(page.get_by_text("View tags and config")).first.click()
    page.get_by_text(f"new or changed mail of {day}").first.wait_for()
