// One hue per service, derived from its name. On a collision the next free hue is used, so that services side by
// side differ.

const HUES = 18;

// FNV-1a.
export function hash(text) {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    value ^= text.charCodeAt(index);
    value = Math.imul(value, 0x01000193);
  }
  return value >>> 0;
}

// Returns hues in degrees by name. Names in `before` keep theirs.
export function hues(names, before = new Map()) {
  const given = new Map();
  const taken = new Set();
  const take = (name, slot) => {
    given.set(name, (slot * 360) / HUES + 8);
    taken.add(slot);
  };
  const kept = (name) => Math.round(((before.get(name) - 8) * HUES) / 360);
  const sorted = [...names].sort();
  for (const name of sorted) if (before.has(name)) take(name, kept(name));
  for (const name of sorted) {
    if (given.has(name)) continue;
    let slot = hash(name) % HUES;
    // Seven and eighteen are coprime, so every slot is tried, and successive slots look different.
    for (let tries = 0; tries < HUES && taken.has(slot); tries += 1) slot = (slot + 7) % HUES;
    take(name, slot);
  }
  return given;
}
