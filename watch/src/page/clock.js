// The server's time, derived from its beats, so that ages are right even if the browser's clock is wrong.

const SAMPLES = 8;

export class Clock {
  constructor(local = () => Date.now()) {
    this.local = local;
    this.offsets = [];
    this.offset = 0;
  }

  // A beat carries the time at which it was sent. Delay only makes it older, so the fastest of the last few beats
  // is the most accurate.
  beat(now) {
    if (!Number.isFinite(now)) return;
    this.offsets.push(now - this.local());
    if (this.offsets.length > SAMPLES) this.offsets.shift();
    this.offset = Math.max(...this.offsets);
  }

  // Called when the browser's clock may have been changed.
  reset() {
    this.offsets = [];
  }

  now() {
    return this.local() + this.offset;
  }
}
