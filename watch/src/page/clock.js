// The server's time, told from its beats: ages are right also where the browser's clock is not.

const KEPT = 8;

export class Clock {
  constructor(local = () => Date.now()) {
    this.local = local;
    this.offsets = [];
    this.offset = 0;
  }

  // A beat says what time it was when it was sent. The way here only makes it older, so the beat that was
  // the fastest of the last few is the most exact.
  beat(now) {
    if (!Number.isFinite(now)) return;
    this.offsets.push(now - this.local());
    if (this.offsets.length > KEPT) this.offsets.shift();
    this.offset = Math.max(...this.offsets);
  }

  // The browser's clock may have been set since.
  reset() {
    this.offsets = [];
  }

  now() {
    return this.local() + this.offset;
  }
}
