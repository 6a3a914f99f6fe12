// Checks docs/asyncapi.yaml and docs/openapi.yaml, and that they tell the truth.
//
//   node check.mjs             both are valid and keep the rules of ruleset.yaml
//   node check.mjs RECORDS     each line of that file, a JSON object, is as they say, and together
//                              the lines show every message and every call that they have:
//     {"channel":"v1","from":"gateway"|"client","text":…}         one message of a socket or stream
//     {"channel":"v1","code":1012}                                how a socket was closed
//     {"method":"GET","path":"/tickets/{ticket_id}","status":…,"headers":{…},"body":…}
//     {"unseen":"429","why":…}                                    what cannot be shown
//
// What the gateway sends may have no field that the documents do not have, although they leave that
// open to their readers.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const path = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const require = createRequire(path("build/tools/api/package.json"));
const { default: Ajv } = require("ajv/dist/2020");
const { default: addFormats } = require("ajv-formats");
const { parse } = require("yaml");

const complaints = [];
const complain = (text) => complaints.push(text);

async function checkDocuments() {
  const { Parser, fromFile } = require("@asyncapi/parser");
  const { document, diagnostics } = await fromFile(new Parser(), path("docs/asyncapi.yaml")).parse();
  for (const found of diagnostics) {
    if (found.severity === 0) complain(`asyncapi.yaml: ${found.path.join(".")}: ${found.message}`);
  }
  if (!document) complain("asyncapi.yaml cannot be read");
  const spectral = spawnSync(
    process.execPath,
    [path("build/tools/api/node_modules/.bin/spectral"), "lint", "--fail-severity=warn",
      `--ruleset=${path("tools/api/ruleset.yaml")}`, path("docs/asyncapi.yaml"),
      path("docs/openapi.yaml")],
    { encoding: "utf8" },
  );
  if (spectral.status !== 0) complain(spectral.stdout + spectral.stderr);
}

// Closes each place where an object is used, but not what is a part of one.
function close(schema, isPart) {
  if (typeof schema !== "object" || schema === null) return;
  const parts = [...(schema.allOf ?? []), ...(schema.oneOf ?? []), ...(schema.anyOf ?? [])];
  for (const part of parts) close(part, true);
  for (const property of Object.values(schema.properties ?? {})) close(property, false);
  close(schema.items, false);
  if (!isPart && (schema.$ref || schema.properties || parts.length > 0)) {
    schema.unevaluatedProperties = false;
  }
}

class Documents {
  constructor() {
    this.files = {};
    this.ajv = new Ajv({ strict: false, allErrors: false });
    addFormats(this.ajv);
    for (const name of ["schemas.yaml", "asyncapi.yaml", "openapi.yaml"]) {
      const file = parse(readFileSync(path(`docs/${name}`), "utf8"));
      this.files[name] = file;
      // The whole of a schema is closed where it is used.
      for (const schema of Object.values(file.schemas ?? file.components.schemas)) {
        close(schema, true);
      }
      this.ajv.addSchema({ ...file, $id: `docs:/${name}` });
    }
    this.asyncapi = this.files["asyncapi.yaml"];
    this.openapi = this.files["openapi.yaml"];
  }

  // What is at a reference within a file.
  at(name, reference) {
    return reference.slice(2).split("/").reduce((found, key) => found[key], this.files[name]);
  }

  // Why the value is not as the schema at this place says; undefined where it is. `closed`: it may
  // have no other field.
  fault(reference, value, closed) {
    const key = `${reference} ${closed}`;
    let validate = this.ajv.getSchema(key);
    if (!validate) {
      const schema = { $id: `docs:/${encodeURIComponent(key)}`, $ref: `docs:/${reference}` };
      if (closed) schema.unevaluatedProperties = false;
      validate = this.ajv.compile(schema);
      this.ajv.addSchema(schema, key);
    }
    if (validate(value)) return undefined;
    const [error] = validate.errors.slice(-1);
    return `${error.instancePath || "it"} ${error.message} ${JSON.stringify(error.params)}`;
  }

  // The messages of a channel that go one way: name -> the place of its schema.
  messages(channel, action) {
    const found = new Map();
    for (const operation of Object.values(this.asyncapi.operations)) {
      if (operation.action !== action) continue;
      if (operation.channel.$ref !== `#/channels/${channel}`) continue;
      for (const { $ref } of operation.messages) {
        const message = this.at("asyncapi.yaml", this.at("asyncapi.yaml", $ref).$ref);
        const { $ref: payload } = message.payload;
        found.set(message.name, payload.startsWith("#") ? `asyncapi.yaml${payload}`
          : payload.replace("./", ""));
      }
    }
    return found;
  }

  response(method, path, status) {
    const response = this.openapi.paths[path]?.[method.toLowerCase()]?.responses[status];
    return response?.$ref ? { ...this.at("openapi.yaml", response.$ref), name: response.$ref }
      : response;
  }
}

function checkRecords(documents, records) {
  const seen = new Set();
  const excused = new Set();
  for (const record of records) {
    const shown = JSON.stringify(record).slice(0, 600);
    if (record.unseen) excused.add(record.unseen);
    else if (record.code) checkClose(documents, record, shown);
    else if (record.channel) checkMessage(documents, record, shown, seen);
    else checkResponse(documents, record, shown, seen);
  }
  for (const expected of everything(documents)) {
    if (!seen.has(expected) && !excused.has(expected)) complain(`never seen: ${expected}`);
  }
  return seen.size;
}

function checkClose(documents, record, shown) {
  if (!documents.asyncapi.components["x-close-codes"][record.code]) {
    complain(`an unknown close code: ${shown}`);
  }
}

function checkMessage(documents, record, shown, seen) {
  const fromGateway = record.from === "gateway";
  const message = JSON.parse(record.text);
  const reference = documents.messages(record.channel, fromGateway ? "send" : "receive")
    .get(message.type);
  if (!reference) return complain(`an unknown type: ${shown}`);
  const fault = documents.fault(reference, message, fromGateway);
  if (fault) complain(`${fault}: ${shown}`);
  seen.add(`${record.channel} ${record.from} ${message.type}`);
  if (record.channel !== "plain" || !fromGateway) return;
  const order = Object.keys(documents.at(...reference.split(/(?<=yaml)(?=#)/)).properties);
  const places = Object.keys(message).map((name) => order.indexOf(name));
  if (places.some((place, i) => i > 0 && place < places[i - 1])) {
    complain(`not in the order of the document: ${shown}`);
  }
}

function checkResponse(documents, record, shown, seen) {
  const { method, path, status, headers, body } = record;
  const response = documents.response(method, path, String(status));
  if (!response) return complain(`an unknown answer: ${shown}`);
  seen.add(`${method} ${path} ${status < 300 ? status : ""}`.trim());
  if (response.name) seen.add(response.name);
  for (const [name, header] of Object.entries(response.headers ?? {})) {
    if (header.required && !headers[name.toLowerCase()]) complain(`no ${name}: ${shown}`);
  }
  const type = headers["content-type"].split(";")[0];
  const content = response.content[type];
  if (!content) return complain(`an unknown content type: ${shown}`);
  if (type !== "application/json") return undefined;
  const { $ref } = content.schema;
  const fault = documents.fault(`openapi.yaml${$ref}`, JSON.parse(body), true);
  if (fault) complain(`${fault}: ${shown}`);
}

function* everything(documents) {
  for (const channel of Object.keys(documents.asyncapi.channels)) {
    for (const type of documents.messages(channel, "send").keys()) yield `${channel} gateway ${type}`;
    for (const type of documents.messages(channel, "receive").keys()) yield `${channel} client ${type}`;
  }
  for (const [path, methods] of Object.entries(documents.openapi.paths)) {
    for (const method of Object.keys(methods)) yield `${method.toUpperCase()} ${path} 200`;
  }
  for (const name of Object.keys(documents.openapi.components.responses)) {
    yield `#/components/responses/${name}`;
  }
}

if (process.argv[2]) {
  const lines = readFileSync(process.argv[2], "utf8").split("\n").filter(Boolean);
  const count = checkRecords(new Documents(), lines.map((line) => JSON.parse(line)));
  console.log(`${lines.length} records of ${count} kinds`);
} else {
  await checkDocuments();
}
for (const text of [...new Set(complaints)].slice(0, 30)) console.error(text);
process.exitCode = complaints.length > 0 ? 1 : 0;
