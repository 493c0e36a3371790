// How the forecast moved: point and interval of each minute, drawn as plain SVG, since it changes with every minute of
// every game. The minutes stand below those of the chart above; its words are in the label.

import { lead } from "./format.js";
import { OFFICIAL } from "./night.js";

const SVG = "http://www.w3.org/2000/svg";
const HALF = 24;
const HIGH = 100;

function path(className, d) {
  const node = document.createElementNS(SVG, "path");
  node.setAttribute("class", className);
  node.setAttribute("d", d);
  return node;
}

export class Trajectory {
  constructor() {
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("viewBox", `0 0 ${HALF} ${HIGH}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("aria-hidden", "true");
    this.official = document.createElement("span");
    this.official.className = "official";
    this.official.textContent = "◆";
    this.official.setAttribute("aria-hidden", "true");
    this.node = document.createElement("div");
    this.node.className = "trajectory";
    this.node.setAttribute("role", "img");
    this.node.append(this.svg, this.official);
    this.node.hidden = true;
  }

  show({ score, trajectory = [], settlement }) {
    this.node.hidden = trajectory.length < 2;
    if (this.node.hidden) return;
    const values = trajectory.flatMap(({ lower, upper }) => [lower, upper]).concat(settlement ? [settlement.actual] : [], 0);
    const top = Math.max(...values);
    const span = top - Math.min(...values);
    const y = (points) => ((top - points) / span) * HIGH;
    const to = (points, steps) => steps.map((step) => `${step.minute} ${y(points(step))}`).join(" L");
    const upper = to((step) => step.upper, trajectory);
    const lower = to((step) => step.lower, [...trajectory].reverse());
    this.svg.replaceChildren(
      path("band", `M${upper} L${lower} Z`),
      path("even", `M0 ${y(0)} H${HALF}`),
      ...(settlement ? [path("actual", `M0 ${y(settlement.actual)} H${HALF}`)] : []),
      path("moved", `M${to((step) => step.point, trajectory)}`),
      path("steps", trajectory.map((step) => `M${step.minute} ${y(step.point)} h0`).join(" ")),
    );
    const official = trajectory.find((step) => step.minute === OFFICIAL);
    this.official.hidden = !official;
    if (official) {
      this.official.style.left = `${(100 * OFFICIAL) / HALF}%`;
      this.official.style.top = `${y(official.point)}%`;
    }
    this.node.setAttribute("aria-label", `How the forecast for the half moved: ${trajectory.map((step) => (
      `minute ${step.minute}${step === official ? ", official" : ""} ${lead(step.point, score, 1)}`)).join("; ")}`);
  }
}
