// The page: headline, filter, matrices, and which case is open.
const state = { words: [], group: null, shown: run.cases.map(() => true), cells: new Map(), grids: [], open: null, current: null };
const aside = h("aside", { id: "panel", hidden: true, "aria-label": "the opened case" });
const search = h("input", { type: "search", id: "search", autocomplete: "off", spellcheck: "false",
  placeholder: "image, condition, outcome, cause, log …", "aria-label": "search the cases" });
const found = h("span", { id: "found", role: "status" });
const main = h("main", {});

function heading() {
  const about = run.about.map(([name, value]) => h("span", {}, h("i", {}, name), " ", value));
  return h("header", {}, h("div", { class: "top" },
    h("h1", { class: run.verdict }, h("span", { class: "sign", "aria-hidden": "true" }), run.headline), themeButton()),
    h("p", { class: "about" }, about),
    run.warnings.map((warning) => h("p", { class: "warning" }, warning)));
}

function filterBar() {
  const buttons = run.counts.map(([group, name, count]) => h("button", { type: "button", class: "group " + group,
    "data-group": group, "aria-pressed": "false", disabled: count === 0, onclick: () => {
      state.group = state.group === group ? null : group;
      filter();
    } }, h("b", {}, String(count)), " " + name));
  state.groupButtons = buttons;
  search.addEventListener("input", () => filter());
  search.addEventListener("keydown", (event) => {
    // Otherwise the focused cell handles the same key, and opens.
    if (event.key === "Enter") { event.preventDefault(); focusFirst(); }
    if (event.key === "Escape" && search.value) { search.value = ""; filter(); event.stopPropagation(); }
  });
  return h("div", { class: "bar", role: "search" }, h("label", { class: "find" }, search, h("kbd", {}, "/")),
    h("div", { class: "groups" }, buttons), found);
}

// Causes of all cases, the most frequent first. Each is a filter.
function causeList() {
  const known = new Map();
  for (const c of run.cases) {
    for (const id of new Set((c.causes || []).map(([id]) => id))) {
      known.set(id, (known.get(id) || 0) + 1);
    }
  }
  if (!known.size) return null;
  const sorted = [...known].sort((a, b) => b[1] - a[1]);
  return h("p", { class: "causes" }, h("i", {}, "causes"), sorted.map(([id, count]) =>
    h("button", { type: "button", "data-cause": id, onclick: () => {
      search.value = search.value === id ? "" : id;
      filter();
    } }, id + " ", h("b", {}, String(count)))));
}

// A search: its answer, and its runs in order, with links to the cases.
function searchView(s) {
  const link = (id, what) => id ? h("a", { href: "#" + encodeURIComponent(id) }, what) : what;
  const ran = ([at, id, kind, what, lesson]) => h("li", { class: kind }, h("i", {}, seconds(at)), " ", link(id, what), h("small", {}, " " + lesson));
  return h("section", { class: "search" }, h("h2", {}, s.title),
    run.kind === "run" ? h("p", {}, h("b", {}, s.verdict)) : null,
    (s.broke || []).map((line) => h("p", { class: "remarks" }, line)),
    s.lines.length ? h("ul", {}, s.lines.map(([id, what, kind, because]) =>
      h("li", { class: kind }, link(id, what), because.map((line) => h("p", { class: "because" }, line))))) : null,
    s.remarks.map((line) => h("p", { class: "remarks" }, line)),
    s.runs.length ? h("details", { open: run.kind !== "run" }, h("summary", {}, s.runs.length + (s.runs.length === 1 ? " run" : " runs")),
      h("ul", { class: "runs" }, s.runs.map(ran))) : null);
}

function matrixView(matrix, n) {
  const narrow = matrix.images.length > 8;
  const grid = [];
  const columns = matrix.images.map((image) => h("th", { scope: "col", title: run.images[image][1] }, h("span", {}, run.images[image][0])));
  const rows = matrix.rows.map((row, y) => {
    grid.push(row.cells);
    const cells = row.cells.map((at) => {
      if (at === null) return h("td", {});
      const c = run.cases[at];
      const flaky = c.attempts && c.attempts[1] > 1 ? c.attempts.join("/") : null;
      const button = h("button", { type: "button", tabindex: "-1", class: "cell " + c.kind + (c.missed ? " missed" : ""),
        "data-case": at, "aria-label": imageOf(c) + " under " + row.name + ": " + c.cell + (c.missed ? ", not as expected" : ""),
        title: c.says }, c.mark, flaky ? h("small", {}, flaky) : null);
      state.cells.set(at, { button, n, y });
      return h("td", {}, button);
    });
    return h("tr", {}, h("th", { scope: "row", title: row.name }, row.name), cells);
  });
  state.grids.push({ grid, rows, columns });
  const title = matrix.scenario ? h("h2", {}, matrix.scenario) : null;
  return h("section", { class: "matrix" }, title, h("div", { class: "scroll" + (narrow ? " narrow" : "") }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", { class: "corner" }, "conditions"), columns)), h("tbody", {}, rows))));
}

// The searchable text of a case, built on first use.
function haystack(c) {
  if (c.hay === undefined) {
    const of = (c.causes || []).flatMap(([id, what, fix, evidence]) => [id, text(what), ...texts(evidence)]);
    c.hay = [c.id, ...run.images[c.image], text(c.under), c.mark, c.cell, c.says, ...of, ...texts(c.notes), ...texts(c.unmet),
      ...texts(c.waiting), ...(c.events || []).map((e) => text(e[3])), c.log || ""].join("\n").toLowerCase();
  }
  return c.hay;
}

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  run.cases.forEach((c, at) => {
    const shown = (!state.group || c.group === state.group) && words.every((word) => haystack(c).includes(word));
    state.shown[at] = shown;
    count += shown;
    const cell = state.cells.get(at);
    if (cell) cell.button.classList.toggle("away", !shown);
  });
  for (const { grid, rows, columns } of state.grids) {
    rows.forEach((row, y) => { row.hidden = !grid[y].some((at) => at !== null && state.shown[at]); });
    columns.forEach((column, x) => {
      const hidden = !grid.some((cells) => cells[x] !== null && state.shown[cells[x]]);
      column.hidden = hidden;
      rows.forEach((row) => { row.children[x + 1].hidden = hidden; });
    });
    rows[0]?.closest(".matrix").toggleAttribute("hidden", rows.every((row) => row.hidden));
  }
  const all = count === run.cases.length;
  found.textContent = all ? "" : count === 0 ? "no case matches" : count + " of " + run.cases.length + " cases";
  for (const button of state.groupButtons) button.setAttribute("aria-pressed", String(button.dataset.group === state.group));
  for (const button of document.querySelectorAll("[data-cause]")) {
    button.setAttribute("aria-pressed", String(button.dataset.cause === search.value));
  }
  if (state.current === null || !state.shown[state.current]) setCurrent(state.shown.findIndex(Boolean));
}

// The one cell that the tab key reaches.
function setCurrent(at) {
  if (state.current !== null) state.cells.get(state.current)?.button.setAttribute("tabindex", "-1");
  state.current = at >= 0 ? at : null;
  if (at >= 0) state.cells.get(at)?.button.setAttribute("tabindex", "0");
}

// Scrolls a cell into view, clear of the sticky headings.
function reveal(button) {
  const box = button.closest(".scroll");
  const [head, side] = [box.querySelector("thead"), button.closest("tr").firstElementChild];
  const edge = 2; // of its outline
  box.style.scrollPadding = [head.offsetHeight + edge, edge, edge, side.offsetWidth + edge].map((n) => n + "px").join(" ");
  button.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function focusCell(at) {
  const cell = state.cells.get(at);
  if (!cell) return;
  setCurrent(at);
  cell.button.focus({ preventScroll: true });
  reveal(cell.button);
}

const focusFirst = () => focusCell(state.shown.findIndex(Boolean));

// The next visible cell in a direction; down and up continue in the next matrix.
function step(from, dx, dy) {
  const { n, y } = state.cells.get(from);
  let x = state.grids[n].grid[y].indexOf(from);
  const seen = (at) => at !== null && at !== undefined && state.shown[at];
  if (dx) {
    const row = state.grids[n].grid[y];
    for (x += dx; x >= 0 && x < row.length; x += dx) if (seen(row[x])) return row[x];
    return from;
  }
  const all = state.grids.flatMap(({ grid }) => grid);
  let place = state.grids.slice(0, n).reduce((sum, { grid }) => sum + grid.length, 0) + y;
  for (place += dy; place >= 0 && place < all.length; place += dy) {
    if (seen(all[place][x])) return all[place][x];
  }
  return from;
}

function openCase(at, focus) {
  const before = state.open;
  if (before !== null) state.cells.get(before)?.button.classList.remove("open");
  state.open = at;
  setCurrent(at);
  state.cells.get(at)?.button.classList.add("open");
  const go = (by, name, key) => h("button", { type: "button", title: name + " case (" + key + ")", onclick: () => neighbour(by) }, name);
  aside.replaceChildren(h("div", { class: "tools" }, go(-1, "previous", "p"), go(1, "next", "n"),
    h("button", { type: "button", class: "close", title: "close (Esc)", onclick: closeCase }, "close")), casePanel(run.cases[at]));
  aside.hidden = false;
  aside.scrollTop = 0;
  document.body.classList.add("opened");
  if (focus) aside.querySelector("h2").focus({ preventScroll: true });
  const cell = state.cells.get(at);
  if (cell) reveal(cell.button);
}

// Opens the next visible case in the order of the plan.
function neighbour(by) {
  let at = state.open;
  do { at += by; } while (at >= 0 && at < run.cases.length && !state.shown[at]);
  if (run.cases[at]) location.hash = encodeURIComponent(run.cases[at].id);
}

function closeCase() {
  const at = state.open;
  if (at === null) return;
  state.open = null;
  state.cells.get(at)?.button.classList.remove("open");
  aside.hidden = true;
  aside.replaceChildren();
  document.body.classList.remove("opened");
  try { history.replaceState(null, "", location.pathname + location.search); } catch { location.hash = ""; }
  focusCell(at);
}

function fromAddress() {
  let id = location.hash.slice(1);
  try { id = decodeURIComponent(id); } catch { /* use it as it is */ }
  const at = run.cases.findIndex((c) => c.id === id);
  if (at >= 0) openCase(at, true);
  else if (!id) closeCase();
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && state.open !== null) return closeCase();
  if (event.target === search) return;
  if (event.key === "/") {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "n" || event.key === "p") {
    if (state.open !== null) neighbour(event.key === "n" ? 1 : -1);
  }
  const arrow = ARROWS[event.key];
  const cell = event.target.closest?.("[data-case]");
  if (!arrow || !cell) return;
  event.preventDefault();
  focusCell(step(Number(cell.dataset.case), ...arrow));
}

// On paper, every failed case is printed in full.
const paper = h("div", { id: "paper" });
function beforePrint() {
  const told = run.cases.filter((c) => c.group !== "step").filter((c) => !isGood(c) && c.kind !== "notrun" || FAILED_KINDS.has(c.kind));
  paper.replaceChildren(...told.map((c) => casePanel(c)));
}

function legend() {
  const here = new Set(run.cases.map((c) => c.mark));
  const missed = run.cases.some((c) => c.missed);
  return h("footer", {}, h("p", { class: "legend" }, run.legend.filter(([kind, mark]) => here.has(mark)).map(([kind, mark, what]) =>
    h("span", {}, h("span", { class: "cell " + kind }, mark), " " + what)),
    missed ? h("span", {}, h("span", { class: "cell missed" }, "!"), " not as expected") : null),
    h("p", { class: "keys" }, ["/ search", "arrows move", "Enter opens", "Esc closes", "n p next, previous"].map((key) => h("span", {}, key))));
}

document.getElementById("still").remove();
main.append(heading(), filterBar(), causeList() || "", ...(run.searches || []).map(searchView), ...run.matrices.map(matrixView), legend());
document.body.append(main, aside, paper);
main.addEventListener("click", (event) => {
  const cell = event.target.closest("[data-case]");
  if (!cell) return;
  const id = encodeURIComponent(run.cases[Number(cell.dataset.case)].id);
  if (location.hash.slice(1) === id) fromAddress();
  else location.hash = id;
});
document.addEventListener("keydown", onKey);
addEventListener("hashchange", fromAddress);
addEventListener("beforeprint", beforePrint);
addEventListener("afterprint", () => paper.replaceChildren());
setCurrent(run.cases.length ? 0 : -1);
fromAddress();
document.documentElement.dataset.ready = performance.now().toFixed(1);
requestAnimationFrame(() => setTimeout(() => { document.documentElement.dataset.painted = performance.now().toFixed(1); }));
