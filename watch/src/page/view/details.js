// The details of a task, node, service or edge, in a side panel.

import { bytes, cpus, image, memory, moment, number, plural, short, span, words } from "../format.js";
import { count, GROUPS, group, isShort, kind, progress, wanted } from "../model.js";
import { element, icon, setData, setHidden, setText } from "./dom.js";

const EARLIER = 8;
const OF_GROUP = 40;

// By the prefix before the colon. A map, because the address may contain any prefix, such as `__proto__`.
const KINDS = new Map(Object.entries({ task, node, service, edge }));

export class Details {
  needs = ["nodes", "services", "tasks", "edges", "filter"];

  // The buttons call `act.close()`, `act.filter(fields)` and `act.open(what)`.
  constructor(act) {
    this.act = act;
    this.root = document.getElementById("details");
    this.kind = this.root.querySelector(".kind");
    this.title = document.getElementById("details-title");
    this.body = this.root.querySelector(".body");
    this.root.querySelector(".close").addEventListener("click", () => act.close());
    this.body.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button?.dataset.open) act.open(button.dataset.open);
      else if (button?.dataset.filter) act.filter(JSON.parse(button.dataset.filter));
    });
  }

  get isOpen() {
    return !this.root.hidden;
  }

  // Shows the entry named by the filter's `open`, such as "task:ID"; hides the panel if it is empty.
  update(context) {
    const { open } = context.filter;
    setHidden(this.root, !open);
    setData(document.body, "details", open ? "" : null);
    if (!open) {
      this.drawn = undefined;
      return;
    }
    const [what, ...rest] = open.split(":");
    const id = rest.join(":");
    const found = KINDS.get(what)?.(context, id);
    setText(this.kind, what);
    setText(this.title, found?.title ?? "Gone");
    const parts = found?.parts ?? [{ text: "It no longer exists." }];
    // Texts such as ages change in place. The rows are rebuilt only when they or their links change, so a
    // selection, a click in progress and the focus survive.
    const shape = JSON.stringify([open, parts.map(shapeOf)]);
    if (this.drawn !== shape) {
      this.drawn = shape;
      this.write(parts);
    }
    parts.flatMap(textsOf).forEach((text, index) => setText(this.texts[index], text));
  }

  tick(context) {
    if (this.isOpen) this.update(context);
  }

  write(parts) {
    const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset : null;
    const top = this.body.scrollTop;
    this.texts = [];
    this.body.replaceChildren(...parts.map((part) => draw(part, this.texts)));
    this.body.scrollTop = top;
    if (!focused) return;
    const again = [...this.body.querySelectorAll("button")].find(
      ({ dataset }) => dataset.open === focused.open && dataset.filter === focused.filter,
    );
    (again ?? this.title).focus({ preventScroll: true });
  }

  focus() {
    this.title.focus();
  }
}

// Parts are plain values: { text }, { rows: [label, value, sign] }, { heading, list } or { buttons }.

// A part without the texts that change in place.
function shapeOf(part) {
  if (part.rows) return part.rows.map(([label, , sign, open]) => [label, sign, open]);
  if (part.list) return [part.heading, part.list.map(({ sign, open }) => [sign, open])];
  return part.buttons ?? [part.mood];
}

// The texts of a part, in the order in which `draw` adds their elements.
function textsOf(part) {
  if (part.rows) return part.rows.map(([, value]) => value);
  if (part.list) return part.list.flatMap(({ text, note }) => [text, note]);
  return part.buttons ? [] : [part.text];
}

function draw(part, texts) {
  const holder = (tag, name) => {
    const made = element(tag, name);
    texts.push(made);
    return made;
  };
  const words = (open) => {
    const made = holder(open ? "button" : "span", open ? "link" : "");
    if (open) Object.assign(made, { type: "button" }).dataset.open = open;
    return made;
  };
  if (part.rows) {
    const list = element("dl", "");
    for (const [label, , sign, open] of part.rows) {
      list.append(element("div", "", element("dt", "", label), element("dd", "", sign ? icon(sign) : null, words(open))));
    }
    return list;
  }
  if (part.list) {
    const list = element("ul", "past", ...part.list.map(({ sign, open }) => (
      element("li", "", icon(sign), element("span", "", words(open), " ", holder("span", "note")))
    )));
    return element("section", "", element("h3", "", part.heading), list);
  }
  if (part.buttons) {
    return element("p", "buttons", ...part.buttons.map(([text, filter]) => {
      const button = element("button", "plain", text);
      button.type = "button";
      button.dataset.filter = JSON.stringify(filter);
      return button;
    }));
  }
  return holder("p", part.mood ?? "");
}

// Rows; those without a value are omitted.
const rows = (...all) => ({ rows: all.filter(([, value]) => value != null && value !== "" && value !== false) });

const when = (at, now) => (at == null ? null : `${moment(at, now)}, ${span(now - at)} ago`);

function task(context, id) {
  const { store } = context;
  const entry = store.tasks.get(id);
  if (!entry) return null;
  const now = context.now();
  const service = store.services.get(entry.service);
  const home = entry.node ? store.nodes.get(entry.node) : undefined;
  const target = wanted(entry);
  const members = group(store, entry);
  const earlier = store.historyOf(entry).filter(([other]) => other !== id);
  const past = (name) => ([other, before]) => ({
    sign: kind(before),
    text: name(before),
    note: [short(before.image), before.since != null && `${span(now - before.since)} ago`, before.error !== entry.error && before.error].filter(Boolean).join(" · "),
    open: `task:${other}`,
  });
  return {
    title: entry.name,
    parts: [
      entry.error ? { text: entry.error, mood: "problem" } : null,
      rows(
        ["State", target ? `${entry.state}, should be ${target}` : entry.state, kind(entry)],
        ["Health", entry.health === "none" ? null : entry.health],
        ["For", entry.since == null ? null : `${span(now - entry.since)}, since ${moment(entry.since, now)}`],
        ["Service", service?.name ?? entry.service, null, service && `service:${entry.service}`],
        ["Node", home?.hostname ?? entry.node ?? "none yet", null, home && `node:${entry.node}`],
        ["Image", image(entry.image)],
        ["Created", when(entry.created_at, now)],
        ["Restarts", number(entry.restarts)],
        ["Message", entry.message],
        ["Exit code", entry.exit_code == null ? null : String(entry.exit_code)],
        ["Id", id],
      ),
      members.length > 1 ? {
        heading: `${plural(members.length, "task")} ${GROUPS[kind(entry)]}${home ? ` on ${home.hostname}` : ""}${members.length > OF_GROUP ? `, the newest ${OF_GROUP}` : ""}`,
        list: members.slice(0, OF_GROUP).map(past((before) => before.name)),
      } : null,
      members.length <= 1 && earlier.length > 0 ? {
        heading: "Earlier in this slot",
        list: earlier.slice(0, EARLIER).map(past(({ state, node: at }) => (
          `${state}${at && at !== entry.node ? ` on ${store.nodes.get(at)?.hostname ?? at}` : ""}`
        ))),
      } : null,
      {
        buttons: [
          service && ["Only this service", { service: service.name }],
          home && ["Only this node", { node: home.hostname }],
        ].filter(Boolean),
      },
    ].filter(Boolean),
  };
}

function node(context, id) {
  const { store } = context;
  const entry = store.nodes.get(id);
  if (!entry) return null;
  const now = context.now();
  const states = new Map();
  for (const other of store.tasks.values()) {
    if (other.node === id) states.set(other.state, (states.get(other.state) ?? 0) + 1);
  }
  return {
    title: entry.hostname || id,
    parts: [
      entry.message ? { text: entry.message, mood: entry.state === "ready" ? "" : "problem" } : null,
      rows(
        ["State", entry.state, entry.state === "ready" ? "ready" : "down"],
        ["Since", entry.since == null ? null : when(entry.since, now)],
        ["Role", entry.leader ? `${entry.role}, leader` : entry.role],
        ["Reachable", entry.reachable == null ? null : entry.reachable ? "yes" : "no"],
        ["Availability", entry.availability],
        ["Address", entry.address],
        ["Engine", entry.engine],
        ["Platform", entry.platform],
        ["CPUs", entry.nano_cpus == null ? null : cpus(entry.nano_cpus)],
        ["Memory", entry.memory_bytes == null ? null : memory(entry.memory_bytes)],
        ["Disk", entry.disk && `${bytes(entry.disk.free_bytes)} of ${bytes(entry.disk.total_bytes)} free`],
        ["Tasks", [...states].map(([state, count]) => `${number(count)} ${state}`).join(", ") || "none"],
        ["Id", id],
      ),
      { buttons: [["Only this node", { node: entry.hostname || id }]] },
    ].filter(Boolean),
  };
}

function service(context, id) {
  const { store } = context;
  const entry = store.services.get(id);
  if (!entry) return null;
  const now = context.now();
  const { update } = entry;
  const moved = update && progress(store, id);
  const [well, all] = count(entry);
  return {
    title: entry.name,
    parts: [
      entry.problem ? { text: entry.problem, mood: "problem" } : null,
      rows(
        ["Tasks", `${well} of ${all} ${entry.job ? "completed" : "running"}`, isShort(entry) ? "warning" : "running"],
        ["Mode", entry.mode],
        ["Stack", entry.stack],
        ["Image", image(entry.image)],
        ["Ports", entry.ports.join(", ")],
        ["Changed", when(entry.updated_at, now)],
      ),
      update ? {
        rows: rows(
          ["Last update", words(update.state)],
          ["From, to", moved.change],
          ["Replaced", `${moved.done} of ${plural(moved.total, "task")}`],
          ["Message", update.message],
          ["Began", when(update.started_at, now)],
          ["Ended", when(update.completed_at, now)],
        ).rows,
      } : null,
      rows(["Id", id]),
      { buttons: [["Only this service", { service: entry.name }]] },
    ].filter(Boolean),
  };
}

function edge(context, address) {
  const { store } = context;
  const entry = store.edges.get(address);
  if (!entry) return null;
  const now = context.now();
  const home = entry.node ? store.nodes.get(entry.node) : undefined;
  return {
    title: address,
    parts: [
      entry.error ? { text: entry.error, mood: "problem" } : null,
      rows(
        ["Serves", entry.ready ? "yes" : `no: ${entry.reasons.join(", ")}`, entry.ready ? "running" : "failed"],
        ["Node", home?.hostname, null, home && `node:${entry.node}`],
        ["Version", entry.version],
        ["Requests", number(entry.requests)],
        ["Last response", when(entry.at, now)],
      ),
      ...entry.pools.map((pool) => ({
        heading: `Pool ${pool.name}${pool.panic ? ", in panic" : ""}`,
        list: pool.endpoints.map((endpoint) => ({
          sign: endpoint.usable ? "running" : "failed",
          text: endpoint.address,
          note: [endpoint.state, endpoint.reason].filter(Boolean).join(": "),
        })),
      })),
      entry.certificates.length > 0 ? {
        heading: "Certificates",
        list: entry.certificates.map((certificate) => ({
          sign: "certificate",
          text: certificate.names.join(", ") || "no name",
          note: [
            certificate.self_signed && "self-signed",
            certificate.not_after != null && `ends ${moment(certificate.not_after, now)}`,
          ].filter(Boolean).join(" · "),
        })),
      } : null,
    ].filter(Boolean),
  };
}
