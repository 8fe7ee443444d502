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

// Row actions are one of a set of disclosures: opening one closes the others.
document.addEventListener("toggle", (event) => {
  if (!event.target.matches?.("details.actions") || !event.target.open) return;
  for (const other of document.querySelectorAll("details.actions[open]")) {
    if (other !== event.target) other.open = false;
  }
}, true);

// A dialog that comes back with a refusal is still open for whoever filled it in.
document.addEventListener("htmx:after:swap", () => {
  for (const dialog of document.querySelectorAll("dialog[data-shown]:not([open])")) dialog.showModal();
});

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
