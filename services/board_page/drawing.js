// When charts are drawn: only those on the screen, each at most twice a second, one a frame, and never for more than half
// of the time, so that a slow machine shows charts later and not a page that stands still. Between two drawings of a
// chart any number of events become one.

import { HEIGHT } from "./chart.js";

const GAP_MS = 500;
const NEAR = "150px";
const CONFIG = { staticPlot: true, displayModeBar: false };
const COLOURS = ["ink", "soft", "faint", "grid", "area", "accent", "accent-fan", "card", "good", "bad"];

const drawings = new Map();
const waiting = new Set();
let frame = null;
let later = null;
let restedAt = 0;
let loading = null;
let colours = null;

/** plotly.js, fetched when the first chart is to be drawn: words and numbers need not wait for it. */
function load() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.querySelector('meta[name="plotly"]').content;
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => reject(new Error(`${script.src} cannot be loaded`)));
    document.head.append(script);
  });
  return loading;
}

/** A chart in `node`; `figure(width, colours)` says what it shows when it is drawn. */
export class Drawing {
  constructor(node, figure, gapMs = GAP_MS) {
    this.node = node;
    this.figure = figure;
    this.gapMs = gapMs;
    this.width = 0;
    this.seen = false;
    this.drawnAt = -Infinity;
    node.style.height = `${HEIGHT}px`;
    drawings.set(node, this);
    sizes.observe(node);
    views.observe(node);
  }

  /** Something it shows has changed. */
  want() {
    waiting.add(this);
    next();
  }

  remove() {
    waiting.delete(this);
    drawings.delete(this.node);
    sizes.unobserve(this.node);
    views.unobserve(this.node);
    // Plotly ends a drawing a little later than its call; purging before that is an error.
    this.drawn?.then(() => window.Plotly.purge(this.node));
  }

  draw() {
    this.drawnAt = performance.now();
    const { data, layout } = this.figure(this.width, theme());
    this.drawn = window.Plotly.react(this.node, data, layout, CONFIG);
  }
}

const sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const drawing = drawings.get(target);
    const width = Math.floor(contentRect.width);
    if (!drawing || width === drawing.width) continue;
    drawing.width = width;
    drawing.want();
  }
});

const views = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const drawing = drawings.get(target);
    if (drawing) drawing.seen = isIntersecting;
  }
  next();
}, { rootMargin: NEAR });

function theme() {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    colours = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }
  return colours;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colours = null;
  for (const drawing of drawings.values()) drawing.want();
});

window.addEventListener("beforeprint", () => {
  if (!window.Plotly) return;
  for (const drawing of waiting) if (drawing.width > 0) drawing.draw();
});

function next() {
  if (frame !== null || !waiting.size) return;
  if (!window.Plotly) {
    load().then(next, unavailable);
    return;
  }
  frame = requestAnimationFrame(turn);
}

function turn() {
  frame = null;
  clearTimeout(later);
  const now = performance.now();
  let soonest = Infinity;
  for (const drawing of waiting) {
    if (!drawing.seen || drawing.width <= 0) continue;
    const due = Math.max(restedAt, drawing.drawnAt + drawing.gapMs);
    if (due > now) {
      soonest = Math.min(soonest, due);
      continue;
    }
    waiting.delete(drawing);
    drawing.draw();
    const done = performance.now();
    soonest = restedAt = done + (done - now);
    break;
  }
  if (soonest < Infinity) later = setTimeout(next, soonest - performance.now());
}

function unavailable(error) {
  waiting.clear();
  for (const { node } of drawings.values()) node.dataset.trouble = "The chart cannot be drawn just now. Reload the page.";
  console.error(error);
}
