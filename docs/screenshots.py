"""Make the pictures of the docs from the Airflow that `make up` started: `make screenshots`."""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from local_platform.airflow_server import LocalAirflow
from playwright.sync_api import sync_playwright
from sample_runs import draw_sample

DOCS = Path(__file__).parent
AIRFLOW = LocalAirflow(Path.cwd())


def main() -> int:
    """Save pictures of the list of DAGs, a trigger form, and the page of the success rate."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("make screenshots: Chromium was not found; apt-get install chromium")
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 640})
        page.goto(AIRFLOW.url)
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(AIRFLOW.passwords["admin"])
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("Stats").first.wait_for()
        page.goto(f"{AIRFLOW.url}/dags")
        page.get_by_text("reference_data").wait_for()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=str(DOCS / "dags.png"))
        page.set_viewport_size({"width": 1280, "height": 1400})
        page.goto(f"{AIRFLOW.url}/dags/reference_data")
        page.get_by_role("button", name="Trigger").first.click()
        page.get_by_text("Meltano", exact=True).click()
        page.get_by_text("Dry run").wait_for()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=str(DOCS / "trigger-form.png"))
        with TemporaryDirectory() as folder:
            page.set_viewport_size({"width": 1000, "height": 1500})
            page.goto(draw_sample(Path(folder)).as_uri())
            page.screenshot(path=str(DOCS / "success-rate.png"))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
