"use strict";
// The page uses the same API as any other client. Every text is set as text, never as HTML.

const byId = (id) => document.getElementById(id);
const RUNNER = "AppRunner.";
const LOGS = "Logs_20140328.";
const ACTIONS = { group: "/exitone/serve", stream: "actions" };
const MOST_LINES = 500;

let chosen = location.hash.slice(1);
let stream = "";
// The log follows the newest deployment until another stream is picked.
let picked = false;
let newestShown = "";
let shown = { services: "", service: "" };

async function call(target, body = {}) {
  const response = await fetch("/", {
    method: "POST",
    headers: { "X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0", "X-Exitone-Page": "1" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${answer.__type}: ${answer.message}`);
  return answer;
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const time = (millis) => new Date(millis).toLocaleTimeString();

function look(status) {
  if (/FAILED|ROLLBACK/.test(status)) return "bad";
  if (/PROGRESS|PENDING/.test(status)) return "busy";
  return /RUNNING|SUCCEEDED/.test(status) ? "good" : "dim";
}

function rows(body, lines) {
  body.replaceChildren(...lines.map((cells) => {
    const row = element("tr");
    row.append(...cells.map((cell) => (cell instanceof Node ? cell : element("td", cell))));
    return row;
  }));
}

async function events(group, name) {
  return (await call(`${LOGS}GetLogEvents`, { logGroupName: group, logStreamName: name, limit: MOST_LINES })).events;
}

/** The log groups that exist: each does from its first line on. */
async function groups(prefix) {
  const answer = await call(`${LOGS}DescribeLogGroups`, { logGroupNamePrefix: prefix });
  return answer.logGroups.map((group) => group.logGroupName);
}

async function showServices() {
  const list = (await call(`${RUNNER}ListServices`)).ServiceSummaryList;
  if (!list.some((service) => service.ServiceArn === chosen) && list.length) chosen = list[0].ServiceArn;
  byId("none").hidden = list.length > 0;
  byId("none").textContent = "No service yet: aws apprunner create-service …";
  const now = JSON.stringify([list.map((s) => [s.ServiceArn, s.Status]), chosen]);
  if (now === shown.services) return;
  shown.services = now;
  const focused = document.activeElement?.dataset?.arn;
  byId("services").replaceChildren(...list.map((service) => {
    const button = element("button", service.ServiceName, { "data-arn": service.ServiceArn });
    button.setAttribute("aria-current", String(service.ServiceArn === chosen));
    button.append(element("span", service.Status, { class: look(service.Status) }));
    button.addEventListener("click", () => choose(service.ServiceArn));
    const item = element("li");
    item.append(button);
    return item;
  }));
  if (focused) document.querySelector(`[data-arn="${CSS.escape(focused)}"]`)?.focus();
}

function choose(arn) {
  chosen = arn;
  picked = false;
  history.replaceState(null, "", `#${arn}`);
  refresh();
}

async function showService() {
  byId("service").hidden = !chosen;
  if (!chosen) return;
  let service;
  try {
    service = (await call(`${RUNNER}DescribeService`, { ServiceArn: chosen })).Service;
  } catch {
    byId("service").hidden = true;
    return;
  }
  const operations = (await call(`${RUNNER}ListOperations`, { ServiceArn: chosen })).OperationSummaryList;
  const now = JSON.stringify([service, operations]);
  if (now !== shown.service) {
    shown.service = now;
    paint(service, operations);
  }
  await showLogs(service, operations);
}

function paint(service, operations) {
  const repository = service.SourceConfiguration.ImageRepository ?? {};
  const egress = service.NetworkConfiguration.EgressConfiguration;
  const check = service.HealthCheckConfiguration;
  byId("name").replaceChildren(`${service.ServiceName} `, element("span", service.Status, { class: look(service.Status) }));
  const link = element("a", `http://${service.ServiceUrl}`, { href: `http://${service.ServiceUrl}`, target: "_blank", rel: "noopener" });
  const facts = [
    ["Image", repository.ImageIdentifier ?? "built from source"],
    ["Address", link],
    ["Health check", check.Protocol === "HTTP" ? `HTTP ${check.Path}` : "TCP"],
    ["Egress", egress.EgressType],
    ["Size", `${service.InstanceConfiguration.Cpu} CPU, ${service.InstanceConfiguration.Memory} MB`],
    ["ARN", service.ServiceArn],
  ];
  byId("facts").replaceChildren(...facts.flatMap(([name, value]) => {
    const fact = element("dd");
    fact.append(value);
    return [element("dt", name), fact];
  }));
  const actions = [
    ["Deploy again", "RUNNING", () => ask("Deploy again?", "A new instance of the same image replaces the one that serves, if it becomes healthy.", "Deploy", () => call(`${RUNNER}StartDeployment`, { ServiceArn: chosen }))],
    ["Change the image…", "RUNNING CREATE_FAILED", () => changeImage(service)],
    ["Change variables…", "RUNNING CREATE_FAILED", () => changeVariables(service)],
    ["Pause", "RUNNING", () => ask("Pause the service?", "Its instance is stopped; requests are answered with 503.", "Pause", () => call(`${RUNNER}PauseService`, { ServiceArn: chosen }))],
    ["Resume", "PAUSED", () => ask("Resume the service?", "An instance of the last deployed version is started.", "Resume", () => call(`${RUNNER}ResumeService`, { ServiceArn: chosen }))],
    ["Delete", "RUNNING PAUSED CREATE_FAILED DELETE_FAILED", () => ask("Delete the service?", "Its instance is stopped and its address is gone. Its logs stay.", "Delete", () => call(`${RUNNER}DeleteService`, { ServiceArn: chosen }), true)],
  ];
  const focused = document.activeElement?.dataset?.action;
  byId("actions").replaceChildren(...actions.flatMap(([name, states, act]) => {
    const button = element("button", name, { "data-action": name });
    button.disabled = !states.split(" ").includes(service.Status);
    if (name === "Delete") button.className = "harm";
    button.addEventListener("click", act);
    return [button, " "];
  }));
  if (focused) document.querySelector(`[data-action="${CSS.escape(focused)}"]`)?.focus();
  rows(byId("operations"), operations.map((operation) => {
    const status = element("td", operation.Status, { class: look(operation.Status) });
    const took = operation.EndedAt ? `${(operation.EndedAt - operation.StartedAt).toFixed(1)} s` : "";
    return [operation.Type, status, time(operation.StartedAt * 1000), took];
  }));
}

async function showLogs(service, operations) {
  const group = `/aws/apprunner/${service.ServiceName}/${service.ServiceId}`;
  const all = [];
  for (const logGroupName of await groups(`${group}/`)) {
    const kind = logGroupName.slice(group.length + 1);
    const answer = await call(`${LOGS}DescribeLogStreams`, { logGroupName, orderBy: "LastEventTime", descending: true });
    all.push(...answer.logStreams.map((known) => `${kind} ${known.logStreamName}`));
  }
  const ours = (name) => (all.includes(`service ${name}`) ? events(`${group}/service`, name) : []);
  const list = byId("streams");
  const newest = operations[0];
  if (newest && newest.Id !== newestShown) {
    newestShown = newest.Id;
    picked = false;
  }
  if (!picked || !all.includes(stream)) {
    const deployments = all.filter((name) => name.startsWith("service deployment/"));
    stream = deployments.find((name) => name.endsWith(newest?.Id)) ?? deployments[0] ?? all[0] ?? "";
  }
  if ([...list.options].map((option) => option.value).join() !== all.join()) {
    list.replaceChildren(...all.map((name) => element("option", name, { value: name })));
  }
  list.value = stream;
  const [kind, name] = [stream.split(" ")[0], stream.split(" ").slice(1).join(" ")];
  const lines = name ? await events(`${group}/${kind}`, name) : [];
  const text = lines.map((event) => `${time(event.timestamp)}  ${event.message}`).join("\n");
  const log = byId("log");
  if (log.textContent !== text) {
    log.textContent = text;
    log.scrollTop = log.scrollHeight;
  }
  const failed = newest && look(newest.Status) === "bad";
  const found = failed ? await ours(`exitone/${newest.Id}`) : [];
  byId("diagnosis").hidden = found.length === 0;
  byId("found").replaceChildren(...found.map((event) => element("p", event.message)));
  const sent = [...await ours("exitone/outbox")].reverse();
  byId("nothing-sent").hidden = sent.length > 0;
  rows(byId("outbox"), sent.map((event) => {
    const request = JSON.parse(event.message);
    return [time(event.timestamp), `${request.method} ${request.host}${request.path}`, request.body, String(request.status)];
  }));
}

async function showActions() {
  const known = (await groups(ACTIONS.group)).length > 0;
  const acts = known ? (await events(ACTIONS.group, ACTIONS.stream)).reverse() : [];
  byId("calls").hidden = acts.length === 0;
  rows(byId("acts"), acts.map((event) => {
    const act = JSON.parse(event.message);
    return [time(event.timestamp), act.who, act.call, element("td", act.result, { class: act.result === "accepted" ? "good" : "bad" })];
  }));
}

/** Asks before anything changes; `act` gets the text that was entered, if any is asked for. */
function ask(question, consequence, yes, act, harm = false, field) {
  const dialog = byId("confirm");
  byId("question").textContent = question;
  byId("consequence").textContent = consequence;
  byId("yes").textContent = yes;
  byId("yes").className = harm ? "harm" : "";
  byId("field").hidden = field?.kind !== "line";
  byId("variables").hidden = field?.kind !== "lines";
  byId("label").textContent = field?.label ?? "";
  const input = field?.kind === "lines" ? byId("text") : byId("value");
  if (field) input.value = field.value;
  dialog.onclose = async () => {
    if (dialog.returnValue !== "yes") return;
    try {
      await act(input.value);
    } catch (error) {
      ask("Refused", error.message, "Close", async () => {});
    }
    refresh();
  };
  dialog.returnValue = "";
  dialog.showModal();
  if (field) {
    input.focus();
    input.select();
  }
}

/** The source as it is, with changes: what an update leaves out stays. */
function update(service, change) {
  const { ImageRepository: repository } = service.SourceConfiguration;
  return call(`${RUNNER}UpdateService`, {
    ServiceArn: service.ServiceArn,
    SourceConfiguration: {
      ImageRepository: {
        ImageIdentifier: repository.ImageIdentifier, ImageRepositoryType: repository.ImageRepositoryType, ...change,
      },
    },
  });
}

function changeImage(service) {
  const value = service.SourceConfiguration.ImageRepository.ImageIdentifier;
  ask("Deploy another image?", "It replaces the one that serves, if it becomes healthy.", "Deploy",
    (image) => update(service, { ImageIdentifier: image }), false, { kind: "line", label: "Image", value });
}

function changeVariables(service) {
  const known = service.SourceConfiguration.ImageRepository.ImageConfiguration?.RuntimeEnvironmentVariables ?? {};
  const value = Object.entries(known).map(([name, text]) => `${name}=${text}`).join("\n");
  const parse = (text) => Object.fromEntries(text.split("\n").filter((line) => line.includes("=")).map((line) => {
    const at = line.indexOf("=");
    return [line.slice(0, at).trim(), line.slice(at + 1)];
  }));
  ask("Deploy with these variables?", "A new instance replaces the one that serves, if it becomes healthy.", "Deploy",
    (text) => update(service, { ImageConfiguration: { RuntimeEnvironmentVariables: parse(text) } }), false, { kind: "lines", value });
}

// One refresh at a time; what happens during it leads to one more.
let busy = false;
let again = false;
async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    do {
      again = false;
      await showServices();
      await showService();
      await showActions();
    } while (again);
  } finally {
    busy = false;
  }
}

byId("streams").addEventListener("change", (event) => {
  stream = event.target.value;
  picked = true;
  refresh();
});
const live = new EventSource("/events");
live.addEventListener("open", () => { byId("live").textContent = "live"; refresh(); });
live.addEventListener("error", () => { byId("live").textContent = "not connected: is the server running?"; });
live.addEventListener("news", refresh);
live.addEventListener("place", (event) => { byId("place").textContent = event.data; });
