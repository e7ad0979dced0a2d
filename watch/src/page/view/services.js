// Services, with their desired and running tasks.

import { tag } from "../format.js";
import { count, isMoving, isRollback, isShort, isStuck, progress, shortName } from "../model.js";
import { element, icon, Keyed, setAttribute, setData, setHidden, setStyle, setText } from "./dom.js";

const names = new Intl.Collator("en", { numeric: true });

export class Services {
  needs = ["nodes", "services", "tasks", "filter"];

  constructor() {
    this.list = new Keyed(document.querySelector("#services tbody"), (id) => new Row(id));
  }

  update(context, changes) {
    // Tasks affect a service's row only while the service is being updated.
    if (!changes.has("services") && ![...context.store.services.values()].some(isMoving)) return;
    const services = [...context.store.services].sort(([, a], [, b]) => names.compare(a.name, b.name));
    this.list.show(services.map(([id, service]) => [id, { context, id, service }]));
  }
}

class Row {
  constructor(id) {
    this.open = element("button", "service-name");
    this.open.type = "button";
    this.open.dataset.service = id;
    this.swatch = element("i", "swatch");
    this.swatch.setAttribute("aria-hidden", "true");
    this.tag = element("span", "tag");
    this.mode = element("span", "mode");
    this.update_ = element("span", "state");
    this.icon = icon("update");
    this.words = element("span", "");
    this.update_.append(this.icon, this.words);
    this.count = element("b", "count");
    this.bar = element("span", "bar", element("span", ""));
    this.bar.setAttribute("aria-hidden", "true");
    this.ports = element("td", "ports");
    const name = element("th", "", element("div", "", this.swatch, element("div", "", this.open, element("p", "sub", this.tag, " ", this.mode, " ", this.update_))));
    name.scope = "row";
    this.root = element("tr", "", name, element("td", "number", this.count, this.bar), this.ports);
  }

  update({ context, id, service }) {
    setStyle(this.root, "--hue", String(context.hue(id)));
    setText(this.open, shortName(service, context.stacks));
    const moving = isMoving(service) || isStuck(service);
    setText(this.tag, (moving && progress(context.store, id).change) || tag(service.image));
    setText(this.mode, service.mode === "replicated" ? "" : service.mode);
    setHidden(this.mode, service.mode === "replicated");
    setHidden(this.update_, !moving);
    setText(this.words, moving ? (isStuck(service) ? "paused" : isRollback(service) ? "rolling back" : "updating") : "");
    setData(this.icon, "icon", isStuck(service) ? "critical" : isRollback(service) ? "rollback" : "update");
    const [well, all] = count(service);
    setText(this.count, `${well}/${all}`);
    setAttribute(this.root, "title", service.problem);
    setStyle(this.bar, "--part", String(all > 0 ? Math.min(1, well / all) : 1));
    setData(this.root, "short", isShort(service) ? "" : null);
    setText(this.ports, service.ports.join(", "));
  }
}
