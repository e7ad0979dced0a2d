"use strict";
(() => {
  const INTERVAL_MS = 2000;
  const lost = document.getElementById("lost");
  let lastRefresh = new Date();

  const sample = (main) => ({
    at: Number(main.dataset.now),
    values: new Map([...main.querySelectorAll("[data-rate]")].map((e) => [e.dataset.rate, Number(e.dataset.value)])),
  });

  const digits = (number) => number >= 99.5 ? Math.round(number).toLocaleString("en") : number.toPrecision(2).replace(/\.0+$/, "");

  const bytes = (number) => {
    const units = ["B", "kB", "MB", "GB"];
    while (number >= 1000 && units.length > 1) { number /= 1000; units.shift(); }
    return `${digits(number)} ${units[0]}`;
  };

  const showRates = (main, before) => {
    const now = sample(main);
    const seconds = (now.at - before.at) / 1000;
    for (const element of main.querySelectorAll("[data-rate]")) {
      const earlier = before.values.get(element.dataset.rate);
      const increase = Number(element.dataset.value) - earlier;
      // A new element and a restarted edge have no rate yet.
      if (!(seconds > 0) || !(increase >= 0)) continue;
      const rate = increase / seconds;
      element.textContent = `${"bytes" in element.dataset ? bytes(rate) : digits(rate)}/s`;
    }
  };

  const refresh = async () => {
    const response = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const old = document.querySelector("main");
    const main = document.adoptNode(page.querySelector("main"));
    showRates(main, sample(old));
    for (const open of old.querySelectorAll("details[open]")) {
      main.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
    }
    document.title = page.title;
    old.replaceWith(main);
  };

  const tick = async () => {
    // Replacing the page would clear the reader's selection.
    const busy = document.hidden || !getSelection().isCollapsed;
    try {
      if (!busy) await refresh();
      if (!busy) lastRefresh = new Date();
      lost.hidden = true;
    } catch (error) {
      lost.textContent = `No response since ${lastRefresh.toLocaleTimeString()} (${error.message}). The data below is out of date.`;
      lost.hidden = false;
    }
    setTimeout(tick, INTERVAL_MS);
  };

  setTimeout(tick, INTERVAL_MS);
})();
