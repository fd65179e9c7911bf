"""Take the documents' pictures of the Dagster UI.

    python docs/images/take.py URL            the tutorial's, once its two days have been run
    python docs/images/take.py URL DAY        that of estimators.md: a day's report where challengers are trained

Needs Playwright, a Chromium, and `spam-assets ui` at URL (such as http://127.0.0.1:3000).
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
DAY = "2002-08-23"
PICTURES = {
    "tutorial-checks": ("/assets/raw_mail?view=checks", "message_ids_are_unique"),
    "tutorial-model": (f"/assets/trained_model?view=partitions&partition={DAY}", "confusion_matrix"),
}
MILLISECONDS_TO_SETTLE = 4000


def take(page: Page, url: str, name: str) -> None:
    """Open a page of the UI, wait for the text that it is about, and write its picture."""
    path, text = PICTURES[name]
    page.goto(url + path)
    page.get_by_text(text).first.wait_for()
    page.wait_for_timeout(MILLISECONDS_TO_SETTLE)
    page.screenshot(path=FOLDER / f"{name}.png")


def take_launch(page: Page, url: str) -> None:
    """Fill the dialog that asks for the partitions, launch nothing, and write its picture."""
    page.goto(f"{url}/asset-groups")
    page.get_by_role("button", name="Materialize all").first.click()
    box = page.locator(".bp5-dialog").last.locator("input[type=text]").last
    box.fill(DAY)
    box.press("Enter")
    page.wait_for_timeout(MILLISECONDS_TO_SETTLE)
    page.screenshot(path=FOLDER / "tutorial-launch.png")


def take_methods(page: Page, url: str, day: str) -> None:
    """Scroll a day's report to where the methods stand side by side, and write the picture."""
    page.goto(f"{url}/assets/champion_report?view=partitions&partition={day}")
    page.get_by_text("methods_of_60_days", exact=True).wait_for()
    page.get_by_text("methods", exact=True).evaluate("row => row.scrollIntoView({block: 'start'})")
    page.get_by_role("row", name="methods_of_60_days").get_by_text("[Show Markdown]").click()
    page.wait_for_timeout(MILLISECONDS_TO_SETTLE)
    page.screenshot(path=FOLDER / "methods.png", clip={"x": 0, "y": 0, "width": 1400, "height": 560})


def main(url: str, day: str | None = None) -> None:
    """Take the pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 860})
        page.set_default_timeout(90_000)
        page.goto(url)
        page.wait_for_timeout(MILLISECONDS_TO_SETTLE)
        if (skip := page.get_by_role("button", name="Skip")).count():  # the community pop-up of the first visit
            skip.first.click()
        if day is not None:
            take_methods(page, url, day)
        else:
            take_launch(page, url)
            for name in PICTURES:
                take(page, url, name)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), *sys.argv[2:])
