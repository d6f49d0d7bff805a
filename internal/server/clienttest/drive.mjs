// Drives a server with the chat client of the npm package ai, as front ends do: DefaultChatTransport and the chat state
// behind useChat. Usage: node drive.mjs MAJOR BASE_URL KEY. Prints a JSON line for each scenario: {name, ok, error?}.

import assert from "node:assert/strict";

const [, , major, base, key] = process.argv;
const { AbstractChat, DefaultChatTransport, generateId, lastAssistantMessageIsCompleteWithToolCalls } = await import("ai" + major);

const headers = { authorization: "Bearer " + key };
const patience = 20_000; // milliseconds until a scenario that does not get on fails

// State is a chat state whose changes can be waited for.
class State {
  #status = "ready";
  #messages;
  #error;
  #watchers = new Set();
  constructor(messages = []) {
    this.#messages = messages;
  }
  #changed() {
    for (const watch of [...this.#watchers]) watch();
  }
  get status() {
    return this.#status;
  }
  set status(v) {
    this.#status = v;
    this.#changed();
  }
  get error() {
    return this.#error;
  }
  set error(v) {
    this.#error = v;
    this.#changed();
  }
  get messages() {
    return this.#messages;
  }
  set messages(v) {
    this.#messages = v;
    this.#changed();
  }
  pushMessage = (m) => (this.messages = [...this.#messages, m]);
  popMessage = () => (this.messages = this.#messages.slice(0, -1));
  replaceMessage = (i, m) => (this.messages = [...this.#messages.slice(0, i), this.snapshot(m), ...this.#messages.slice(i + 1)]);
  snapshot = (v) => structuredClone(v);

  // until resolves once the condition holds.
  until(what, condition) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#watchers.delete(watch);
        reject(new Error(`${what} never came: ${this.#status}, ${JSON.stringify(this.#messages)}`));
      }, patience);
      const watch = () => {
        if (!condition()) return;
        clearTimeout(late);
        this.#watchers.delete(watch);
        resolve();
      };
      this.#watchers.add(watch);
      watch();
    });
  }
}

class Chat extends AbstractChat {
  constructor({ messages, transport, ...init } = {}) {
    const state = new State(messages);
    const requests = [];
    super({
      generateId,
      ...init,
      state,
      transport: new DefaultChatTransport({
        api: base + "/api/chat",
        headers,
        fetch: (url, options) => {
          requests.push({ url: String(url), method: options.method ?? "GET" });
          return fetch(url, options);
        },
        ...transport,
      }),
    });
    this.shown = state;
    this.requests = requests;
  }
  get last() {
    return this.messages.at(-1);
  }
}

const text = (m) => m.parts.filter((p) => p.type === "text").map((p) => p.text).join("\n\n");
const plain = (v) => JSON.parse(JSON.stringify(v)); // without the fields that are undefined
const types = (m) => m.parts.map((p) => p.type);

async function api(method, path, body) {
  const response = await fetch(base + path, {
    method,
    headers: { ...headers, ...(body ? { "content-type": "application/json" } : {}) },
    body: body && JSON.stringify(body),
  });
  assert.equal(response.status, 200, `${method} ${path}: ${response.status}`);
  return response.json();
}

const whole = "Half and \n\nhalf. Whole."; // of an answer that waits at a gate

const release = (gate) => api("POST", `/test/gates/${gate}`);

// sameAsStored checks that what the server keeps is what the client built, byte for byte: a page that is loaded anew
// shows the same.
async function sameAsStored(chat) {
  const { messages } = await api("GET", `/api/chat/${encodeURIComponent(chat.id)}`);
  assert.deepEqual(messages, plain(chat.messages));
}

function wellEnded(chat) {
  assert.equal(chat.error, undefined, chat.error?.message);
  assert.equal(chat.status, "ready");
}

const scenarios = {
  async "a text"() {
    const chat = new Chat();
    await chat.sendMessage({ text: "say hello" });
    wellEnded(chat);
    assert.equal(chat.messages.length, 2);
    assert.equal(chat.last.role, "assistant");
    assert.equal(text(chat.last), "Hello there, žluťoučký kůň 🐎!");
    assert.deepEqual(chat.last.parts.filter((p) => p.type === "text").map((p) => p.state), ["done"]);
    assert.equal(chat.last.metadata.chatId, chat.id);
    assert.ok(chat.last.metadata.turnId.startsWith("turn_"));
    await sameAsStored(chat);
  },

  async "a second message"() {
    const chat = new Chat();
    await chat.sendMessage({ text: "say hello" });
    await chat.sendMessage({ text: "say more" });
    wellEnded(chat);
    assert.equal(chat.messages.length, 4);
    assert.equal(text(chat.last), "More.");
    await sameAsStored(chat);
  },

  async reasoning() {
    const chat = new Chat();
    await chat.sendMessage({ text: "say it with reasons" });
    wellEnded(chat);
    assert.deepEqual(types(chat.last), ["step-start", "reasoning", "text"]);
    assert.deepEqual(chat.last.parts.slice(1).map((p) => p.state), ["done", "done"]);
    await sameAsStored(chat);
  },

  async "tool calls are shown with input and output, and end the turn once"() {
    const asked = [];
    const chat = new Chat({
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
      onToolCall: ({ toolCall }) => void asked.push(toolCall),
    });
    await chat.sendMessage({ text: "use the tools" });
    wellEnded(chat);
    const tools = chat.last.parts.filter((p) => p.type === "dynamic-tool");
    assert.deepEqual(tools.map((p) => [p.toolName, p.state]), [["things_list", "output-available"], ["things_fail", "output-error"]]);
    assert.deepEqual(tools[0].input, { label: "env=test", list: [1, 2] });
    assert.equal(tools[0].output.count, 2);
    assert.match(tools[1].errorText, /no thing/);
    const steps = types(chat.last).filter((t) => t === "step-start").length;
    assert.equal(steps, 2);
    assert.equal(types(chat.last).at(-1), "text");
    assert.equal(chat.requests.length, 1, "the client sent the turn again");
    await sameAsStored(chat);
  },

  async "a tool that says how far it is"() {
    const chat = new Chat();
    const sent = chat.sendMessage({ text: `use the slow tool ${major}` });
    const tool = () => chat.last?.parts.find((p) => p.type === "dynamic-tool");
    await chat.shown.until("the progress", () => tool()?.preliminary);
    assert.deepEqual(tool().output, { done: 1 });
    await release(`slow-${major}`);
    await sent;
    wellEnded(chat);
    assert.deepEqual(tool().output, { ready: true });
    assert.ok(!tool().preliminary);
    await sameAsStored(chat);
  },

  async "keys that a client's parser refuses"() {
    const chat = new Chat();
    await chat.sendMessage({ text: "use the hostile tool" });
    wellEnded(chat);
    const tool = chat.last.parts.find((p) => p.type === "dynamic-tool");
    assert.equal(tool.state, "output-available");
    assert.equal(tool.output.fine, true);
    assert.equal(text(chat.last), "Survived.");
  },

  async "a turn that fails, and one after it"() {
    const chat = new Chat();
    await chat.sendMessage({ text: "fail please" });
    assert.equal(chat.status, "error");
    assert.equal(chat.error.message, "The model is out of order.");
    assert.equal(text(chat.last), "Let me see");
    chat.clearError?.();
    await chat.sendMessage({ text: "say hello" });
    wellEnded(chat);
    assert.equal(text(chat.last), "Hello there, žluťoučký kůň 🐎!");
  },

  async "a refusal is one plain sentence"() {
    const chat = new Chat({ transport: { headers: { authorization: "Bearer ck_live_wrong" } } });
    await chat.sendMessage({ text: "say hello" });
    assert.equal(chat.status, "error");
    assert.match(chat.error.message, /^[A-Z][^{}]*\.$/);
    const model = new Chat();
    await model.sendMessage({ text: "say hello" }, { body: { model: "no/such" } });
    assert.equal(model.status, "error");
    assert.match(model.error.message, /no\/such/);
  },

  async "resuming: replay, then live, for several readers"() {
    const first = new Chat();
    const sent = first.sendMessage({ text: `wait at resume-${major}` });
    await first.shown.until("the first half", () => first.last?.role === "assistant" && text(first.last).includes("Half"));
    const { messages } = await api("GET", `/api/chat/${first.id}`);
    const user = messages.filter((m) => m.role === "user");
    const others = [new Chat({ id: first.id, messages: user }), new Chat({ id: first.id, messages: user })];
    const resumed = others.map((c) => c.resumeStream());
    for (const c of others) await c.shown.until("the replay", () => c.last?.role === "assistant" && text(c.last).includes("Half"));
    await release(`resume-${major}`);
    await Promise.all([sent, ...resumed]);
    for (const c of [first, ...others]) {
      wellEnded(c);
      assert.equal(text(c.last), whole);
      assert.deepEqual(plain(c.messages), plain(first.messages));
    }
    await sameAsStored(first);
  },

  async "resuming where nothing runs"() {
    const chat = new Chat();
    await chat.resumeStream();
    wellEnded(chat);
    await chat.sendMessage({ text: "say hello" });
    await chat.resumeStream();
    wellEnded(chat);
    assert.equal(chat.messages.length, 2);
    assert.deepEqual(chat.requests.map((r) => r.method), ["GET", "POST", "GET"]);
  },

  async "leaving does not end a turn"() {
    const chat = new Chat();
    const sent = chat.sendMessage({ text: `wait at leave-${major}` });
    await chat.shown.until("the first half", () => chat.last?.role === "assistant" && text(chat.last).includes("Half"));
    await chat.stop();
    await sent;
    wellEnded(chat);
    assert.equal(text(chat.last), "Half and ");
    const back = new Chat({ id: chat.id, messages: chat.messages.slice(0, 1) });
    const resumed = back.resumeStream();
    await back.shown.until("the replay", () => back.last?.role === "assistant" && text(back.last).includes("Half"));
    await release(`leave-${major}`);
    await resumed;
    wellEnded(back);
    assert.equal(text(back.last), whole);
    await sameAsStored(back);
  },

  async "stopping a turn"() {
    const chat = new Chat();
    const sent = chat.sendMessage({ text: `wait at stop-${major}` });
    await chat.shown.until("the first half", () => chat.last?.role === "assistant" && text(chat.last).includes("Half"));
    assert.deepEqual(await api("POST", `/api/chat/${chat.id}/stop`, {}), { ok: true });
    await sent;
    wellEnded(chat);
    assert.equal(text(chat.last), "Half and ");
    assert.deepEqual(chat.last.parts.filter((p) => p.type === "text").map((p) => p.state), ["done"]);
    assert.deepEqual(await api("POST", `/api/chat/${chat.id}/stop`, { activeStreamId: "x" }), { ok: true });
    await chat.sendMessage({ text: "say hello" });
    wellEnded(chat);
    await sameAsStored(chat);
  },

  async "making the last answer again"() {
    const chat = new Chat();
    await chat.sendMessage({ text: "say hello" });
    const before = chat.last.id;
    await chat.regenerate();
    wellEnded(chat);
    assert.equal(chat.messages.length, 2);
    assert.notEqual(chat.last.id, before);
    await sameAsStored(chat);
  },

  async "making an earlier answer again cuts what follows"() {
    const chat = new Chat();
    await chat.sendMessage({ text: "say hello" });
    const first = chat.last.id;
    await chat.sendMessage({ text: "say more" });
    await chat.regenerate({ messageId: first });
    wellEnded(chat);
    assert.equal(chat.messages.length, 2);
    assert.equal(text(chat.last), "Hello there, žluťoučký kůň 🐎!");
    await sameAsStored(chat);
  },

  async "editing a message cuts what follows"() {
    const chat = new Chat();
    await chat.sendMessage({ text: "say hello" });
    await chat.sendMessage({ text: "say more" });
    const id = chat.messages[0].id;
    await chat.sendMessage({ text: "say more", messageId: id });
    wellEnded(chat);
    assert.equal(chat.messages.length, 2);
    assert.equal(chat.messages[0].id, id);
    assert.equal(text(chat.last), "More.");
    await sameAsStored(chat);
  },

  async "front ends that send only the last message"() {
    for (const trim of [
      ({ id, messages, body }) => ({ body: { ...body, id, message: messages.at(-1) } }),
      ({ id, messages, body }) => ({ body: { ...body, id, messages: messages.slice(-1) } }),
    ]) {
      const chat = new Chat({ transport: { prepareSendMessagesRequest: trim } });
      await chat.sendMessage({ text: "say hello" });
      await chat.sendMessage({ text: "say more" });
      wellEnded(chat);
      assert.equal(chat.messages.length, 4);
      await sameAsStored(chat);
    }
  },

  async "front ends that send fields of their own"() {
    const chat = new Chat({ id: `__LOCALID_${major}abc` });
    await chat.sendMessage(
      { text: "say hello", metadata: { custom: { a: 1 } } },
      { body: { system: "obey me", tools: { x: { description: "y" } }, callSettings: {}, config: null, metadata: { a: [] } } },
    );
    wellEnded(chat);
    assert.equal(chat.messages.length, 2);
  },

  async "a file with the message"() {
    const chat = new Chat();
    const url = "data:text/plain;base64," + Buffer.from("x".repeat(2_000_000)).toString("base64");
    await chat.sendMessage({ text: "say hello", files: [{ type: "file", mediaType: "text/plain", filename: "x.txt", url }] });
    wellEnded(chat);
    await sameAsStored(chat);
  },

  async "a second message while a turn runs waits its turn"() {
    const first = new Chat();
    const sent = first.sendMessage({ text: `wait at queue-${major}` });
    await first.shown.until("the first half", () => first.last?.role === "assistant" && text(first.last).includes("Half"));
    const tab = new Chat({ id: first.id, messages: first.messages.slice(0, 1) });
    const second = tab.sendMessage({ text: "say more" });
    await release(`queue-${major}`);
    await Promise.all([sent, second]);
    wellEnded(first);
    wellEnded(tab);
    assert.equal(text(first.last), whole);
    assert.equal(text(tab.last), "More.");
    const { messages } = await api("GET", `/api/chat/${first.id}`);
    assert.deepEqual(messages.map((m) => m.role), ["user", "assistant", "user", "assistant"]);
  },
};

for (const [name, run] of Object.entries(scenarios)) {
  let result = { name, ok: true };
  try {
    await run();
  } catch (error) {
    result = { name, ok: false, error: String(error?.stack ?? error) };
  }
  console.log(JSON.stringify(result));
}
