// A classic script in the head, which runs before the first paint so that a dark page does not flash.
try {
  for (const name of ["theme", "size"]) {
    const value = localStorage.getItem(`watch.${name}`);
    if (value) document.documentElement.dataset[name] = value;
  }
} catch {
  // Storage is not available; the system's settings apply.
}
