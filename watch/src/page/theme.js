// Before the first paint, so that a page that is to be dark does not flash: a classic script in the head.
try {
  for (const name of ["theme", "size"]) {
    const value = localStorage.getItem(`watch.${name}`);
    if (value) document.documentElement.dataset[name] = value;
  }
} catch {
  // No storage for this page: the system's settings hold.
}
