(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const paint = (value, css) => {
    if (typeof value === "string") return value[0] === "@" ? css.getPropertyValue("--" + value.slice(1)).trim() : value;
    if (Array.isArray(value)) return value.map((part) => paint(part, css));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, paint(v, css)]));
    return value;
  };
  const draw = () => {
    const css = getComputedStyle(document.documentElement);
    for (const [id, figure] of Object.entries(figures)) {
      const { data, layout } = paint(figure, css);
      Plotly.react(id, data, layout, { displayModeBar: false, responsive: true });
    }
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
