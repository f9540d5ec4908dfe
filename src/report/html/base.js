// Shared by the other parts: the data, helpers for elements, the theme.
const run = JSON.parse(document.getElementById("data").textContent);
const FAILED_KINDS = new Set(["fail", "soft", "unresolved"]);

// An element. Texts become text nodes: data is never parsed as HTML.
function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const text = (number) => run.texts[number];
const texts = (numbers) => (numbers || []).map(text);
const imageOf = (c) => run.images[c.image][0];
const isGood = (c) => c.group === "good" || c.group === "step";

function seconds(ms) {
  return ms >= 9950 ? (ms / 1000).toFixed(1) + " s" : (ms / 1000).toFixed(3) + " s";
}

// Light, dark, or the system's theme; remembered if the browser allows it.
const THEMES = ["auto", "light", "dark"];
const store = {
  get: () => { try { return localStorage.getItem("exitone-theme"); } catch { return null; } },
  set: (value) => { try { localStorage.setItem("exitone-theme", value); } catch { /* only for this page */ } },
};
function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
function themeButton() {
  let theme = THEMES.includes(store.get()) ? store.get() : "auto";
  const button = h("button", { type: "button", id: "theme", title: "light, dark, or the system's theme" });
  const show = () => { setTheme(theme); button.textContent = "theme: " + theme; };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    store.set(theme);
    show();
  });
  show();
  return button;
}

// Copies to the clipboard, in whichever way the browser allows for a local file.
async function copy(what, button) {
  let done = false;
  try {
    await navigator.clipboard.writeText(what);
    done = true;
  } catch {
    const area = h("textarea", { class: "away", readonly: true });
    area.value = what;
    document.body.append(area);
    area.select();
    try { done = document.execCommand("copy"); } catch { done = false; }
    area.remove();
    button.focus();
  }
  button.textContent = done ? "copied" : "select and copy by hand";
  setTimeout(() => { button.textContent = "copy"; }, 2000);
}
