// Services, with their desired and running tasks. Those that need attention come first.

import { number, short } from "../format.js";
import { count, failing, isMoving, isRollback, isShort, isStuck, progress, shortName } from "../model.js";
import { element, icon, Keyed, paint, setAttribute, setData, setHidden, setStyle, setText } from "./dom.js";

// Number of services shown above the tasks on a narrow screen, until the reader asks for the rest. The style sheet has
// the same number.
const FEW = 8;

const names = new Intl.Collator("en", { numeric: true });

export class Services {
  needs = ["nodes", "services", "tasks", "alerts", "filter"];

  constructor() {
    this.table = document.getElementById("services");
    this.more = document.getElementById("services-more");
    this.list = new Keyed(this.table.querySelector("tbody"), (id) => new Row(id));
    this.more.addEventListener("click", () => {
      setData(this.table, "all", "all" in this.table.dataset ? null : "");
      this.offer();
    });
  }

  update(context, changes) {
    const { store } = context;
    // Tasks affect a service's row only while the service is being updated.
    if (!changes.has("services") && !changes.has("alerts") && ![...store.services.values()].some(isMoving)) return;
    const problems = failing(store);
    const rank = ([id, service]) => (problems.has(id) ? 0 : isMoving(service) ? 1 : 2);
    const services = [...store.services].sort((a, b) => rank(a) - rank(b) || names.compare(a[1].name, b[1].name));
    this.list.show(services.map(([id, service]) => [id, { context, id, service, problem: problems.get(id) }]));
    this.offer();
  }

  offer() {
    const { size } = this.list.items;
    setData(this.more, "needed", size > FEW ? "" : null);
    setText(this.more, "all" in this.table.dataset ? "Show fewer" : `Show all ${number(size)}`);
  }
}

class Row {
  constructor(id) {
    this.open = element("button", "service-name");
    this.open.type = "button";
    this.open.dataset.service = id;
    this.swatch = element("i", "swatch");
    this.swatch.setAttribute("aria-hidden", "true");
    this.image = element("span", "tag");
    this.mode = element("span", "mode");
    this.update_ = element("span", "state");
    this.icon = icon("update");
    this.words = element("span", "");
    this.update_.append(this.icon, this.words);
    this.problem = element("p", "problem");
    this.count = element("b", "count");
    this.bar = element("span", "bar", element("span", ""));
    this.bar.setAttribute("aria-hidden", "true");
    this.ports = element("td", "ports");
    const name = element("th", "", element("div", "", this.swatch, element("div", "", this.open, element("p", "sub", this.image, " ", this.mode, " ", this.update_), this.problem)));
    name.scope = "row";
    this.root = element("tr", "", name, element("td", "number", this.count, this.bar), this.ports);
  }

  update({ context, id, service, problem }) {
    paint(this.root, service.name);
    setText(this.open, shortName(service, context.stacks));
    const moving = isMoving(service) || isStuck(service);
    setText(this.image, (moving && progress(context.store, id).change) || short(service.image));
    setText(this.mode, service.mode === "replicated" ? "" : service.mode);
    setHidden(this.mode, service.mode === "replicated");
    setHidden(this.update_, !moving);
    setText(this.words, moving ? (isStuck(service) ? "paused" : isRollback(service) ? "rolling back" : "updating") : "");
    setData(this.icon, "icon", isStuck(service) ? "critical" : isRollback(service) ? "rollback" : "update");
    const [well, all] = count(service);
    setText(this.count, `${well}/${all}`);
    setText(this.problem, problem ?? "");
    setHidden(this.problem, !problem);
    // The row shows two lines of it.
    setAttribute(this.root, "title", problem || null);
    setStyle(this.bar, "--part", String(all > 0 ? Math.min(1, well / all) : 1));
    setData(this.root, "short", isShort(service) ? "" : null);
    setText(this.ports, service.ports.join(", "));
  }
}
