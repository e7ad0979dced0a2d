// The order of the page on narrow screens: services, then the tasks, then the time line. The elements themselves move,
// so that the order of reading and of the Tab key is the one that is seen.

import { place } from "./dom.js";

// The style sheet has the same width.
const NARROW = "(max-width: 1099px)";

export function layout() {
  const get = (name) => document.querySelector(name);
  const [services, timeline, rail, filters, split] = [".services", ".timeline", ".rail", ".filters", ".split"].map(get);
  const query = matchMedia(NARROW);
  const arrange = () => {
    rail.hidden = query.matches;
    if (query.matches) {
      place(filters.parentNode, services, filters);
      place(split, timeline, null);
    } else {
      place(rail, services, null);
      place(rail, timeline, null);
    }
  };
  query.addEventListener("change", arrange);
  arrange();
}
