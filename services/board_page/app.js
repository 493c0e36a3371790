// Wires the page: the night, its connection, the cards and the figures above them.

import { Card } from "./card.js";
import { Connection } from "./connection.js";
import { level, longDate, share, sourceName } from "./format.js";
import { Night, OFFICIAL } from "./night.js";

const at = (id) => document.getElementById(id);
const night = new Night();
const cards = new Map();
const past = new URLSearchParams(location.search).get("date");
let drawn = false;

function showHeader() {
  const date = at("date");
  date.textContent = night.leagueDate ? longDate(night.leagueDate) : "";
  if (night.leagueDate) date.dateTime = night.leagueDate;
  const source = at("source");
  source.hidden = !night.source;
  if (night.source) {
    source.textContent = sourceName(night.source);
    source.dataset.source = night.source;
  }
  at("json").href = night.leagueDate ? `/api/games?date=${encodeURIComponent(night.leagueDate)}` : "/api/games";
}

function showTotals() {
  const totals = night.totals();
  at("totals").hidden = totals.games === 0;
  at("empty").hidden = totals.games > 0 || !drawn;
  at("t-games").textContent = String(totals.games);
  at("t-games-note").textContent = [
    totals.live || !totals.final ? `${totals.live} live` : "", `${totals.final} final`,
    totals.silent ? `${totals.silent} left before the end` : "",
  ].filter(Boolean).join(" · ");
  at("t-forecasts").textContent = String(totals.forecast);
  at("t-forecasts-note").textContent = `${totals.missed} missed · ${totals.void} void`;
  const settled = totals.settled.length;
  const inside = totals.settled.filter(Boolean).length;
  at("t-coverage").textContent = settled ? share(inside, settled) : "–";
  at("t-coverage-note").textContent = settled && totals.alpha !== null
    ? `${Math.round((100 * inside) / settled)}%, promised ${level(totals.alpha)}` : "nothing settled yet";
  at("t-dots").replaceChildren(...totals.settled.map((one) => {
    const dot = document.createElement("span");
    dot.className = one ? "dot in" : "dot out";
    return dot;
  }));
  showErrors(totals);
}

function showErrors({ mae, maePersistence }) {
  const note = at("t-error-note");
  if (mae === null) {
    at("t-error").replaceChildren(Object.assign(document.createElement("p"), { className: "figure", textContent: "–" }));
    note.textContent = "nothing settled yet";
    return;
  }
  const longest = Math.max(mae, maePersistence, 0.1);
  at("t-error").replaceChildren(...[["forecast", mae], ["as it stands", maePersistence]].map(([name, points], i) => {
    const row = document.createElement("div");
    row.className = i ? "bar stands" : "bar";
    const label = Object.assign(document.createElement("span"), { className: "bar-name", textContent: name });
    const track = Object.assign(document.createElement("span"), { className: "bar-track" });
    const fill = Object.assign(document.createElement("span"), { className: "bar-fill" });
    fill.style.width = `${(100 * points) / longest}%`;
    track.append(fill);
    const number = Object.assign(document.createElement("span"), { className: "bar-value", textContent: points.toFixed(2) });
    row.append(label, track, number);
    return row;
  }));
  const gain = maePersistence - mae;
  note.textContent = Math.abs(gain) < 0.005 ? "level with as it stands"
    : `${Math.abs(gain).toFixed(2)} points ${gain > 0 ? "better" : "worse"} than as it stands`;
}

function showCards() {
  const inOrder = night.inOrder();
  const wanted = new Set(inOrder.map((game) => game.game_id));
  for (const [id, card] of cards) {
    if (!wanted.has(id)) { card.remove(); cards.delete(id); }
  }
  const grid = at("games");
  inOrder.forEach((game, place) => {
    let card = cards.get(game.game_id);
    if (!card) cards.set(game.game_id, (card = new Card(game.game_id)));
    const silent = night.silent(game);
    if (card.game !== game || card.silent !== silent) card.show(game, silent);
    // Moving a node that is in its place already would drop focus and close what is being read.
    if (grid.children[place] !== card.node) grid.insertBefore(card.node, grid.children[place] ?? null);
  });
}

// Silence is no event.
setInterval(render, 60_000);

let waiting = false;
function render() {
  if (waiting) return;
  waiting = true;
  // Many events of one poll become one drawing; a hidden tab draws when it is seen again.
  requestAnimationFrame(() => {
    waiting = false;
    showHeader();
    showCards();
    showTotals();
  });
}

function hear(message) {
  if (message.type === "heartbeat") {
    night.setClock(message.at);
    return;
  }
  if (message.type === "resumed") return;
  if (message.type === "state") {
    night.replace(message);
    drawn = true;
    render();
    return;
  }
  const game = night.apply(message);
  if (!game) return;
  drawn = true;
  render();
  // Two dozen forecasts a game would be too many to call out.
  const worthCalling = message.type === "settlement" || (message.type === "forecast" && message.data.minute === OFFICIAL);
  if (worthCalling && game.score) {
    requestAnimationFrame(() => {
      const card = cards.get(game.game_id);
      if (!card) return;
      card.flash();
      at("announce").textContent = card.describe();
    });
  }
}

function showConnection(state, detail) {
  const badge = at("connection");
  const notice = at("notice");
  const words = { connecting: "connecting", reconnecting: "reconnecting", connected: "connected", lost: "connection lost" };
  const behind = state === "connected" && detail.type === "heartbeat" && detail.stream === "down";
  if (state === "connected" && detail.type !== "heartbeat" && badge.dataset.state === "behind") return;
  const shown = behind ? "behind" : state;
  badge.dataset.state = shown;
  badge.textContent = behind ? "scores delayed" : words[state];
  notice.hidden = !(behind || state === "lost");
  if (behind) notice.textContent = "The board is up but its event stream is not: scores on this page may be old.";
  if (state === "lost") notice.textContent = `The board cannot be reached; trying again in ${Math.ceil(detail.delay / 1000)} s. What you see is the last known state.`;
}

async function offerNights() {
  const response = await fetch("/api/nights", { headers: { accept: "application/json" } });
  if (!response.ok) return;
  const { nights } = await response.json();
  if (!nights.length) return;
  const select = at("nights");
  const options = [["", "now"], ...nights.map((one) => [one, one])];
  select.replaceChildren(...options.map(([value, words]) => Object.assign(document.createElement("option"), { value, textContent: words })));
  select.value = past ?? "";
  select.hidden = at("nights-label").hidden = false;
  select.addEventListener("change", () => { location.search = select.value ? `?date=${select.value}` : ""; });
}

async function showPast(date) {
  const response = await fetch(`/api/games?date=${encodeURIComponent(date)}`);
  const badge = at("connection");
  const body = await response.json();
  if (!response.ok) {
    at("empty-title").textContent = "This night cannot be shown";
    at("empty-text").textContent = body.error ?? `The board answered ${response.status}.`;
    body.games = [];
  } else if (!body.games.length) {
    at("empty-title").textContent = `No games on ${date}`;
  }
  badge.dataset.state = "past";
  badge.textContent = "past night";
  night.replace({ ...body, last_id: null, source: body.source ?? null, league_date: body.league_date ?? null });
  drawn = true;
  render();
}

if (past) {
  showPast(past);
} else {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  new Connection({
    url: `${scheme}//${location.host}/ws`,
    lastId: () => night.lastId,
    onMessage: hear,
    onState: showConnection,
  }).open();
}
offerNights().catch(() => {});
