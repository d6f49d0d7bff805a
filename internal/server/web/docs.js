"use strict";

// The playground: a form for each operation of /openapi.json that sends real requests.

const list = document.getElementById("operations");
const keyInput = document.getElementById("key");
keyInput.value = sessionStorage.getItem("key") || "";
keyInput.addEventListener("input", () => sessionStorage.setItem("key", keyInput.value));
document.getElementById("bar").addEventListener("submit", (e) => e.preventDefault());

// el makes an element; texts are set as text, so nothing that a server sends is read as markup.
function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children);
  return e;
}

function resolve(doc, node) {
  if (!node || !node.$ref) return node;
  return node.$ref.slice(2).split("/").reduce((at, step) => at[step], doc);
}

// example makes a value that fits a schema, for the body of a request.
function example(doc, schema, depth = 0) {
  schema = resolve(doc, schema) || {};
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "object") {
    const out = {};
    if (depth > 4) return out;
    for (const name of schema.required || []) out[name] = example(doc, schema.properties[name], depth + 1);
    return out;
  }
  if (type === "array") return [];
  if (type === "integer" || type === "number") return schema.minimum || 0;
  if (type === "boolean") return false;
  return "";
}

function bodyText(doc, media) {
  return JSON.stringify(media.example !== undefined ? media.example : example(doc, media.schema), null, 2);
}

function fieldsTable(doc, schema) {
  schema = resolve(doc, schema) || {};
  const rows = Object.entries(schema.properties || {}).map(([name, p]) => {
    const q = resolve(doc, p) || {};
    const type = [].concat(q.type || "any").join(" or ") + (q.enum ? ": " + q.enum.join(", ") : "");
    const needed = (schema.required || []).includes(name);
    return el("tr", null, el("td", null, el("code", null, name), needed ? " *" : ""), el("td", null, type), el("td", null, p.description || q.description || ""));
  });
  return rows.length ? el("table", null, el("tbody", null, ...rows)) : "";
}

// show prints an answer; an event stream is printed as it comes.
async function show(response, out, signal) {
  const type = response.headers.get("content-type") || "";
  let text = response.status + " " + response.statusText + "\n";
  for (const name of ["x-chat-id", "x-turn-id", "x-request-id"]) {
    if (response.headers.get(name)) text += name + ": " + response.headers.get(name) + "\n";
  }
  text += "\n";
  if (!type.startsWith("text/event-stream")) {
    const body = await response.text();
    try {
      text += type.includes("json") ? JSON.stringify(JSON.parse(body), null, 2) : body;
    } catch {
      text += body;
    }
    out.textContent = text;
    return;
  }
  out.textContent = text;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  while (!signal.aborted) {
    const { done, value } = await reader.read();
    if (done) return;
    out.textContent += value;
    out.scrollTop = out.scrollHeight;
  }
}

function operation(doc, method, path, op) {
  const params = (op.parameters || []).map((p) => resolve(doc, p));
  const inputs = params.map((p, i) => {
    const id = op.operationId + "-" + i;
    const input = el("input", { type: "text", id, spellcheck: "false", autocomplete: "off", placeholder: p.required ? "needed" : "" });
    return { p, input, row: el("div", null, el("label", { for: id }, el("code", null, p.name), " ", el("span", { class: "hint" }, p.description || "")), input) };
  });
  const content = (op.requestBody && op.requestBody.content) || {};
  const media = content["application/json"];
  const raw = content["*/*"];
  const bodyId = op.operationId + "-body";
  const body = media || raw ? el("textarea", { id: bodyId, spellcheck: "false" }) : null;
  if (media) body.value = bodyText(doc, media);

  const out = el("pre", { hidden: true, tabindex: "0" });
  const stop = el("button", { type: "button", class: "quiet", hidden: true }, "Stop reading");
  let running = null;
  stop.addEventListener("click", () => running && running.abort());

  async function send(event) {
    event.preventDefault();
    let url = path;
    const query = new URLSearchParams();
    const headers = { authorization: "Bearer " + keyInput.value.trim() };
    for (const { p, input } of inputs) {
      const value = input.value;
      if (p.in === "path") url = url.replace("{" + p.name + "}", encodeURIComponent(value));
      else if (value === "") continue;
      else if (p.in === "query") query.append(p.name, value);
      else if (p.in === "header") headers[p.name.toLowerCase()] = value;
    }
    const options = { method: method.toUpperCase(), headers };
    if (body && (media ? body.value.trim() !== "" : true)) {
      headers["content-type"] = media ? "application/json" : "application/octet-stream";
      options.body = body.value;
    }
    if (running) running.abort();
    running = new AbortController();
    const mine = running;
    options.signal = mine.signal;
    out.hidden = false;
    out.textContent = "…";
    stop.hidden = false;
    try {
      await show(await fetch(url + (query.size ? "?" + query : ""), options), out, mine.signal);
    } catch (error) {
      if (!mine.signal.aborted) out.textContent += "\n" + error;
    } finally {
      if (running === mine) stop.hidden = true;
    }
  }

  const form = el("form", { onsubmit: send },
    ...inputs.map((i) => i.row),
    body ? el("div", null, el("label", { for: bodyId }, media ? "Body (JSON)" : "Body"), body) : "",
    el("div", { class: "actions" }, el("button", { type: "submit" }, "Send"), stop));
  const say = (op["x-say"] || []).map((s) => "“" + s + "”").join(" ");
  const details = el("details", { id: "op-" + op.operationId },
    el("summary", null,
      el("span", { class: "method " + method }, method.toUpperCase()),
      el("span", { class: "path" }, path),
      el("span", { class: "what" }, op.summary || "")),
    el("div", null,
      el("p", null, op.description || ""),
      say ? el("p", { class: "hint" }, "Or say: " + say) : "",
      el("p", { class: "hint" }, "Needs the right ", el("code", null, op["x-scope"] || "none"), "."),
      media ? fieldsTable(doc, media.schema) : "",
      form, out));
  details.dataset.text = (path + " " + op.operationId + " " + (op.summary || "") + " " + say).toLowerCase();
  return details;
}

async function main() {
  const doc = await (await fetch("/openapi.json")).json();
  const groups = new Map((doc.tags || []).map((t) => [t.name, []]));
  for (const [path, item] of Object.entries(doc.paths)) {
    for (const [method, op] of Object.entries(item)) {
      const name = (op.tags || ["other"])[0];
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(operation(doc, method, path, op));
    }
  }
  for (const [name, entries] of groups) {
    if (entries.length) list.append(el("section", null, el("h2", null, name[0].toUpperCase() + name.slice(1)), ...entries));
  }
  document.getElementById("find").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const section of list.children) {
      let any = false;
      for (const d of section.querySelectorAll("details")) {
        d.hidden = !words.every((w) => d.dataset.text.includes(w));
        any = any || !d.hidden;
      }
      section.hidden = !any;
    }
  });
  if (location.hash.startsWith("#op-")) {
    const target = document.getElementById(location.hash.slice(1));
    if (target) {
      target.open = true;
      target.scrollIntoView();
    }
  }
}

main().catch((error) => {
  list.textContent = "The list of operations could not be loaded: " + error;
});
