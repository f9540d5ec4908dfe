// One case in full, rendered when it is opened or printed.
const LANES = [["d", "DNS"], ["c", "connects"], ["l", "ports"], ["p", "probes"]];
const FATES = { a: "answered", s: "nothing came back", r: "refused", u: "unreachable" };
// A shape for each fate, to tell them apart without colours.
const SHAPES = {
  a: "M0,-4.5A4.5,4.5 0 1 1 0,4.5A4.5,4.5 0 1 1 0,-4.5Z",
  s: "M-4,-4L4,4M4,-4L-4,4",
  r: "M-4,-4H4V4H-4Z",
  u: "M0,-5L5,4H-5Z",
};

function section(title, ...children) {
  return h("section", {}, h("h3", {}, title), ...children);
}

function niceStep(span) {
  const power = 10 ** Math.floor(Math.log10(span / 5 || 1));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => span / step <= 6) || span;
}

// Everything with a time, including the start and the end.
function moments(c) {
  const [, , healthy, exited] = c.times || [];
  const all = (c.events || []).map(([at, kind, fate, what]) => ({ at, kind, fate, what: text(what) }));
  if (c.times || all.length) all.unshift({ at: 0, kind: "start", what: "the process started" });
  if (typeof healthy === "number") all.push({ at: healthy, kind: "healthy", what: "healthy" });
  if (typeof exited === "number") all.push({ at: exited, kind: "exit", what: isServing(c) ? "ended" : c.cell });
  return all.map((m, n) => [m, n]).sort((a, b) => a[0].at - b[0].at || a[1] - b[1]).map(([m]) => m);
}

const isServing = (c) => ["pass", "weak", "soft"].includes(c.kind);

// The time line as a drawing.
function drawing(c, all) {
  const lanes = LANES.filter(([kind]) => all.some((m) => m.kind === kind));
  const log = c.log_ms || [];
  const end = Math.max(1, ...all.map((m) => m.at), ...log) * 1.04;
  const rows = 1 + lanes.length + (log.length ? 1 : 0);
  const height = rows * 24 + 26;
  const x = (at) => (100 * at / end).toFixed(3) + "%";
  const picture = svg("svg", { class: "line", width: "100%", height, role: "img",
    "aria-label": "time line; the table below has the same events" });
  const step = niceStep(end);
  for (let at = 0; at <= end; at += step) {
    picture.append(svg("line", { x1: x(at), x2: x(at), y1: 0, y2: rows * 24, class: "tick" }));
    const label = step >= 1000 ? Math.round(at / 1000) : +(at / 1000).toFixed(3);
    const anchor = at === 0 ? "start" : at / end > 0.94 ? "end" : "middle";
    picture.append(svg("text", { x: x(at), y: rows * 24 + 16, "text-anchor": anchor, class: "scale" }, label + " s"));
  }
  const tip = (element, what) => { element.append(svg("title", {}, what)); return element; };
  const bar = (from, to, kind, what) => picture.append(tip(svg("rect", { x: x(from), y: 7, height: 10,
    width: (100 * Math.max(0, to - from) / end).toFixed(3) + "%", class: kind }), what));
  const [, listened, healthy, exited] = c.times || [];
  const last = exited ?? end;
  bar(0, Math.min(listened ?? last, last), "starting", "started, its port is not open yet");
  if (typeof listened === "number") bar(listened, Math.min(healthy ?? last, last), "open", "its port is open, not healthy yet");
  if (typeof healthy === "number") bar(healthy, last, "healthy", "healthy");
  const mark = (m, y) => {
    const place = svg("svg", { x: x(m.at), y, overflow: "visible", class: "mark " + m.kind + " " + (m.fate || "") });
    // A larger invisible area, for the pointer.
    const path = m.kind === "exit" ? "M-1.5,-9H1.5V9H-1.5Z" : SHAPES[m.fate || "a"];
    place.append(svg("circle", { r: 9, class: "hit" }), svg("path", { d: path }));
    picture.append(tip(place, seconds(m.at) + "  " + m.what));
  };
  all.filter((m) => m.kind === "exit").forEach((m) => mark(m, 12));
  lanes.forEach(([kind], n) => all.filter((m) => m.kind === kind).forEach((m) => mark(m, 36 + n * 24)));
  for (const at of log) {
    picture.append(tip(svg("line", { x1: x(at), x2: x(at), y1: rows * 24 - 18, y2: rows * 24 - 6, class: "logged" }),
      seconds(at) + "  a line of the log"));
  }
  const names = ["process", ...lanes.map(([, name]) => name), ...(log.length ? ["log"] : [])];
  const used = Object.keys(FATES).filter((fate) => all.some((m) => m.fate === fate));
  const key = h("p", { class: "key", "aria-hidden": "true" }, used.map((fate) => {
    const sample = svg("svg", { width: 14, height: 12, viewBox: "-7 -6 14 12", class: "mark " + fate });
    sample.append(svg("path", { d: SHAPES[fate] }));
    return h("span", {}, sample, fate === "a" ? "answered, open" : FATES[fate]);
  }));
  return [h("div", { class: "drawn" }, h("div", { class: "lanes", "aria-hidden": "true" },
    names.map((name) => h("span", {}, name))), picture), key];
}

function timeline(c) {
  const all = moments(c);
  if (!all.length) return null;
  const rows = all.map((m) => h("tr", { class: m.fate && m.fate !== "a" ? "bad" : m.kind },
    h("td", {}, seconds(m.at)), h("td", {}, m.what)));
  return section("Time line, from the start of the process", drawing(c, all),
    h("div", { class: "events" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "at"), h("th", { scope: "col" }, "what"))),
      h("tbody", {}, rows))),
    c.more ? h("p", { class: "dim" }, "… and " + c.more + " more events (--format json has them)") : null);
}

function causes(c) {
  if (!c.causes) return null;
  return section(c.causes.length > 1 ? "Causes" : "Cause", c.causes.map(([id, what, fix, evidence]) =>
    h("div", { class: "cause" }, h("dl", {},
      h("dt", {}, "why"), h("dd", {}, text(what), " ", h("span", { class: "rule" }, id)),
      h("dt", {}, "fix"), h("dd", {}, text(fix)),
      evidence.length ? [h("dt", {}, "seen"), h("dd", {}, h("ul", {}, texts(evidence).map((line) => h("li", {}, line))))] : null))));
}

function list(title, lines, kind) {
  return lines && lines.length ? section(title, h("ul", { class: kind || "" }, lines.map((line) => h("li", {}, line)))) : null;
}

// `level`: the heading's, on paper one deeper.
function casePanel(c) {
  const image = run.images[c.image];
  const button = h("button", { type: "button", class: "copy" }, "copy");
  button.addEventListener("click", () => copy(c.repro, button));
  return h("article", { class: "case" },
    h("h2", { tabindex: "-1" }, h("span", { class: "cell " + c.kind }, c.mark), " ", image[0],
      h("span", { class: "under" }, " under " + text(c.under))),
    h("p", { class: "says" }, c.says, c.missed ? h("span", { class: "missed" }, " not as expected") : null),
    h("p", { class: "dim" }, h("a", { href: "#" + encodeURIComponent(c.id) }, c.id), image[1] === image[0] ? "" : " · " + image[1],
      c.status === undefined ? "" : " · " + text(c.status)),
    causes(c),
    list("Was waiting for", texts(c.waiting)),
    timeline(c),
    c.checks ? section("Checks after it was healthy", h("ul", { class: "checks" }, c.checks.map(([passed, name, what]) =>
      h("li", { class: passed ? "passed" : "bad" }, (passed ? "✓ " : "✗ ") + text(name) + ": " + text(what))))) : null,
    list("Not exercised", texts(c.unmet)),
    c.image_says ? section("Findings about the image", h("ul", {}, c.image_says.map(([what, fix]) =>
      h("li", {}, text(what), h("br", {}), h("span", { class: "dim" }, text(fix)))))) : null,
    c.log ? section("Log", c.log_of ? h("p", { class: "dim" }, "the end of " + Math.ceil(c.log_of / 1024) + " KiB") : null,
      h("pre", { class: "log", tabindex: "0" }, c.log)) : null,
    c.platform ? section("As App Runner would log it", h("pre", {}, texts(c.platform).join("\n"))) : null,
    list("Usage", texts(c.counted)),
    list("Notes", texts(c.notes)),
    c.repro ? section("Reproduce it by hand", h("div", { class: "repro" }, h("pre", {}, c.repro), button)) : null);
}
