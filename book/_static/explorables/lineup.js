/* lineup.js: would you see it? Residuals of one data set among nineteen that the fitted model made. The chance of all twenty stays;
   the sliders change what is wrong with the one. */
"use strict";
(() => {
  const { number, percent, text, path, rect, dots, scale, clamp } = lmm;
  const PLANTS = 10, WEEKS = 8, N = PLANTS * WEEKS, PANELS = 20, ROUNDS = 9;
  const KINDS = [["bent", "a bent mean"], ["fan", "a spread that grows"]];

  /** Residuals from the plants' own straight lines: what is left of e after level and slope of each plant. */
  function residuals(e) {
    const t = w => w - (WEEKS - 1) / 2, tt = Array.from({ length: WEEKS }, (_, w) => t(w) ** 2).reduce((a, b) => a + b), out = [];
    for (let j = 0; j < PLANTS; j++) {
      const own = e.slice(j * WEEKS, (j + 1) * WEEKS), mean = own.reduce((a, b) => a + b) / WEEKS, slope = own.reduce((sum, v, w) => sum + v * t(w), 0) / tt;
      own.forEach((v, w) => out.push(v - mean - slope * t(w)));
    }
    return out;
  }
  /** What is wrong with the one, at a strength of 0 to 1: a parabola with mean 0 over the weeks, or an sd that grows while the
      mean variance stays 1. */
  const bend = w => ((w - 3.5) ** 2 - 5.25) / 5.25, weeks = [...Array(WEEKS).keys()];
  function spreads(strength) {
    const raw = weeks.map(w => Math.exp(0.035 * strength * (w - 3.5))), scale = Math.sqrt(raw.reduce((sum, v) => sum + v * v, 0) / WEEKS);
    return raw.map(v => Number((v / scale).toFixed(2)));
  }
  const depth = s => Number((0.12 * s.strength).toFixed(2));
  function errors(e, s) {
    if (s.kind === "bent") return e.map((z, r) => z - depth(s) * bend(r % WEEKS));
    const sd = spreads(s.strength);
    return e.map((z, r) => z * sd[r % WEEKS]);
  }
  const facts = ({ strength }) => ({ spreads: spreads(strength) });
  function look(s, { panels }, f, { data }) {
    const real = data.places[s.round - 1], order = data.orders[s.round - 1];        // which null stands where
    return { real, panels: Array.from({ length: PANELS }, (_, k) => residuals(k + 1 === real ? errors(panels[0], s) : panels[order[k]])) };
  }

  /** How strong the defect is in a panel: how well a parabola fits, or how much squared residuals grow. */
  function measure(values, kind) {
    const sum = f => values.reduce((total, v, r) => total + f(v, r % WEEKS), 0), squares = sum(v => v * v);
    return kind === "bent" ? Math.abs(sum((v, w) => v * bend(w))) / Math.sqrt(squares) : sum((v, w) => v * v * (w - 3.5)) / squares;
  }
  const rank = ({ s, d }) => { const all = d.panels.map(p => measure(p, s.kind)); return 1 + all.filter(v => v > all[d.real - 1]).length; };

  function picture(view) {
    const { s, d, W } = view, columns = W < 480 ? 4 : 5, rows = PANELS / columns, w = (W - 8 * (columns - 1)) / columns, h = 74, marked = s.mark === "marked";
    let out = "";
    d.panels.forEach((values, k) => {
      const left = (k % columns) * (w + 8), top = Math.floor(k / columns) * (h + 24) + 16, x = scale(-0.6, WEEKS - 0.4, left, left + w), y = scale(-3.2, 3.2, top + h, top), on = marked && k + 1 === d.real;
      out += rect(left, top, w, h, "band") + path(`M${left} ${y(0)}h${w}`, "axis") + text(left, top - 4, on ? `${k + 1}: data` : String(k + 1), on ? "strong ols" : "soft") +
        dots(values.map((v, r) => [x(r % WEEKS + ((Math.floor(r / WEEKS) * 0.618) % 1 - 0.5) * 0.5), y(clamp(v, -3.1, 3.1))]), 1.6, on ? "ols" : "ink", 0.75);
      if (on) out += `<rect x="${left.toFixed(1)}" y="${top}" width="${w.toFixed(1)}" height="${h}" class="box ols"/>`;
    });
    return out + text(0, rows * (h + 24) + 10, "residuals (sd) by week, ten plants", "soft");
  }

  const word = kind => kind === "bent" ? "a bent mean" : "a spread that grows with time";
  lmm.explorable("lineup", {
    loose: true,
    controls: [
      { name: "mark", label: "the real one", value: "hidden", options: [["hidden", "hidden"], ["marked", "marked"]], code: s => s.mark === "marked" ? `lineup(fit, data, rng=<b>${s.round}</b>).reveal()` : `lineup(fit, data, rng=<b>${s.round}</b>)` },
      { name: "kind", label: "what is wrong with it", value: "bent", options: KINDS, code: s => s.kind === "bent" ? `data["height"] <b>-= …</b> (week - 3.5)**2` : `residual=IID(sd=…, by="<b>week</b>")` },
      { name: "strength", label: "how strongly", min: 0, max: 10, value: 6, code: s => s.kind === "bent" ? `bend = <b>${depth(s).toFixed(2)}</b>` : `sd={0: <b>${spreads(s.strength)[0].toFixed(2)}</b>, …}` },
      { name: "round", label: "line-up", min: 1, max: ROUNDS, value: 1, code: s => `rng=<b>${s.round}</b>` },
    ],
    height: W => (PANELS / (W < 480 ? 4 : 5)) * 98 + 20,
    draws: ({ panels, per }) => ({ panels: panels.map(p => p.map(z => z / per)) }),
    facts, look, picture,
    moved(name, view) { if (name === "round") view.s.mark = "hidden"; },
    answer(view) { view.s.mark = "marked"; },
    sentence: view => {
      const { s, d } = view, r = rank(view);
      return s.mark === "hidden" ? "Nineteen of these panels show residuals that the fitted model made, so nothing is wrong with them. One shows the data. Which one?"
        : `The data are in panel <b class="ols">${d.real}</b>. ` + (s.strength === 0 ? "Nothing is wrong with them, so nobody can tell them from the others."
          : `They have ${word(s.kind)}; measured by ${s.kind === "bent" ? "a parabola" : "squared residuals"}, it is ${r === 1 ? "<b>the strongest of the twenty</b>" : `<b>number ${r} of the twenty</b>: chance alone made ${r - 1} panel${r === 2 ? "" : "s"} that look${r === 2 ? "s" : ""} worse`}.`);
    },
    describe: ({ s, d }) => `Twenty small scatter plots of residuals against week, numbered 1 to 20.` + (s.mark === "marked" ? ` Number ${d.real} shows the data.` : " One of them shows the data."),
    predict: { ask: "Which panel shows the data? Give its number.", unit: "of 20", min: 1, max: PANELS },
    verdict({ data, guess }) {
      const real = data.places[0];
      return (guess === null ? `In the first line-up it was number ${real}. ` : guess === real ? `You chose number ${number(guess)}, and that is the real one. ` : `You chose number ${number(guess)}; the real one was number ${real}. `) +
        "Someone who sees nothing finds it once in twenty times, so one hit has a p-value of .05, and two hits in two line-ups have one of .0025.";
    },
    note: () => "The residuals are those from each plant’s own straight line. If you move the slider “line-up”, the panels change places and the real one is hidden again.",
    python: s => `from lmmsim import IID, LMM, Model, Random
from lmmsim import crossed, lineup, simulate

design = crossed(plant=10, week=[0, 1, 2, 3, 4, 5, 6, 7])
world = Model("height ~ week + (week | plant)",
    beta={"Intercept": 10, "week": 2},
    random={"plant": Random(
        sd={"Intercept": 2.0, "week": 0.5})},
    residual=${s.kind === "bent" ? "1" : `IID(by="week", sd={
        ${[0, 4].map(k => spreads(s.strength).slice(k, k + 4).map((v, i) => `${k + i}: <b>${v.toFixed(2)}</b>`).join(", ")).join(",\n        ")}})`})
data = simulate(world, design, rng=1).data
${s.kind === "bent" ? `bend = <b>${depth(s).toFixed(2)}</b>
data["height"] -= bend * (
    (data["week"] - 3.5) ** 2 - 5.25) / 5.25
` : ""}fit = LMM("height ~ week + (week | plant)")(data)
panels = lineup(fit, data, rng=<b>${s.round}</b>)`,
  });
})();
