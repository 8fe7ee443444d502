// What the console's pages need of a browser beyond HTML and htmx: Carbon's toggle and number field, the
// navigation menu, dialogs. It must not decide anything: every change is the server's.
import "@carbon/web-components/es/components/toggle/toggle.js";
import "@carbon/web-components/es/components/number-input/number-input.js";

// Carbon gives the number field the role of an alert, which an input cannot have.
const NumberInput = customElements.get("cds-number-input");
const updated = NumberInput.prototype.updated;
NumberInput.prototype.updated = function (changed) {
  updated?.call(this, changed);
  this.shadowRoot.querySelector("input")?.removeAttribute("role");
};

const menuButton = document.querySelector("#menu-button");
const menu = document.querySelector("#menu");

function showMenu(open) {
  menuButton.setAttribute("aria-expanded", String(open));
  menu.hidden = !open;
}

if (menuButton && menu) {
  menuButton.addEventListener("click", () => {
    showMenu(menu.hidden);
    if (!menu.hidden) menu.querySelector("summary").focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !menu.hidden) {
      showMenu(false);
      menuButton.focus();
    }
  });
  document.addEventListener("click", (event) => {
    if (!menu.hidden && !event.target.closest("#menu, #menu-button")) showMenu(false);
  });
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens)?.showModal();
  if (event.target.closest("[data-closes]")) event.target.closest("dialog")?.close();
});

// What was picked in a panel that is closed without its button is not chosen: the panel shows again what is.
document.addEventListener("close", (event) => {
  const chosen = document.getElementById(event.target.dataset.picks);
  if (!chosen) return;
  for (const choice of event.target.querySelectorAll("input[type=radio]")) {
    choice.checked = choice.value === chosen.value;
  }
}, true);

// Tabs: the address says which one is shown, arrow keys go from one to the next.
const tabs = [...document.querySelectorAll("[role=tab]")];

function showTab(tab) {
  for (const other of tabs) {
    other.setAttribute("aria-selected", String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = other !== tab;
  }
}

function showAddressed() {
  const addressed = tabs.find((tab) => `#${tab.id}` === location.hash.replace("#", "#tab-"));
  if (tabs.length) showTab(addressed ?? tabs[0]);
}

showAddressed();
window.addEventListener("hashchange", showAddressed);
for (const [place, tab] of tabs.entries()) {
  tab.addEventListener("click", () => {
    history.replaceState(null, "", tab.id.replace("tab-", "#"));
    showTab(tab);
  });
  tab.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: -1 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const next = tabs.at(steps[event.key] % tabs.length);
    next.focus();
    next.click();
  });
}

// Row actions are one of a set of disclosures: opening one closes the others.
document.addEventListener("toggle", (event) => {
  if (!event.target.matches?.("details.actions") || !event.target.open) return;
  for (const other of document.querySelectorAll("details.actions[open]")) {
    if (other !== event.target) other.open = false;
  }
}, true);

// A dialog that comes back, with a refusal or after signing in again, is still open for whoever filled it in.
function showFilled() {
  for (const dialog of document.querySelectorAll("dialog[data-shown]:not([open])")) dialog.showModal();
}
showFilled();
document.addEventListener("htmx:after:swap", showFilled);

// A component draws itself only after htmx has given the focus back to it, so it gets it once more: who
// works with the keyboard goes on from the control that was changed.
let focused = "";
document.addEventListener("htmx:before:swap", () => {
  const active = document.activeElement;
  if (active?.localName.startsWith("cds-")) focused = active.id;
});
document.addEventListener("htmx:after:swap", async () => {
  const again = focused && document.getElementById(focused);
  focused = "";
  await again?.updateComplete;
  if (again && document.activeElement === document.body) again.focus();
});
