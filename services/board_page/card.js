// One game's card. All text goes in through textContent, so nothing from the feed can become markup.

import { describe, marginFigure, minuteAt, similarFigure } from "./chart.js";
import { Drawing } from "./drawing.js";
import { chancesOf } from "./fan.js";
import { lead, leads, level, whereItIs } from "./format.js";
import { OFFICIAL, covered, shown } from "./night.js";
import { Trajectory } from "./trajectory.js";

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function value(label, className) {
  const term = make("dt", "", label);
  const text = make("dd", className);
  return { box: make("div", "value", term, text), term, text };
}

function plot(...around) {
  const chart = make("div", "chart");
  chart.setAttribute("role", "img");
  return { chart, node: make("div", "plot", chart, ...around) };
}

/** Whose lead is up and whose is down: beside the chart, as plain text. */
function sides() {
  const up = make("span", "side up");
  const down = make("span", "side down");
  for (const node of [up, down]) node.setAttribute("aria-hidden", "true");
  const name = (home, away) => {
    up.textContent = `▲ ${home} leads`;
    down.textContent = `▼ ${away} leads`;
  };
  return { up, down, name };
}

export class Card {
  constructor(gameId) {
    const id = `game-${gameId}`;
    this.away = { code: make("span", "code"), score: make("span", "score") };
    this.home = { code: make("span", "code"), score: make("span", "score") };
    this.clock = make("span", "clock");
    this.badges = make("span", "badges");
    this.readout = make("p", "readout");
    this.readout.setAttribute("aria-hidden", "true");
    this.sides = sides();
    const { chart, node: plotted } = plot(this.sides.up, this.sides.down, this.readout);
    this.chart = chart;
    this.drawing = new Drawing(chart, (width, colours) => marginFigure(this.game, width, colours));
    this.trajectory = new Trajectory();
    this.latest = value("Latest", "strong");
    this.forecast = value("◆ Official", "strong");
    this.stands = value("As it stands");
    this.outcome = value("Outcome");
    this.interval = make("p", "interval-text");
    this.chances = new Chances();
    this.similar = new Similar();
    this.teams = make("h3", "teams",
      make("span", "team", this.away.code, this.away.score), make("span", "team", this.home.code, this.home.score));
    this.teams.id = id;
    this.figures = make("dl", "values", this.latest.box, this.forecast.box, this.stands.box, this.outcome.box);
    this.node = make("article", "card",
      make("header", "card-top", this.teams, make("div", "state", this.clock, this.badges)),
      plotted, this.trajectory.node,
      this.chances.node, this.figures, this.interval, this.similar.node);
    this.node.dataset.game = gameId;
    this.node.setAttribute("aria-labelledby", id);
    chart.addEventListener("pointermove", (event) => this.point(event.clientX));
    chart.addEventListener("pointerleave", () => { this.readout.textContent = ""; });
  }

  /** `silent`: it was live when it was last heard of, long ago. */
  show(game, silent) {
    const before = this.game;
    this.game = game;
    this.silent = silent;
    const { score } = game;
    for (const [side, code, points, other] of [
      [this.away, score.away, score.away_score, score.home_score],
      [this.home, score.home, score.home_score, score.away_score],
    ]) {
      side.code.textContent = code;
      side.score.textContent = score.status === "scheduled" || score.status === "postponed" ? "" : String(points);
      side.code.parentElement.classList.toggle("leads", points > other);
    }
    this.node.dataset.status = silent ? "silent" : score.status;
    this.clock.textContent = whereItIs(score, silent);
    this.badges.replaceChildren(...badges(game));
    this.sides.name(score.home, score.away);
    this.chart.setAttribute("aria-label", describe(game));
    // A new score alone, by far the most frequent event, leaves the chart as it is.
    if (!before || ["pattern", "latest", "forecast", "settlement"].some((part) => before[part] !== game[part])) this.drawing.want();
    this.values(game);
    this.chances.show(game);
    if (!before || ["trajectory", "settlement", "score"].some((part) => before[part] !== game[part])) this.trajectory.show(game);
    this.similar.show(game);
  }

  remove() {
    this.node.remove();
    this.drawing.remove();
    this.similar.drawing.remove();
  }

  values(game) {
    const { score, forecast, settlement, disposition } = game;
    const made = shown(game);
    const newer = made && made.minute !== OFFICIAL;
    const text = (node, words) => { node.textContent = words; node.classList.toggle("none", words === "–"); };
    const over = ["missed", "void"].includes(disposition?.disposition);
    this.figures.hidden = over && !made && !settlement;
    // Of the four never more than three: a newer forecast than the official one makes way for the outcome.
    this.latest.box.hidden = !newer;
    this.outcome.box.hidden = Boolean(newer);
    this.latest.term.textContent = newer ? `Minute ${made.minute}` : "";
    text(this.latest.text, newer ? lead(made.point, score, 1) : "–");
    text(this.forecast.text, forecast ? lead(forecast.point, score, 1) : "–");
    text(this.stands.text, made ? lead(made.persistence, score) : "–");
    text(this.outcome.text, settlement ? lead(settlement.actual, score) : "–");
    if (made) {
      const off = settlement ? ` · off by ${Math.abs(made.point - settlement.actual).toFixed(1)}` : "";
      const due = !forecast && !over && score.status === "live" ? " · official at 6:00 of Q2" : "";
      this.interval.textContent =
        `${level(made.alpha)} interval ${lead(made.lower, score, 1)} to ${lead(made.upper, score, 1)}${off || due}`;
    } else if (disposition?.reason) {
      this.interval.textContent = disposition.reason;
    } else {
      this.interval.textContent = !this.silent && ["live", "scheduled"].includes(score.status)
        ? "First forecast at tip-off, the official one at 6:00 of the second quarter" : "";
    }
  }

  point(clientX) {
    const margins = [0, ...(this.game.pattern?.margins ?? [])];
    const box = this.chart.getBoundingClientRect();
    const minute = minuteAt(clientX - box.left, box.width);
    this.readout.textContent =
      minute < margins.length ? `minute ${minute}: ${lead(margins[minute], this.game.score)}` : "";
  }

  /** Draws the eye once, when something worth seeing has come. */
  flash() {
    this.node.classList.remove("fresh");
    requestAnimationFrame(() => this.node.classList.add("fresh"));
  }

  describe() {
    const { score } = this.game;
    return `${score.away} at ${score.home}. ${describe(this.game)}`;
  }
}

function badges(game) {
  const shown = [];
  const add = (kind, words, title) => {
    const badge = make("span", `badge ${kind}`, words);
    if (title) badge.title = title;
    shown.push(badge);
  };
  const disposition = game.disposition?.disposition ?? (game.forecast ? "forecast" : null);
  const inside = covered(game);
  if (inside === true) add("in", "✓ inside");
  if (inside === false) add("out", "✗ outside");
  if (disposition === "forecast" && inside === null) add("forecast", "◆ official forecast");
  if (disposition === "missed") add("missed", "missed", game.disposition.reason ?? "");
  if (disposition === "void") add("void", "void", game.disposition.reason ?? "");
  if (game.settlement?.state === "provisional") add("soft", "provisional");
  const revisions = game.forecast?.revision ?? 0;
  if (revisions > 0) add("soft", revisions === 1 ? "revised" : `revised ${revisions}×`, "The score was corrected before the half, so the forecast was made again");
  return shown;
}

/** Who leads at the half, as a bar and in words. */
class Chances {
  constructor() {
    this.parts = ["home", "tied", "away"].map((who) => [who, make("span", `chance ${who}`)]);
    this.words = make("p", "chance-text");
    const bar = make("div", "chance-bar", ...this.parts.map(([, part]) => part));
    bar.setAttribute("aria-hidden", "true");
    this.node = make("div", "chances", bar, this.words);
    this.node.hidden = true;
  }

  show(game) {
    const forecast = shown(game);
    const chances = forecast && chancesOf(forecast);
    this.node.hidden = !chances;
    if (!chances) return;
    for (const [who, part] of this.parts) part.style.width = `${100 * chances[who]}%`;
    this.words.textContent = leads(chances, game.score, game.settlement);
  }
}

/** "How such games went on": the most similar past games, drawn only while open. */
class Similar {
  constructor() {
    this.summary = make("summary", "");
    this.sides = sides();
    this.sides.name("home", "away");
    const { chart, node: plotted } = plot(this.sides.up, this.sides.down);
    chart.setAttribute("aria-label", "Margin paths of the similar games; the table says the same in numbers");
    this.chosen = -1;
    this.drawing = new Drawing(chart, (width, colours) => similarFigure(this.game, this.chosen, width, colours), 0);
    this.rows = make("tbody", "");
    const head = make("tr", "");
    const titles = ["game", "", "at the half"].map((words, i) => make("th", i ? "number" : "", words));
    for (const cell of titles) cell.scope = "col";
    head.append(...titles);
    this.since = titles[1];
    this.mix = make("p", "mix");
    this.node = make("details", "similar", this.summary, plotted,
      make("table", "", make("thead", "", head), this.rows), this.mix);
    this.node.hidden = true;
    this.node.addEventListener("toggle", () => this.draw());
  }

  show(game) {
    this.game = game;
    const forecast = shown(game);
    const similar = forecast?.similar ?? [];
    this.node.hidden = similar.length === 0;
    this.summary.textContent = `How ${similar.length} such games went on`;
    const key = forecast ? `${forecast.prediction_id}/${Math.min(forecast.minute, game.pattern?.margins.length ?? 0)}` : "";
    if (key !== this.key) { this.key = key; this.draw(); }
  }

  choose(place) {
    this.chosen = place;
    this.drawing.want();
  }

  draw() {
    if (!this.node.open || this.node.hidden) return;
    const { similar, components, weights, model_version: version, minute } = shown(this.game);
    this.choose(-1);
    this.since.textContent = minute === OFFICIAL ? "after 6:00" : `after minute ${minute}`;
    this.rows.replaceChildren(...similar.map((one, i) => {
      const name = make("td", "", make("span", "pair", `${one.away} at ${one.home}`), make("time", "", one.date));
      const row = make("tr", "", name, make("td", "number", lead(one.change, one)), make("td", "number", lead(one.margin_24, one)));
      row.addEventListener("pointerenter", () => this.choose(i));
      row.addEventListener("pointerleave", () => this.choose(-1));
      return row;
    }));
    const parts = Object.entries(components ?? {}).filter(([, points]) => typeof points === "number").map(([name, points]) => {
      const weight = weights?.[name];
      return `${name} ${signed(points)}${typeof weight === "number" ? ` × ${weight.toFixed(2)}` : ""}`;
    });
    this.mix.textContent = [...parts, `model ${version}`].join(" · ");
  }
}

function signed(points) {
  const text = Number(points.toFixed(1)).toString().replace("-", "−");
  return points > 0 ? `+${text}` : text;
}
