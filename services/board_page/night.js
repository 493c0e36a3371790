// The night as the page knows it: one present state, then events in order. No DOM here.

export const OFFICIAL = 18;
// Longer than the break at the half: a live game of which nothing is heard for so long is not being followed any more.
const SILENCE_MS = 30 * 60_000;
const PARTS = new Set(["score", "pattern", "forecast", "settlement", "disposition"]);

export class Night {
  constructor() {
    this.leagueDate = null;
    this.source = null;
    this.lastId = null;
    this.games = new Map();
    this.clockAhead = 0;
  }

  /** Takes the board's own time, which its events carry too. */
  setClock(iso) {
    this.clockAhead = Date.parse(iso) - Date.now();
  }

  /** Whether a game that was live when last heard of has not been heard of for long: a night ends before its games do. */
  silent(game) {
    if (game.score?.status !== "live" || !game.updated_at) return false;
    return Date.now() + this.clockAhead - Date.parse(game.updated_at) > SILENCE_MS;
  }

  /** Takes a whole state; the answer says which games were there before. */
  replace(message) {
    this.leagueDate = message.league_date;
    this.source = message.source;
    if (message.last_id) this.lastId = message.last_id;
    this.games = new Map(message.games.map((game) => [game.game_id, game]));
  }

  /** Takes one event; returns the game it changed, or null when it changed nothing. */
  apply(event) {
    if (!PARTS.has(event.type)) return null;
    if (this.lastId !== null && !isLater(event.id, this.lastId)) return null;
    this.lastId = event.id;
    const game = this.games.get(event.game_id) ?? { game_id: event.game_id };
    const before = game[event.type];
    if (event.type === "settlement" && before && event.data.revision < before.revision) return null;
    const change = event.type === "forecast" ? withForecast(game, event.data) : { [event.type]: event.data };
    if (!change) return null;
    const next = { ...game, ...change, updated_at: event.at };
    this.games.set(event.game_id, next);
    if (event.type === "score") {
      this.leagueDate ??= event.data.league_date;
      this.source ??= event.data.source;
    }
    return next;
  }

  /** Games with a score line: live ones first, then those to come, then finished ones. */
  inOrder() {
    const ranks = { live: 0, scheduled: 1, final: 2, postponed: 3 };
    const rank = (game) => (this.silent(game) ? ranks.final : ranks[game.score.status]);
    return [...this.games.values()]
      .filter((game) => game.score)
      .sort((a, b) => rank(a) - rank(b) || a.game_id.localeCompare(b.game_id));
  }

  totals() {
    const games = this.inOrder();
    const ended = (word) => games.filter((game) => game.disposition?.disposition === word).length;
    const settled = games.filter((game) => game.forecast && game.settlement);
    const mean = (values) => (values.length ? values.reduce((sum, one) => sum + one, 0) / values.length : null);
    return {
      games: games.length,
      live: games.filter((game) => game.score.status === "live" && !this.silent(game)).length,
      silent: games.filter((game) => this.silent(game)).length,
      final: games.filter((game) => game.score.status === "final").length,
      forecast: games.filter((game) => game.forecast).length,
      missed: ended("missed"),
      void: ended("void"),
      settled: settled.map((game) => covered(game)),
      alpha: settled[0]?.forecast.alpha ?? null,
      mae: mean(settled.map((game) => Math.abs(game.forecast.point - game.settlement.actual))),
      maePersistence: mean(settled.map((game) => Math.abs(game.forecast.persistence - game.settlement.actual))),
    };
  }
}

/** What one more forecast changes in a game; null when a higher revision of that minute is known. */
function withForecast(game, made) {
  const { minute, revision, point, lower, upper } = made;
  const path = new Map((game.trajectory ?? []).map((step) => [step.minute, step]));
  if (path.get(minute)?.revision > revision) return null;
  path.set(minute, { minute, revision, point, lower, upper });
  return {
    trajectory: [...path.values()].sort((a, b) => a.minute - b.minute),
    latest: game.latest && game.latest.minute > minute ? game.latest : made,
    ...(minute === OFFICIAL ? { forecast: made } : {}),
  };
}

/** The forecast a card shows: the newest while the half is played, then the official one, by which it is judged. */
export function shown(game) {
  return game.settlement ? game.forecast : (game.latest ?? game.forecast);
}

/** Whether the outcome lies inside the forecast's interval; null while either is missing. */
export function covered(game) {
  if (!game.forecast || !game.settlement) return null;
  if (typeof game.settlement.covered === "boolean") return game.settlement.covered;
  return game.forecast.lower <= game.settlement.actual && game.settlement.actual <= game.forecast.upper;
}

function isLater(a, b) {
  const [aMs, aSeq] = a.split("-").map(Number);
  const [bMs, bSeq] = b.split("-").map(Number);
  return aMs > bMs || (aMs === bMs && aSeq > bSeq);
}
