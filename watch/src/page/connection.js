// The event stream, which reconnects whenever it ends or falls silent.

import { parser } from "./sse.js";

// The server sends a beat every five seconds.
const SILENCE = 12_000;
const FIRST = 1_000;
const LONGEST = 15_000;

// Returns the delay before the given attempt, counted from 0: it doubles each time, with jitter so that a thousand
// pages do not reconnect simultaneously.
export function backoff(tries, first, random) {
  return Math.min(LONGEST, first * 2 ** Math.min(tries, 10)) * (0.7 + 0.6 * random);
}

export class Connection {
  // Calls `on.event(name, data)` for each event and `on.state({ state, why, until })` for each change: "connecting",
  // "live", "waiting" until a time of the local clock, or "refused", after which it does not reconnect.
  constructor(url, on, { fetch = globalThis.fetch.bind(globalThis), random = Math.random } = {}) {
    Object.assign(this, { url, on, fetch, random });
    this.last = undefined;
    this.first = FIRST;
    this.tries = 0;
  }

  start() {
    this.connect();
  }

  // Reconnects without waiting: the network is back, or the page became visible.
  hurry() {
    if (this.timer === undefined) return;
    clearTimeout(this.timer);
    this.connect();
  }

  async connect() {
    this.timer = undefined;
    this.on.state({ state: "connecting" });
    let why = "the server ended the stream";
    let after = 0;
    try {
      const answer = await this.open();
      if (answer.status === 401 || answer.status === 403) {
        this.on.state({ state: "refused", why: "not signed in: reload the page" });
        return;
      }
      if (answer.ok) {
        await this.read(answer.body);
      } else {
        why = answer.status === 503 ? "the server is busy" : `the server returned ${answer.status}`;
        after = (Number(answer.headers.get("retry-after")) || 0) * 1000;
        answer.body?.cancel();
      }
    } catch (error) {
      why = error === SILENT ? "the server fell silent" : "no response from the server";
    } finally {
      clearTimeout(this.watchdog);
    }
    this.again(why, after);
  }

  async open() {
    const abort = new AbortController();
    this.abort = abort;
    this.heard();
    const headers = { accept: "text/event-stream" };
    if (this.last !== undefined) headers["last-event-id"] = this.last;
    return this.fetch(this.url, { headers, cache: "no-store", signal: abort.signal });
  }

  async read(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    const feed = parser((event) => this.event(event));
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.heard();
      feed(value);
    }
  }

  event({ event, data, id, retry }) {
    if (id !== undefined) this.last = id;
    if (retry !== undefined) this.first = Math.min(Math.max(retry, 100), LONGEST);
    if (data === "") return;
    let value;
    try {
      value = JSON.parse(data);
    } catch {
      // A truncated event: start again from a snapshot.
      this.last = undefined;
      this.abort.abort();
      return;
    }
    this.tries = 0;
    this.on.state({ state: "live" });
    this.on.event(event, value);
  }

  // Restarts the watchdog after data arrived.
  heard() {
    clearTimeout(this.watchdog);
    const { abort } = this;
    this.watchdog = setTimeout(() => abort.abort(SILENT), SILENCE);
  }

  again(why, after) {
    const wait = Math.max(after, backoff(this.tries, this.first, this.random()));
    this.tries += 1;
    this.on.state({ state: "waiting", why, until: Date.now() + wait });
    this.timer = setTimeout(() => this.connect(), wait);
  }
}

const SILENT = new Error("silent");
