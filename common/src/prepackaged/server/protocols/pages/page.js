"use strict";
const facts = JSON.parse(document.getElementById("facts").textContent);
const at = (id) => document.getElementById(id);
const SHOWN = 200; // values of an answer
const KEPT = 50; // times of past calls
const KINDS = { float64: "number", float32: "number", int64: "whole number", bool: "true or false", text: "text", category: "category", datetime: "date and time" };
const times = [];
let picture = null; // Base64 of the chosen image
let written = false; // whether the request is what a person wrote as JSON

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function block(text) {
  return element("pre", text, { tabindex: 0 });
}

// The address of the server: the page's own address without the route of the page.
function base() {
  if (location.protocol === "file:") return at("address").value.replace(/\/+$/, "");
  const path = location.pathname;
  const route = document.body.dataset.route;
  const prefix = path.endsWith(route) ? path.slice(0, path.length - route.length) : path;
  return location.origin + prefix.replace(/\/+$/, "");
}

function describeModel() {
  at("name").textContent = facts.name || "Model";
  document.title = `Try ${facts.name || "the model"}`;
  for (const [term, text] of facts.about) {
    const pair = element("div");
    pair.append(element("dt", term), element("dd", text));
    at("about").append(pair);
  }
  at("hint").textContent = facts.hint;
  at("address-line").hidden = location.protocol !== "file:";
}

// The form

function fieldOf(column, number) {
  const box = element("div");
  const id = `column-${number}`;
  const label = element("label", column.name || `column ${number}`, { for: id });
  label.append(" ", element("small", [KINDS[column.kind], column.range].filter(Boolean).join(", ")));
  const input = column.choices ? element("select") : element("input", undefined, { type: "text" });
  input.id = id;
  if (column.choices) for (const each of column.choices) input.append(element("option", String(each)));
  if (/^(float|int)/.test(column.kind)) input.inputMode = "decimal";
  input.addEventListener("input", onForm);
  box.append(label, input);
  if (column.nullable) {
    const missing = element("label", undefined, { class: "missing" });
    const check = element("input", undefined, { type: "checkbox", id: `${id}-missing`, "aria-label": `${label.firstChild.data} is missing` });
    check.addEventListener("input", onForm);
    missing.append(check, "missing");
    box.append(missing);
  }
  return box;
}

function buildForm() {
  facts.columns.forEach((column, number) => {
    at(column.used ? "fields" : "unused-fields").append(fieldOf(column, number));
  });
  at("unused").hidden = facts.columns.every((column) => column.used);
  at("image-line").hidden = !facts.takesImages;
  at("as-json").open = !facts.columns.length && !facts.takesImages;
}

function fill(values) {
  values.forEach((value, number) => {
    const missing = at(`column-${number}-missing`);
    if (missing) missing.checked = value === null;
    at(`column-${number}`).value = value === null ? "" : String(value);
  });
}

function valueOf(column, number) {
  if (at(`column-${number}-missing`)?.checked) return null;
  const text = at(`column-${number}`).value;
  if (column.choices) return column.choices[at(`column-${number}`).selectedIndex];
  if (column.kind === "text" || column.kind === "category" || column.kind === "datetime") return text;
  if (column.kind === "bool" && /^(true|false)$/i.test(text.trim())) return /true/i.test(text);
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

function messageOfForm() {
  if (picture !== null) return { binData: picture };
  if (!facts.columns.length) return facts.example;
  const row = facts.columns.map(valueOf);
  const names = facts.columns.map((column) => column.name);
  return { data: names.includes(null) ? { ndarray: [row] } : { names, ndarray: [row] } };
}

function onForm() {
  written = false;
  const message = messageOfForm();
  const text = JSON.stringify(message);
  at("json").value = text === undefined ? "" : text.length > 20000 ? `${text.slice(0, 200)}...` : text;
  showCode(text ?? "");
}

function onJson() {
  written = true;
  showCode(at("json").value);
  try {
    const { names, ndarray } = JSON.parse(at("json").value).data;
    const row = ndarray[0];
    if (row.length === facts.columns.length && (!names || names.every((name, place) => name === facts.columns[place].name))) fill(row);
  } catch { /* the form stays as it is until the text is a request that it can show */ }
}

function reset() {
  picture = null;
  at("image").value = "";
  at("preview").hidden = true;
  fill(facts.columns.map((column) => column.example));
  onForm();
}

function takeImage(file) {
  if (!file || !facts.takesImages) return;
  const reader = new FileReader();
  reader.onload = () => {
    picture = reader.result.slice(reader.result.indexOf(",") + 1);
    at("preview").src = reader.result;
    at("preview").hidden = false;
    onForm();
  };
  reader.readAsDataURL(file);
}

// The answer

function showError(text) {
  at("answer").replaceChildren();
  at("raw-line").hidden = true;
  at("error").textContent = text;
  at("error").hidden = false;
  const named = /column ('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\d+)/.exec(text);
  if (!named) return;
  const number = facts.columns.findIndex((column) => column.label === named[1]);
  const field = at(`column-${number}`);
  if (field) {
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", "error");
    field.focus();
  }
}

function clearErrors() {
  at("error").hidden = true;
  for (const field of document.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
}

function barOf(name, value, largest, best) {
  const bar = element("div", undefined, { class: best ? "bar best" : "bar" });
  const track = element("span", undefined, { class: "track" });
  const fillBar = element("i");
  fillBar.style.width = `${Math.max(0, Math.min(100, (100 * value) / largest))}%`;
  track.append(fillBar);
  bar.append(element("span", name, { title: name }), track, element("span", Number(value.toPrecision(4)).toString()));
  return bar;
}

function showAnswer(answer) {
  const box = at("answer");
  box.replaceChildren();
  const data = answer.data ?? {};
  const rows = data.ndarray ?? rowsOf(data.tensor);
  const row = Array.isArray(rows?.[0]) ? rows[0] : rows;
  const names = data.names ?? [];
  if (Array.isArray(row) && row.length && row.length <= SHOWN && row.every((value) => typeof value === "number")) {
    showNumbers(box, row, names.length === row.length ? names : row.map((_, place) => String(place)));
  } else {
    const text = JSON.stringify(rows ?? answer.jsonData ?? answer.strData ?? answer);
    box.append(block(text.length > 2000 ? `${text.slice(0, 2000)}... (${text.length} characters)` : text));
  }
  const raw = JSON.stringify(answer, null, 1);
  at("raw").textContent = raw.length > 20000 ? `${raw.slice(0, 20000)}...` : raw;
  at("raw-line").hidden = false;
}

function showNumbers(box, row, names) {
  if (row.length === 1) {
    box.append(element("p", String(row[0]), { class: "best" }));
    return;
  }
  const best = Math.max(...row);
  const isShare = row.every((value) => value >= 0 && value <= 1);
  row.forEach((value, place) => box.append(barOf(names[place], value, isShare ? 1 : Math.max(best, 1e-12), value === best)));
}

function rowsOf(tensor) {
  if (!tensor) return undefined;
  const width = tensor.shape.slice(1).reduce((product, size) => product * size, 1);
  return [tensor.values.slice(0, width)];
}

function showTime(milliseconds) {
  times.push(milliseconds);
  if (times.length > KEPT) times.shift();
  const most = Math.max(...times);
  const points = times.map((time, place) => `${(200 * place) / Math.max(times.length - 1, 1)},${38 - (36 * time) / most}`);
  at("times-plot").setAttribute("points", points.join(" "));
  at("times-text").textContent = `This call took ${milliseconds.toFixed(1)} ms; the slowest of the last ${times.length} took ${most.toFixed(1)} ms, the way there and back included.`;
  at("times-line").hidden = false;
}

async function predict(event) {
  event.preventDefault();
  clearErrors();
  at("predict").disabled = true;
  const began = performance.now();
  try {
    const response = await fetch(`${base()}${facts.path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: written ? at("json").value : JSON.stringify(messageOfForm()),
    });
    const text = await response.text();
    const answer = parsed(text);
    if (response.ok && answer) {
      showTime(performance.now() - began);
      showAnswer(answer);
    } else {
      showError(answer?.status?.info ?? answer?.error ?? `HTTP ${response.status}: ${text.slice(0, 300)}`);
    }
  } catch (error) {
    showError(`The server at ${base()} cannot be reached: ${error.message}`);
  } finally {
    at("predict").disabled = false;
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// The same request from a program

function showCode(text) {
  const short = text.length > 1000 ? "REQUEST" : text;
  const url = `${base()}${facts.path}`;
  const quoted = short.replaceAll("'", "'\\''");
  const programs = {
    curl: `curl '${url}' \\\n  -H 'Content-Type: application/json' \\\n  -d '${quoted}'`,
    Python: `import json\nfrom urllib.request import Request, urlopen\n\nmessage = json.loads(${JSON.stringify(short)})\nrequest = Request(${JSON.stringify(url)}, json.dumps(message).encode(), {"Content-Type": "application/json"})\nprint(json.load(urlopen(request)))`,
  };
  at("code").replaceChildren();
  for (const [name, program] of Object.entries(programs)) {
    at("code").append(element("h3", name), block(program));
  }
  for (const [name, path, body] of facts.protocols) {
    const example = `curl '${base()}${path}' \\\n  -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`;
    at("code").append(element("h3", name), block(example));
  }
}

describeModel();
buildForm();
reset();
at("form").addEventListener("submit", predict);
at("reset").addEventListener("click", reset);
at("json").addEventListener("input", onJson);
at("address").addEventListener("input", onForm);
at("image").addEventListener("change", () => takeImage(at("image").files[0]));
at("form").addEventListener("dragover", (event) => event.preventDefault());
at("form").addEventListener("drop", (event) => { event.preventDefault(); takeImage(event.dataTransfer.files[0]); });
document.addEventListener("paste", (event) => takeImage(event.clipboardData?.files[0]));
