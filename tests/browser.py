"""Debian's Chromium for tests of the console, and a visitor whose every page is watched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from live import Dev
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

ROOT = Path(__file__).parents[1]
AXE = ROOT / "frontend/node_modules/axe-core/axe.min.js"
ASSETS = ROOT / "src/linklocal/console/static/console.js"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MOST_TABS = 60
# What the focused element is called: its label, or the first line of its text.
FOCUSED = """() => {
    let element = document.activeElement;
    while (element.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    const labels = [...(element.labels ?? [])].map((label) => label.innerText);
    const label = element.getAttribute("aria-label") ?? element.title;
    return (label || labels.join(" ") || element.innerText).trim().split("\\n")[0];
}"""
WAIT = 30_000  # milliseconds that anything may take: only a test that fails waits so long

# Colours change over some frames: what is seen in between is no colour of the page. Nobody waits for it.
SETTLED = """async () => {
    for (let moving = true; moving; ) {
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        const shadows = [...document.querySelectorAll("*")].map((element) => element.shadowRoot);
        const all = [document, ...shadows.filter(Boolean)].flatMap((root) => root.getAnimations());
        const transitions = all.filter((one) => one instanceof CSSTransition);
        for (const transition of transitions) transition.finish();
        moving = transitions.length > 0;
    }
}"""


def assets_built() -> bool:
    """Whether `make console` has been run."""
    return ASSETS.exists()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, from the system: Playwright's own downloads are not used."""
    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Somebody with a browser of their own. `expected` are the statuses that a test provokes."""

    def __init__(self, browser: Browser, dev: Dev, **options: Any) -> None:
        self.dev = dev
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(WAIT)
        self.page: Page = self.context.new_page()
        self.expected: set[int] = set()
        self.problems: list[str] = []
        self.page.on("console", self._logged)
        self.page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        self.page.on("request", self._asked)

    def _logged(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        if any(f"status of {status}" in message.text for status in self.expected):
            return
        self.problems.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.dev.api, "data:")):
            self.problems.append(f"asked another host: {request.url}")

    def sign_in(self, api_key: str | None = None) -> Visitor:
        """With the form's request, as which most tests are about something else."""
        at = f"{self.dev.api}/console"
        form = {"api_key": api_key or self.dev.api_key}
        answer = self.context.request.post(f"{at}/sign-in", form=form, max_redirects=0)
        assert answer.status == 303, answer.text()
        self.page.goto(f"{at}/instances")
        return self

    def sign_in_by_hand(self, api_key: str | None = None) -> Visitor:
        """On the page to sign in, which the visitor sees."""
        self.page.fill("#api-key", api_key or self.dev.api_key)
        self.page.get_by_role("button", name="Sign in").click()
        return self

    def navigate(self, *names: str) -> None:
        """By clicking from the navigation menu: `navigate("Infrastructure", "Compute", "Images")`."""
        self.page.get_by_role("button", name="Navigation Menu").click()
        menu = self.page.get_by_role("navigation", name="Main")
        for name in names[:-1]:
            menu.locator("summary", has_text=name).click()
        menu.get_by_role("link", name=names[-1]).click()

    def instances(self) -> None:
        self.navigate("Infrastructure", "Compute", "Virtual server instances")

    def details(self, name: str) -> None:
        """The details of an instance, from the menu by way of the list."""
        self.instances()
        self.page.get_by_role("link", name=name, exact=True).click()
        self.page.get_by_role("heading", name="Metadata", exact=True).wait_for()

    def create(self, name: str) -> str:
        """Send the form that creates an instance; see it run in the list, go to its details. Its id."""
        self.page.get_by_role("button", name="Create virtual server instance").click()
        expect(self.page.get_by_text(f"Created {name}.")).to_be_visible()
        expect(self.page.get_by_role("row", name=name)).to_contain_text("running")
        self.page.get_by_role("link", name=name, exact=True).click()
        self.page.get_by_role("heading", name="Metadata", exact=True).wait_for()
        return self.page.url.rpartition("/")[2]

    def tab(self, name: str) -> None:
        """Of an instance's details."""
        self.page.get_by_role("tab", name=name).click()

    def toggle(self, id: str) -> None:
        """The host element's button is covered by its label: people click the switch itself."""
        self.page.locator(f"cds-toggle#{id} .cds--toggle__appearance").click()

    def hop_limit(self, text: str) -> None:
        self.page.locator("cds-number-input#hop-limit input").fill(text)

    def tab_to(self, name: str) -> None:
        """Press Tab until the focus is on what is called so, in shadow roots too."""
        seen = []
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            seen.append(self.page.evaluate(FOCUSED))
            if seen[-1] == name:
                return
        raise AssertionError(f"no way by Tab to {name!r}, only to {seen}")

    def wide(self) -> list[str]:
        """Whether the page can be scrolled sideways: a list with a sentence, or nothing."""
        width = self.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        return [f"{self.page.url} is {width[0]} of {width[1]} wide"] if width[0] > width[1] else []

    def look(self, scheme: Literal["light", "dark"], width: int = 1440) -> None:
        """See the page in another colour scheme or width; nothing is loaded again."""
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.evaluate(SETTLED)

    def axe(self, rule: str = "") -> list[str]:
        """What axe-core finds on the page as it is, by all rules or one."""
        only = f", runOnly: ['{rule}']" if rule else ""
        if not self.page.evaluate("Boolean(window.axe)"):
            self.page.evaluate(AXE.read_text())
        # It need not load the style sheets once more, as no rule that reads their text is on.
        found = self.page.evaluate(
            f"async () => (await axe.run(document, {{resultTypes: ['violations'], preload: false{only}}}))"
            ".violations.map("
            "v => `${v.id}: ${v.help}: ${v.nodes.map(n => n.html.slice(0, 200)).join(' | ')}`)"
        )
        return [f"{self.page.url}: {text}" for text in found]

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.context.close()
        if kind is None:
            assert not self.problems, self.problems
