// Renders /openapi.json. Text goes into the page as text nodes only: a plugin's summary is not ours to trust as HTML.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A schema as a reader wants to see it: references followed, each at most once on the way down. */
function example(api, schema, seen = []) {
  if (!schema || schema === true) return null;
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    if (seen.includes(name)) return `… ${name}`;
    return example(api, api.components.schemas[name], [...seen, name]);
  }
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum.join(" | ");
  const choices = schema.anyOf || schema.oneOf;
  if (choices) return example(api, choices.find((choice) => choice.type !== "null") || choices[0], seen);
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => example(api, part, seen)));
  const type = Array.isArray(schema.type) ? schema.type.find((name) => name !== "null") : schema.type;
  if (type === "array") return [example(api, schema.items, seen)];
  if (schema.properties) {
    const members = Object.entries(schema.properties).map(([name, property]) => {
      const required = (schema.required || []).includes(name);
      return [required ? name : `${name}?`, example(api, property, seen)];
    });
    return Object.fromEntries(members);
  }
  return schema.format ? `${type} (${schema.format})` : type || "any";
}

function shown(api, schema) {
  return element("pre", null, JSON.stringify(example(api, schema), null, 2));
}

function parameters(operation, api) {
  const all = (operation.parameters || []).map((parameter) =>
    parameter.$ref ? api.components.parameters[parameter.$ref.split("/").pop()] : parameter);
  if (all.length === 0) return null;
  const rows = all.map((parameter) => element("tr", null,
    element("td", null, element("code", null, parameter.name)),
    element("td", null, parameter.in + (parameter.required ? ", required" : "")),
    element("td", null, parameter.description || String(example(api, parameter.schema)))));
  return element("table", null, ...rows);
}

function body(operation, api) {
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  return content ? element("div", null, element("h3", null, "Body"), shown(api, content.schema)) : null;
}

function answers(operation, api) {
  const parts = Object.entries(operation.responses || {}).map(([status, answer]) => {
    const content = Object.values(answer.content || {})[0];
    const isProblem = Number(status) >= 400;
    return element("div", null,
      element("h3", null, `${status} ${answer.description || ""}`),
      content && content.schema && !isProblem ? shown(api, content.schema) : null);
  });
  return element("div", null, ...parts);
}

function access(operation) {
  const permission = operation["x-permission"];
  if (permission) return `staff: ${permission}`;
  const open = (operation.security || []).some((one) => Object.keys(one).length === 0);
  return open ? "public" : "signed in";
}

function show(api, path, method, operation) {
  return element("details", { "data-words": `${path} ${operation.operationId} ${operation.summary || ""}`.toLowerCase() },
    element("summary", null,
      element("span", { class: `method ${method}` }, method.toUpperCase()), element("code", null, path), ` ${operation.summary || ""}`,
      element("span", { class: "access" }, access(operation))),
    element("div", null, element("p", null, element("code", null, operation.operationId)),
      parameters(operation, api), body(operation, api), answers(operation, api)));
}

async function start() {
  const description = await (await fetch("/openapi.json" + location.search)).json();
  const list = document.getElementById("operations");
  const groups = new Map();
  for (const [path, item] of Object.entries(description.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const tag = (item[method].tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(show(description, path, method, item[method]));
    }
  }
  for (const [tag, operations] of groups) {
    list.append(element("section", null, element("h2", null, tag), ...operations));
  }
  document.getElementById("about").textContent = `${description.info.title} ${description.info.version}`;
  document.getElementById("filter").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase();
    for (const one of list.querySelectorAll("details")) one.hidden = !one.dataset.words.includes(words);
  });
}

start().catch((error) => { document.getElementById("about").textContent = `openapi.json can't be read: ${error}`; });
