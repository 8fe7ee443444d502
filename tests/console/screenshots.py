"""`make screenshots`: pictures of the console's main pages at 1440 and 400 pixels, light and dark.

Starts a `linklocal dev` of its own and lets its demo instance be asked a few things first.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser import Visitor, chromium
from cloud import clients
from guest import FLAVOR, VERSION, Guest
from httpx import Client
from live import Dev, running

WIDTHS = {1440: 900, 400: 800}


def live_a_little(dev: Dev) -> str:
    """Calls that are answered and calls that are refused; the id of the instance."""
    demo = dev.ready["instances"][0]
    guest = Guest(dev, demo["id"])
    for _ in range(3):
        guest.read()
    guest.default_profile()
    with Client(base_url=demo["metadata"]) as client:
        client.get("/metadata/v1/instance", params=VERSION)
        client.put("/identity/v1/token", headers=FLAVOR)
    cloud = clients(dev)
    body = cloud.prototype(name="web-template", metadata_service={"enabled": True})
    cloud.vpc.create_instance_template(body)
    for number in range(1, 4):
        cloud.create(name=f"web-{number}", metadata_service={"enabled": number != 2})
    cloud.vpc.update_instance(demo["id"], {"metadata_service": {"response_hop_limit": 2}})
    return str(demo["id"])


def take(dev: Dev, folder: Path) -> None:
    """One PNG for each page, width and theme."""
    instance = live_a_little(dev)
    cloud = clients(dev)
    profile = cloud.iam.list_profiles(account_id=cloud.account_id).result["profiles"][0]["id"]
    pages = {
        "instances": "instances",
        "instance": f"instances/{instance}",
        "networking": f"instances/{instance}#networking",
        "storage": f"instances/{instance}#storage",
        "monitoring": f"instances/{instance}#monitoring",
        "resize": f"instances/{instance}/resize",
        "create-image": f"instances/{instance}/image",
        "create": "instances/new",
        "reinitialize": f"instances/{instance}/reinitialize",
        "templates": "templates",
        "profiles": "profiles",
        "profile": f"profiles/{profile}",
        "ssh-keys": "ssh-keys",
        "vpcs": "vpcs",
        "report": "report",
        "api-keys": "api-keys",
        "nodes": "nodes",
    }
    with chromium() as browser:
        for width, height in WIDTHS.items():
            for scheme in ("light", "dark"):
                size = {"width": width, "height": height}
                with Visitor(browser, dev, color_scheme=scheme, viewport=size) as visitor:
                    visitor.page.goto(f"{dev.api}/console/sign-in")
                    visitor.page.screenshot(path=folder / f"sign-in-{scheme}-{width}.png")
                    visitor.sign_in()
                    for name, path in pages.items():
                        visitor.page.goto(
                            "about:blank"
                        )  # another fragment alone would load nothing
                        visitor.page.goto(f"{dev.api}/console/{path}")
                        visitor.page.evaluate("document.fonts.ready")
                        if name == "create":
                            visitor.toggle("metadata-toggle")
                            visitor.page.locator("cds-toggle#secure-toggle").wait_for()
                        if name == "instance":
                            visitor.page.get_by_text("GET /metadata/v1/instance").first.wait_for()
                        visitor.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
                        target = folder / f"{name}-{scheme}-{width}.png"
                        visitor.page.screenshot(path=target, full_page=True)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, running(Path(place) / "state") as dev:
        take(dev, folder)
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")


if __name__ == "__main__":
    main()
