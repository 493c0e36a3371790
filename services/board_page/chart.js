// The margin chart of one game, drawn as SVG by hand: small, sharp, and nothing inline that a strict CSP would refuse.

import { lead } from "./format.js";
import { covered } from "./night.js";

const SVG = "http://www.w3.org/2000/svg";
const BOX = { width: 360, height: 178, left: 30, right: 26, top: 16, bottom: 22 };
const HALF = 24;
const OFFICIAL = 18;

function draw(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function scales(values) {
  const low = Math.min(-6, ...values) - 1;
  const high = Math.max(6, ...values) + 1;
  const plotWidth = BOX.width - BOX.left - BOX.right;
  const plotHeight = BOX.height - BOX.top - BOX.bottom;
  return {
    low, high,
    x: (minute) => round(BOX.left + (minute / HALF) * plotWidth),
    y: (margin) => round(BOX.top + ((high - margin) / (high - low)) * plotHeight),
  };
}

const round = (value) => Math.round(value * 10) / 10;
const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("");

function frame(svg, { x, y, low, high }, score) {
  const step = high - low > 36 ? 20 : high - low > 18 ? 10 : 5;
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) {
    svg.append(draw("path", { class: tick === 0 ? "zero" : "grid", d: `M${x(0)} ${y(tick)}H${x(HALF)}` }));
    svg.append(draw("text", { class: "tick", x: BOX.left - 6, y: y(tick) + 3.5, "text-anchor": "end" },
      tick === 0 ? "0" : String(Math.abs(tick))));
  }
  svg.append(draw("path", { class: "quarter", d: `M${x(12)} ${BOX.top}V${BOX.height - BOX.bottom}` }));
  svg.append(draw("path", { class: "official", d: `M${x(OFFICIAL)} ${BOX.top}V${BOX.height - BOX.bottom}` }));
  const under = BOX.height - 7;
  for (const [minute, label] of [[6, "Q1"], [15, "Q2"], [OFFICIAL, "6:00"], [HALF, "Half"]]) {
    svg.append(draw("text", { class: "tick", x: x(minute), y: under, "text-anchor": "middle" }, label));
  }
  svg.append(draw("text", { class: "side", x: BOX.left + 4, y: BOX.top - 4 }, `▲ ${score.home} leads`));
  svg.append(draw("text", { class: "side", x: BOX.left + 4, y: BOX.height - BOX.bottom - 5 }, `▼ ${score.away} leads`));
}

function path(svg, { x, y }, margins) {
  if (!margins.length) return;
  const points = [0, ...margins].map((margin, minute) => [x(minute), y(margin)]);
  const last = points[points.length - 1];
  svg.append(draw("path", { class: "area", d: `${line(points)}L${last[0]} ${y(0)}L${x(0)} ${y(0)}Z` }));
  svg.append(draw("path", { class: "path", d: line(points) }));
  if (margins.length < HALF) svg.append(draw("circle", { class: "now", cx: last[0], cy: last[1], r: 3.2 }));
}

function fan(svg, { x, y }, forecast) {
  const from = [x(forecast.minute), y(forecast.persistence)];
  const end = x(HALF);
  const [low, point, high] = [y(forecast.lower), y(forecast.point), y(forecast.upper)];
  svg.append(draw("path", { class: "fan", d: `${line([from, [end, high], [end, low]])}Z` }));
  svg.append(draw("path", { class: "expected", d: line([from, [end, point]]) }));
}

function marks(svg, { x, y }, forecast) {
  const end = x(HALF);
  const [low, point, high, stands] = [forecast.lower, forecast.point, forecast.upper, forecast.persistence].map(y);
  svg.append(draw("rect", { class: "stands", x: end - 4, y: stands - 4, width: 8, height: 8 }));
  svg.append(draw("path", { class: "interval", d: `M${end} ${high}V${low}M${end - 5} ${high}h10M${end - 5} ${low}h10` }));
  svg.append(draw("path", { class: "point", d: `M${end} ${point - 5.5}l5.5 5.5l-5.5 5.5l-5.5 -5.5Z` }));
}

function outcome(svg, { x, y }, actual, inside) {
  const [cx, cy] = [x(HALF), y(actual)];
  const verdict = inside === null ? "" : inside ? "in" : "out";
  svg.append(draw("circle", { class: `outcome ${verdict}`, cx, cy, r: 7 }));
  if (inside !== null) {
    svg.append(draw("text", { class: `verdict ${verdict}`, x: cx + 11, y: cy + 4.5 }, inside ? "✓" : "✗"));
  }
}

/** Everything the chart says, as one sentence for those who do not see it. */
export function describe(game) {
  const { score, forecast, settlement } = game;
  const margins = game.pattern?.margins ?? [];
  const said = [];
  if (margins.length) said.push(`Margin after ${margins.length} minutes: ${lead(margins[margins.length - 1], score)}`);
  if (forecast) {
    said.push(`forecast for the half ${lead(forecast.point, score)}, interval ${lead(forecast.lower, score)} to ${lead(forecast.upper, score)}`);
  }
  if (settlement) said.push(`outcome ${lead(settlement.actual, score)}`);
  return said.length ? `${said.join("; ")}.` : "No minute played yet.";
}

/** Draws `game` into `svg`, replacing what was there. */
export function drawMargins(svg, game) {
  const margins = game.pattern?.margins ?? [];
  const { forecast, settlement } = game;
  const scale = scales([
    0, ...margins,
    ...(forecast ? [forecast.lower, forecast.upper, forecast.persistence] : []),
    ...(settlement ? [settlement.actual] : []),
  ]);
  svg.setAttribute("viewBox", `0 0 ${BOX.width} ${BOX.height}`);
  svg.setAttribute("aria-label", describe(game));
  svg.replaceChildren();
  frame(svg, scale, game.score);
  if (forecast) fan(svg, scale, forecast);
  path(svg, scale, margins);
  if (forecast) marks(svg, scale, forecast);
  if (settlement) outcome(svg, scale, settlement.actual, covered(game));
}

/** Draws the similar games' paths beside this one's; `highlight` names the one to bring forward. */
export function drawSimilar(svg, game, highlight) {
  const margins = game.pattern?.margins ?? [];
  const { similar, minute } = game.forecast;
  const scale = scales([0, ...margins, ...similar.flatMap((one) => one.path)]);
  svg.setAttribute("viewBox", `0 0 ${BOX.width} ${BOX.height}`);
  svg.replaceChildren();
  frame(svg, scale, { home: "home", away: "away" });
  similar.forEach((one, i) => {
    const points = one.path.map((margin, at) => [scale.x(at), scale.y(margin)]);
    const chosen = i === highlight ? " chosen" : "";
    svg.append(draw("path", { class: `past${chosen}`, d: line(points.slice(0, minute + 1)) }));
    svg.append(draw("path", { class: `went-on${chosen}`, d: line(points.slice(minute)) }));
    const end = points[points.length - 1];
    if (end) svg.append(draw("circle", { class: `past-end${chosen}`, cx: end[0], cy: end[1], r: 2.6 }));
  });
  const own = [0, ...margins].slice(0, minute + 1).map((margin, at) => [scale.x(at), scale.y(margin)]);
  svg.append(draw("path", { class: "path", d: line(own) }));
}

/** The minute (0..24) under a pointer at `clientX`. */
export function minuteAt(svg, clientX) {
  const box = svg.getBoundingClientRect();
  const inside = ((clientX - box.left) / box.width) * BOX.width;
  const share = (inside - BOX.left) / (BOX.width - BOX.left - BOX.right);
  return Math.max(0, Math.min(HALF, Math.round(share * HALF)));
}
