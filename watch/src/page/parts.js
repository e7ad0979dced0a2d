// The parts of the page: what each depends on, and when each is drawn.

export class Parts {
  constructor() {
    this.parts = [];
  }

  // Registers a part, and returns it. Parts are drawn in the order of their registration. A part has
  // - `needs`, the names of changes it depends on, as `Changes` in store.js knows them,
  // - `update(context, changes)`, called when one of them changed, and for the first snapshot,
  // - optionally `tick(context)`, called every second for what changes as time passes.
  add(part) {
    this.parts.push(part);
    return part;
  }

  draw(context, changes) {
    for (const part of this.parts) {
      if (changes.first || part.needs.some((name) => changes.has(name))) part.update(context, changes);
    }
  }

  tick(context) {
    for (const part of this.parts) part.tick?.(context);
  }
}
