// Formatting of values for readers. Units follow a non-breaking space.

const SPACE = "\u00a0";
const count = new Intl.NumberFormat("en");

export const number = (value) => (value == null ? "–" : count.format(value));

export const plural = (value, one, many = `${one}s`) => `${number(value)}${SPACE}${value === 1 ? one : many}`;

const STEPS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

// A duration in one unit, short enough for a tile: "42 s", "3 h".
export function duration(millis) {
  const seconds = Math.max(0, Math.floor(millis / 1000));
  for (const [step, unit] of STEPS) {
    if (seconds >= step) return `${Math.floor(seconds / step)}${SPACE}${unit}`;
  }
  return `0${SPACE}s`;
}

// A duration in two units: "3 h 12 min".
export function span(millis) {
  const seconds = Math.max(0, Math.floor(millis / 1000));
  const first = STEPS.findIndex(([step]) => seconds >= step);
  if (first < 0) return `0${SPACE}s`;
  const [step] = STEPS[first];
  const rest = seconds % step;
  const next = STEPS[first + 1];
  const tail = next && rest >= next[0] ? ` ${duration((rest - (rest % next[0])) * 1000)}` : "";
  return duration(seconds * 1000) + tail;
}

const two = (value) => String(value).padStart(2, "0");

// The time of day in the reader's time zone.
export function time(millis) {
  const at = new Date(millis);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

// The time of day, with the date unless it is today.
export function moment(millis, now) {
  const at = new Date(millis);
  const today = new Date(now);
  if (at.toDateString() === today.toDateString()) return time(millis);
  return `${date(millis)} ${time(millis)}`;
}

export function date(millis) {
  const at = new Date(millis);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

const SIZES = ["B", "kB", "MB", "GB", "TB", "PB"];

// Powers of 1000 as on a disk's label: "16 GB".
export function bytes(value) {
  if (value == null) return "–";
  let size = value;
  let unit = 0;
  while (size >= 999.5 && unit + 1 < SIZES.length) {
    size /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && size < 9.95 ? 1 : 0;
  return `${size.toFixed(digits).replace(/\.0$/, "")}${SPACE}${SIZES[unit]}`;
}

// Memory is counted in powers of 1024.
export function memory(value) {
  if (value == null) return "–";
  const gib = value / 2 ** 30;
  if (gib < 0.95) return `${Math.round(value / 2 ** 20)}${SPACE}MiB`;
  return `${gib < 9.95 ? gib.toFixed(1).replace(/\.0$/, "") : Math.round(gib)}${SPACE}GiB`;
}

export function cpus(nano) {
  if (nano == null) return "–";
  const whole = Math.round(nano / 1e8) / 10;
  return `${whole}${SPACE}CPU${whole === 1 ? "" : "s"}`;
}

// The last part of an image's name: "redis" of "registry:5000/library/redis".
export const base = (image) => image.name.slice(image.name.lastIndexOf("/") + 1);

// The tag, or the digest if there is none, with the sign that precedes it in an image's name. A tag such as "1" alone
// would read as a number of something.
export function version(image) {
  if (image.tag) return `:${image.tag}`;
  return image.digest ? `@${image.digest.slice(0, 7)}` : "";
}

// An image as people call it: "redis:7-alpine".
export const short = (image) => base(image) + version(image) || "–";

export function image(image) {
  if (!image) return "–";
  return image.name + (image.tag ? `:${image.tag}` : "") + (image.digest ? `@${image.digest}` : "");
}

// The change from one image to another, as short as distinguishes them, in two parts: the name if both have the same,
// and the rest.
export function changeParts(from, to) {
  const equal = version(from) === version(to) && from.digest !== to.digest;
  const sign = (image) => (equal && image.digest ? `@${image.digest.slice(0, 7)}` : version(image));
  const [a, b] = [sign(from), sign(to)];
  if (from.name === to.name) return [base(to), `${a} → ${a[0] === b[0] ? b.slice(1) : b}`];
  const name = base(from) === base(to) ? (image) => image.name : base;
  return ["", `${name(from)}${a} → ${name(to)}${b}`];
}

export const change = (from, to) => changeParts(from, to).join("");

// The text of an enum value: "rollback_started" is "rollback started".
export const words = (value) => String(value ?? "unknown").replaceAll("_", " ");
