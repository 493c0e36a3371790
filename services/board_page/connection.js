// A WebSocket that comes back: jittered delays, resume by the last id, and a watchdog for lines that died silently.

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 20_000;
const SILENCE_MS = 40_000;

export class Connection {
  /** `lastId()` gives the id to resume after; `onMessage(message)` and `onState(state, detail)` are told. */
  constructor({ url, lastId, onMessage, onState }) {
    this.url = url;
    this.lastId = lastId;
    this.onMessage = onMessage;
    this.onState = onState;
    this.attempts = 0;
    this.retry = null;
    this.watchdog = null;
    window.addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.hurry(); });
  }

  open() {
    this.retry = null;
    this.onState(this.attempts ? "reconnecting" : "connecting", 0);
    const url = new URL(this.url, location.href);
    const id = this.lastId();
    if (id) url.searchParams.set("last_id", id);
    const socket = new WebSocket(url);
    this.socket = socket;
    this.expectNews();
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.socket) return;
      this.expectNews();
      this.attempts = 0;
      const message = JSON.parse(data);
      this.onState("connected", message);
      this.onMessage(message);
    });
    socket.addEventListener("close", (event) => { if (socket === this.socket) this.lost(event.code); });
  }

  /** Not while waiting in vain: try again now instead of at the end of the delay. */
  hurry() {
    if (this.retry === null) return;
    clearTimeout(this.retry);
    this.open();
  }

  expectNews() {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => { this.socket.close(); this.lost(0); }, SILENCE_MS);
  }

  lost(code) {
    clearTimeout(this.watchdog);
    this.socket = null;
    const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.attempts);
    const delay = ceiling / 2 + Math.random() * (ceiling / 2);
    this.attempts += 1;
    this.onState("lost", { delay, code });
    this.retry = setTimeout(() => this.open(), delay);
  }
}
