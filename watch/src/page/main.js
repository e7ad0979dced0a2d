// Ties the page together: the stream fills the store, and changes are drawn once a frame.

import { Clock } from "./clock.js";
import { Connection } from "./connection.js";
import * as filters from "./filter.js";
import { stacks } from "./model.js";
import { Parts } from "./parts.js";
import { Store } from "./store.js";
import { Alerts } from "./view/alerts.js";
import { Announcer } from "./view/announce.js";
import { Board } from "./view/board.js";
import { Filters, help, size, theme } from "./view/controls.js";
import { Details } from "./view/details.js";
import { Edges } from "./view/edges.js";
import { Header } from "./view/header.js";
import { listen } from "./view/keyboard.js";
import { layout } from "./view/layout.js";
import { Redis } from "./view/redis.js";
import { Services } from "./view/services.js";
import { Timeline } from "./view/timeline.js";
import { Updates } from "./view/updates.js";

const clock = new Clock();
const store = new Store();

// What every part of the page receives.
const context = {
  store,
  filter: filters.parse(location.hash),
  stacks: 1,
  now: () => clock.now(),
  get opened() {
    return this.filter.open.startsWith("task:") ? this.filter.open.slice(5) : undefined;
  },
};

// What is computed from all services comes first: the other parts read it.
const parts = new Parts();
parts.add({
  needs: ["services"],
  update() {
    context.stacks = stacks(store);
  },
});
const header = parts.add(new Header());
const board = parts.add(new Board((fields) => choose(fields)));
parts.add(new Services());
parts.add(new Updates());
parts.add(new Filters((fields) => choose(fields)));
parts.add(new Redis());
parts.add(new Edges());
parts.add(new Alerts());
parts.add(new Timeline());
const details = parts.add(new Details({
  close: () => close(),
  filter: (fields) => choose({ service: "", node: "", state: "", q: "", ...fields }),
  open: (what) => choose({ open: what }),
}));
const announcer = parts.add(new Announcer());
theme();
size();
layout();
const dialog = help();

// Drawing, at most once a frame.

let frame;

function redraw() {
  frame ??= requestAnimationFrame(draw);
}

function draw() {
  frame = undefined;
  parts.draw(context, store.taken());
}

// The filter, kept in the address.

function choose(fields) {
  const next = { ...context.filter };
  for (const [key, value] of Object.entries(fields)) if (value !== undefined) next[key] = value;
  context.filter = next;
  history.replaceState(null, "", filters.format(next) || location.pathname + location.search);
  store.mark("filter");
  redraw();
}

addEventListener("hashchange", () => {
  context.filter = filters.parse(location.hash);
  store.mark("filter");
  redraw();
});

// The details, opened by a click on a tile or a name, to which the focus returns.

let opener;

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button");
  const kind = ["task", "node", "service", "edge"].find((name) => button?.dataset[name] !== undefined);
  if (!kind || details.root.contains(button)) return;
  const what = `${kind}:${button.dataset[kind]}`;
  if (context.filter.open === what && event.detail > 0) {
    close();
    return;
  }
  opener = button;
  choose({ open: what });
  // A click by keyboard moves the focus to the panel.
  if (event.detail === 0) requestAnimationFrame(() => details.focus());
});

function close() {
  const inside = details.root.contains(document.activeElement);
  choose({ open: "" });
  if (!inside) return;
  const tile = board.tiles.get(board.focus)?.button;
  (opener?.isConnected ? opener : tile)?.focus();
}

// The fragment belongs to the filter, so the link to the board must not change it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  (board.tiles.get(board.focus)?.button ?? board.root).focus();
});

listen(board, {
  search() {
    document.getElementById("search").focus();
    document.getElementById("search").select();
  },
  help: () => dialog.showModal(),
  escape(target) {
    if (target.id === "search") {
      if (context.filter.q) choose({ q: "" });
      else target.blur();
      return true;
    }
    if (!details.isOpen) return false;
    close();
    return true;
  },
});

// The stream.

let before;

// An absolute URL: a relative one would inherit the password of a page opened as user:password@host, which fetch rejects.
const connection = new Connection(new URL("api/events", location.origin + location.pathname), {
  event(name, data) {
    if (name === "snapshot") store.snapshot(data);
    else if (name === "delta") store.delta(data);
    else if (name === "beat") {
      clock.beat(data.now);
      store.mark("clock");
    }
    redraw();
  },
  state(status) {
    header.connected(status);
    if (status.state === "live" && before === "lost") announcer.say("Connected again");
    if (status.state === "waiting" && before === "live") announcer.say(`Connection lost: ${status.why}`);
    if (status.state === "live") before = "live";
    else if (status.state === "waiting" && before === "live") before = "lost";
    store.mark("connection");
    redraw();
  },
});
connection.start();
addEventListener("online", () => connection.hurry());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) connection.hurry();
});

// What changes as time passes.
setInterval(() => {
  if (!document.hidden) parts.tick(context);
}, 1000);
