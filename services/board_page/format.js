// Words and numbers as a reader sees them. Pure functions.

/** "BOS +4": who leads and by how much; margin is home minus away in points. Forecasts take one of `digits`: "BOS +4.0". */
export function lead(margin, score, digits = 0) {
  const by = Math.abs(margin).toFixed(digits);
  if (Number(by) === 0) return "even";
  return `${margin > 0 ? score.home : score.away} +${by}`;
}

/** "71%", "<1%", ">99%": what is not certain is never shown as certain. */
export function percent(probability) {
  if (probability > 0 && probability < 0.005) return "<1%";
  if (probability < 1 && probability > 0.995) return ">99%";
  return `${Math.round(100 * probability)}%`;
}

/** "BOS lead at half: 71%, tied 4%, NYK 25%"; once the half is `over`, "Said at 6:00: BOS lead 71%, tied 4%, NYK 25%". */
export function leads({ home, tied, away }, score, over) {
  const lead = over ? `Said at 6:00: ${score.home} lead` : `${score.home} lead at half:`;
  return `${lead} ${percent(home)}, tied ${percent(tied)}, ${score.away} ${percent(away)}`;
}

/** "5 of 6": a count of a whole. */
export function share(part, whole) {
  return `${part} of ${whole}`;
}

/** "95%" for 0.05: the level an interval promises. */
export function level(alpha) {
  return `${Number(((1 - alpha) * 100).toFixed(1))}%`;
}

/** "Friday 3 February 2023" for "2023-02-03", whatever the reader's time zone. */
export function longDate(isoDate) {
  const when = new Date(`${isoDate}T12:00:00Z`);
  if (Number.isNaN(when.getTime())) return isoDate;
  return new Intl.DateTimeFormat("en-GB", {
    weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC",
  }).format(when);
}

const SOURCES = {
  simulated: "simulated league",
  recorded: "replay of recorded games",
  archive: "replay of recorded games",
  nba: "live NBA",
  live: "live NBA",
};

/** What the source badge says. */
export function sourceName(source) {
  return SOURCES[source] ?? `source: ${source}`;
}

/** "Q2 6:21", "Halftime", "Final", "7:30 pm ET", "last seen Q4 1:06": where a game is. */
export function whereItIs(score, silent) {
  if (score.status === "postponed") return "Postponed";
  const where = score.status_text.trim() || (score.status === "live" ? "Live" : "Scheduled");
  return silent ? `last seen ${where}` : where;
}
