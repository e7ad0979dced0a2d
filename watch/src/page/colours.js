// The colour of a service: a hue and a tone, derived from nothing but its name. So it is the same in every browser,
// after every load, and whichever other services there are. In return, two services may share one; their names differ.

const HUES = 24;
const TONES = 2;
// Chosen among the possible ones so that the services of our own stack look different.
const SEED = 10821;

// FNV-1a, and then the finalizer of MurmurHash3, so that similar names get different colours.
export function hash(text) {
  let value = 0x811c9dc5 ^ SEED;
  for (let index = 0; index < text.length; index += 1) {
    value ^= text.charCodeAt(index);
    value = Math.imul(value, 0x01000193);
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

// Returns the hue in degrees, and the tone: 0, or 1 for a deeper one.
export function colour(name) {
  const value = hash(name);
  return { hue: ((value % HUES) * 360) / HUES + 8, tone: Math.floor(value / HUES) % TONES };
}
