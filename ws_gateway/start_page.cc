#include "absl/strings/string_view.h"
#include "ws_gateway/http.h"

namespace agentdesk::gateway {

// A window on the plain protocol: the broadcasts as they come, and an answer to each question. What
// an agent wrote is only ever put into the page as text.
absl::string_view StartPageHtml() {
  static constexpr absl::string_view kPage = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>AgentDesk</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { margin: 0 auto; max-width: 52rem; padding: 1rem; }
  header { display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap; }
  h1 { font-size: 1.3rem; margin: 0; }
  h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
  .entry, .question { border: 1px solid #8886; border-radius: .5rem; padding: .5rem .75rem;
    margin: .5rem 0; overflow-wrap: anywhere; }
  .question { border-color: #c80; }
  .kind { font-size: .8rem; opacity: .75; }
  .text { white-space: pre-wrap; }
  form { display: flex; gap: .5rem; flex-wrap: wrap; margin-top: .5rem; }
  input, button { font: inherit; padding: .35rem .6rem; }
  input { flex: 1 1 12rem; }
</style>
</head>
<body>
<header><h1>AgentDesk</h1><span id="state" role="status">connecting…</span></header>
<h2>New ticket</h2>
<form id="create"><input name="ticket_name" maxlength="500" required aria-label="Ticket name"
  placeholder="What is to be done?"><button>Create</button></form>
<h2>Open questions</h2>
<div id="questions" aria-live="polite"></div>
<h2>What happens</h2>
<div id="log" role="log"></div>
<script>
"use strict";
const element = (id) => document.getElementById(id);
const state = element("state"), log = element("log"), questions = element("questions");
const open = new Map();
let socket = null, wait = 500;

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}
function note(kind, text) {
  const entry = make("div", "entry");
  entry.append(make("div", "kind", kind), make("div", "text", text));
  log.prepend(entry);
  while (log.children.length > 300) log.lastChild.remove();
}
function values(response) { return Array.isArray(response) ? response.join(", ") : response; }
function describe(m) {
  switch (m.type) {
    case "ticket_created": return m.ticket_name;
    case "agent_started": return m.ticket_name;
    case "tool_call": return [m.tool_name, m.title, m.content].filter(Boolean).join("\n");
    case "question_answered": return `${m.answered_by}: ${values(m.response)}`;
    case "user_message": return `${m.from}: ${m.content}`;
    case "agent_complete": return `${m.ticket_id} ${m.status}`;
    case "agent_error": return m.error;
    default: return m.content || m.ticket_id || "";
  }
}
function answer(question, response) {
  if (!socket || socket.readyState !== WebSocket.OPEN) return note("not sent", "not connected");
  socket.send(JSON.stringify({type: "user_response", session_id: question.session_id,
    question_id: question.question_id, response}));
}
function close(id) {
  const box = open.get(id);
  if (box) { box.remove(); open.delete(id); }
}
function ask(q) {
  close(q.question_id);
  const box = make("div", "question");
  box.append(make("div", "text", q.content));
  const form = make("form");
  const choices = (q.choices || []).map((c) => typeof c === "string" ? {value: c} : c);
  if (q.multiple) {
    const boxes = choices.map((c) => {
      const label = make("label"), tick = make("input");
      tick.type = "checkbox"; tick.value = c.value;
      label.append(tick, ` ${c.label || c.value}`);
      form.append(label);
      return tick;
    });
    form.append(make("button", "", "Answer"));
    form.onsubmit = (event) => {
      event.preventDefault();
      answer(q, boxes.filter((b) => b.checked).map((b) => b.value));
    };
  } else {
    for (const c of choices) {
      const button = make("button", "", c.label || c.value);
      button.type = "button";
      button.onclick = () => answer(q, c.value);
      form.append(button);
    }
    if (choices.length === 0 || q.free_text) {
      const input = make("input");
      input.setAttribute("aria-label", "Your answer");
      form.append(input, make("button", "", "Answer"));
      form.onsubmit = (event) => { event.preventDefault(); answer(q, input.value); };
    } else {
      form.onsubmit = (event) => event.preventDefault();
    }
  }
  box.append(form);
  questions.append(box);
  open.set(q.question_id, box);
}
async function loadQuestions() {
  let token = "";
  do {
    const response = await fetch(
      `/questions?state=open&page_size=200&page_token=${encodeURIComponent(token)}`);
    const page = await response.json();
    if (!response.ok) throw Object.assign(new Error(page.error.message), {status: response.status});
    for (const q of page.questions) ask(q);
    token = page.next_page_token;
  } while (token);
}
async function showAsked(m) {
  // The broadcast names the values; the whole question says how it may be answered.
  const response = await fetch(`/questions/${m.question_id}`);
  const q = response.ok ? await response.json() : m;
  if (!q.state || q.state === "open") ask(q);
}
function receive(m) {
  if (m.type === "ack") {
    if (m.status !== "received") note(m.status, m.message || "");
    return;
  }
  if (m.type === "error") return note(m.code, m.message);
  if (m.type === "agent_question") showAsked(m).catch(() => ask(m));
  if (m.type.startsWith("question_")) close(m.question_id);
  note(m.type.replaceAll("_", " "), describe(m));
}
function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const current = socket = new WebSocket(`${scheme}//${location.host}/ws`);
  let why = "connection lost", forGood = false;
  // A refusal is a socket that opens too: only what could be read says that this one is good.
  socket.onopen = async () => {
    for (const id of [...open.keys()]) close(id);
    try {
      await loadQuestions();
      if (current.readyState !== WebSocket.OPEN) return;
      state.textContent = "connected";
      wait = 500;
    } catch (error) {
      why = error.message;
      forGood = error.status === 401 || error.status === 403;
      if (error.status === 401) why += "; sign-in needs the built page (tools/web.sh build)";
      current.close();
    }
  };
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = ({code, reason}) => {
    why = reason || why;
    forGood ||= code >= 4500 || [1002, 1003, 1007, 1008, 1009].includes(code);
    state.textContent = forGood ? why : `${why}; trying again…`;
    if (forGood) return;
    setTimeout(connect, wait * (0.5 + Math.random()));
    wait = Math.min(wait * 2, 15000);
  };
}
element("create").onsubmit = async (event) => {
  event.preventDefault();
  const form = event.target;
  const response = await fetch("/tickets/create", {method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({ticket_name: form.ticket_name.value})});
  if (response.ok) form.reset();
  else note("not created", (await response.json()).error.message);
};
connect();
</script>
</body>
</html>
)html";
  return kPage;
}

}  // namespace agentdesk::gateway
