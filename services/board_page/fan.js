// How sure a forecast is: the fan from the margin now to the half, and who leads there. Pure functions.

const HALF = 24;
const STEPS = 16;

/** What may be read from a forecast: its nested intervals, widest first; an older one has the one it was issued with. */
export function bandsOf({ lower, upper, alpha, distribution }) {
  const intervals = distribution?.intervals ?? [];
  if (!intervals.length) return [{ level: 1 - alpha, lower, upper }];
  return [...intervals].sort((a, b) => b.level - a.level);
}

/**
 * One trace a band. Only the end at the half is forecast; on the way there a band widens as a random walk spreads, with
 * the root of the time that has passed, around the straight line to the point.
 */
export function fanTraces(forecast, colours) {
  const { minute, persistence: now, point } = forecast;
  // Closer together at the start, where the edge bends.
  const shares = Array.from({ length: STEPS + 1 }, (_, i) => (i / STEPS) ** 2);
  const x = shares.map((share) => minute + share * (HALF - minute));
  const edge = (end) => shares.map((share) => now + share * (point - now) + Math.sqrt(share) * (end - point));
  const outline = (upper, lower) => [...edge(upper), ...edge(lower).reverse()];
  return bandsOf(forecast).map(({ level, lower, upper }, place) => ({
    uid: place ? `fan-${Math.round(100 * level)}` : "fan", x: [...x, ...[...x].reverse()], y: outline(upper, lower),
    mode: "none", fill: "toself", fillcolor: colours["accent-fan"],
  }));
}

/** P(home leads), P(tied), P(away leads) at the half; null when the forecast has no distribution. */
export function chancesOf({ distribution }) {
  if (!distribution) return null;
  const sum = (wanted) => distribution.probabilities.reduce(
    (total, one, place) => total + (wanted(distribution.first + place) ? one : 0), 0);
  return { home: sum((margin) => margin > 0), tied: sum((margin) => margin === 0), away: sum((margin) => margin < 0) };
}
