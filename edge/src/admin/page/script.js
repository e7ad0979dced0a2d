
"use strict";
(() => {
  const EVERY = 2000;
  const lost = document.getElementById("lost");
  let since = new Date();

  const sample = (main) => ({
    at: Number(main.dataset.now),
    values: new Map([...main.querySelectorAll("[data-rate]")].map((e) => [e.dataset.rate, Number(e.dataset.value)])),
  });

  const short = (number) => number >= 99.5 ? Math.round(number).toLocaleString("en") : number.toPrecision(2).replace(/\.0+$/, "");

  const size = (number) => {
    const units = ["B", "kB", "MB", "GB"];
    while (number >= 1000 && units.length > 1) { number /= 1000; units.shift(); }
    return `${short(number)} ${units[0]}`;
  };

  const showRates = (main, before) => {
    const now = sample(main);
    const seconds = (now.at - before.at) / 1000;
    for (const element of main.querySelectorAll("[data-rate]")) {
      const earlier = before.values.get(element.dataset.rate);
      const grown = Number(element.dataset.value) - earlier;
      // Nothing to tell for what is new, or after a restart.
      if (!(seconds > 0) || !(grown >= 0)) continue;
      const rate = grown / seconds;
      element.textContent = `${"bytes" in element.dataset ? size(rate) : short(rate)}/s`;
    }
  };

  const refresh = async () => {
    const response = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const old = document.querySelector("main");
    const main = document.adoptNode(page.querySelector("main"));
    showRates(main, sample(old));
    document.title = page.title;
    old.replaceWith(main);
  };

  const tick = async () => {
    // Not under the reader's hands: a selection would be gone.
    const busy = document.hidden || !getSelection().isCollapsed;
    try {
      if (!busy) await refresh();
      if (!busy) since = new Date();
      lost.hidden = true;
    } catch (error) {
      lost.textContent = `No answer since ${since.toLocaleTimeString()} (${error.message}). What follows is old.`;
      lost.hidden = false;
    }
    setTimeout(tick, EVERY);
  };

  setTimeout(tick, EVERY);
})();
