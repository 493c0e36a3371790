// What the charts show, as Plotly figures: pure functions of a game and the theme's colours. No word of the feed goes in
// here, because Plotly reads markup in its texts; team names stand beside the chart, as plain text.

import { bandsOf, chancesOf, fanTraces } from "./fan.js";
import { lead, leads } from "./format.js";
import { OFFICIAL, covered, shown } from "./night.js";

export const HEIGHT = 172;
const HALF = 24;
const MARGIN = { l: 30, r: 26, t: 16, b: 22 };
const FONT = '"Inter", "SF Pro Text", "Segoe UI", system-ui, -apple-system, "Helvetica Neue", Arial, sans-serif';

const line = (color, width, more) => ({ mode: "lines", line: { color, width, ...more } });

/** Axes for `values` in points, never so narrow that a basket looks like a landslide; below, room for the away team's name. */
function layout(values, width, colours) {
  const high = Math.max(6, ...values) + 1;
  const least = Math.min(-6, ...values) - 1;
  const low = least - 0.09 * (high - least);
  const step = high - low > 36 ? 20 : high - low > 18 ? 10 : 5;
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(tick);
  const upright = (minute, color, dash) => (
    { type: "line", x0: minute, x1: minute, y0: low, y1: high, layer: "below", line: { color, width: 1, dash } });
  return {
    width, height: HEIGHT, margin: MARGIN, showlegend: false, hovermode: false, dragmode: false,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: FONT, size: 10, color: colours.faint },
    xaxis: {
      range: [0, HALF], fixedrange: true, showgrid: false, zeroline: false,
      tickvals: [6, 15, OFFICIAL, HALF], ticktext: ["Q1", "Q2", "6:00", "Half"],
    },
    yaxis: {
      range: [low, high], fixedrange: true, gridcolor: colours.grid, zerolinecolor: colours.faint, zerolinewidth: 1,
      tickvals: ticks, ticktext: ticks.map((tick) => String(Math.abs(tick))),
    },
    shapes: [upright(HALF / 2, colours.grid, "solid"), upright(OFFICIAL, colours.soft, "2px,3px")],
  };
}

function pathTraces(margins, colours) {
  if (!margins.length) return [];
  const y = [0, ...margins];
  const path = { uid: "path", x: y.map((_, minute) => minute), y, ...line(colours.ink, 2), fill: "tozeroy", fillcolor: colours.area };
  if (margins.length >= HALF) return [path];
  const now = {
    uid: "now", x: [margins.length], y: y.slice(-1), mode: "markers",
    marker: { size: 7.5, color: colours.ink, line: { color: colours.card, width: 1.5 } },
  };
  return [path, now];
}

function expectedTrace({ minute, persistence, point }, colours) {
  return { uid: "expected", x: [minute, HALF], y: [persistence, point], ...line(colours.accent, 1.4, { dash: "4px,3px" }) };
}

// The three marks at the half are of three sizes, so that all are seen when they fall on one another.
function markTraces({ persistence, lower, point, upper }, colours) {
  return [
    {
      uid: "stands", x: [HALF], y: [persistence], mode: "markers", cliponaxis: false,
      marker: { symbol: "square", size: 12, color: colours.card, line: { color: colours.soft, width: 1.5 } },
    },
    {
      uid: "point", x: [HALF], y: [point], mode: "markers", cliponaxis: false,
      marker: { symbol: "diamond", size: 9.5, color: colours.accent, line: { color: colours.card, width: 1 } },
      error_y: {
        type: "data", symmetric: false, array: [upper - point], arrayminus: [point - lower],
        color: colours.accent, thickness: 1.8, width: 5,
      },
    },
  ];
}

function outcomeTrace(actual, inside, colours) {
  const color = inside === null ? colours.ink : inside ? colours.good : colours.bad;
  return {
    uid: inside === null ? "outcome" : inside ? "outcome-in" : "outcome-out",
    x: [HALF], y: [actual], mode: "markers+text", cliponaxis: false,
    marker: { symbol: "circle-open", size: 17, color, line: { width: 2 } },
    text: [inside === null ? "" : inside ? " ✓" : " ✗"], textposition: "middle right", textfont: { color, size: 13 },
  };
}

/** One game: its margin path, the forecast with its interval, the margin it was made at carried on, the outcome. */
export function marginFigure(game, width, colours) {
  const margins = game.pattern?.margins ?? [];
  const { settlement } = game;
  const forecast = shown(game);
  const values = [
    ...margins,
    ...(forecast ? [forecast.persistence, ...[forecast, ...bandsOf(forecast)].flatMap(({ lower, upper }) => [lower, upper])] : []),
    ...(settlement ? [settlement.actual] : []),
  ];
  return {
    data: [
      ...(forecast ? [...fanTraces(forecast, colours), expectedTrace(forecast, colours)] : []),
      ...pathTraces(margins, colours),
      ...(forecast ? markTraces(forecast, colours) : []),
      ...(settlement ? [outcomeTrace(settlement.actual, covered(game), colours)] : []),
    ],
    layout: layout(values, width, colours),
  };
}

/** The similar games' paths beside this one's up to the forecast; `chosen` names the one to bring forward, -1 none. */
export function similarFigure(game, chosen, width, colours) {
  const { similar, minute } = shown(game);
  const own = [0, ...(game.pattern?.margins ?? [])].slice(0, minute + 1);
  const along = (paths, from, to) => ({
    // A null lifts the pen: five games are one trace.
    x: paths.flatMap((path) => [...path.slice(from, to).map((_, i) => from + i), null]),
    y: paths.flatMap((path) => [...path.slice(from, to), null]),
  });
  const paths = similar.map((one) => one.path);
  const data = [
    { uid: "past", ...along(paths, 0, minute + 1), ...line(colours.faint, 1), opacity: 0.45 },
    { uid: "went-on", ...along(paths, minute), ...line(colours.accent, 1.3), opacity: 0.75 },
    {
      uid: "past-end", x: paths.map(() => HALF), y: paths.map((path) => path[HALF] ?? null), mode: "markers",
      cliponaxis: false, marker: { size: 5.5, color: colours.accent },
    },
    { uid: "path", x: own.map((_, i) => i), y: own, ...line(colours.ink, 2) },
  ];
  const one = paths[chosen];
  if (one) data.push({ uid: "chosen", ...along([one], 0), ...line(colours.accent, 2.6) });
  return { data, layout: layout([...own, ...paths.flat()], width, colours) };
}

/** Everything the chart says, as one sentence for those who do not see it. */
export function describe(game) {
  const { score, settlement } = game;
  const forecast = shown(game);
  const margins = game.pattern?.margins ?? [];
  const said = [];
  if (margins.length) said.push(`Margin after ${margins.length} minutes: ${lead(margins[margins.length - 1], score)}`);
  if (forecast) {
    const which = forecast.minute === OFFICIAL ? "official forecast" : `after minute ${forecast.minute} the forecast`;
    said.push(`${which} for the half ${lead(forecast.point, score, 1)}, interval ${lead(forecast.lower, score, 1)} to ${lead(forecast.upper, score, 1)}`);
  }
  const chances = forecast && chancesOf(forecast);
  if (chances) said.push(leads(chances, score, settlement));
  if (settlement) said.push(`outcome ${lead(settlement.actual, score)}`);
  return said.length ? `${said.join("; ")}.` : "No minute played yet.";
}

/** The minute (0..24) at `x` pixels from the left of a chart `width` pixels wide. */
export function minuteAt(x, width) {
  const share = (x - MARGIN.l) / (width - MARGIN.l - MARGIN.r);
  return Math.max(0, Math.min(HALF, Math.round(share * HALF)));
}
