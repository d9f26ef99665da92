/* scorecard.js: which analysis? Five analyses in three designs: how often each announces a difference that is not there. Exact where
   one integral does it, otherwise from a grid of simulations by lmmsim, with their Monte-Carlo error. */
"use strict";
(() => {
  const { number, percent, text, path, rect, clamp } = lmm;
  const M = 10, GROUPS = [6, 10, 20, 40], ICCS = [0, 0.1, 0.3], SLOPES = [0, 0.25, 0.5];
  const ANALYSES = [["ols", "Regression (OLS)"], ["robust", "OLS, cluster-robust"], ["simple", "means, or paired t"], ["intercept", "LMM (1 | group)"], ["slope", "LMM (x | group)"]];
  const DESIGNS = [["whole", "whole groups"], ["same", "within, alike"], ["differ", "within, differing"]];

  /** OLS and the random intercept where one share of a sum of squares, beta, decides: see effective-n.js and analyses.js. */
  function exact(J, rho, whole) {
    const n = J * M, large = 1 + (M - 1) * rho, small = 1 - rho, pooledT = lmm.tCritical(n - 2);
    const own = whole ? large : small, other = whole ? small : large, dfOwn = whole ? J - 2 : n - J - 1, dfOther = n - 2 - dfOwn;
    const pooled = B => lmm.tTails(pooledT * Math.sqrt(B + other / own * (1 - B)), n - 2), critical = lmm.tCritical(dfOwn);
    const ratio = other / own * dfOwn / dfOther, kink = ratio / (1 + ratio);            // the variance between groups is zero on the other side
    const mixed = B => (whole ? B < kink : B > kink) ? pooled(B) : lmm.tTails(critical * Math.sqrt(B * (n - 2) / dfOwn), n - 2);
    return { ols: lmm.betaMean(pooled, dfOwn / 2, dfOther / 2), intercept: lmm.betaMean(mixed, dfOwn / 2, dfOther / 2, kink) };
  }

  /** Every cell: [rate, Monte-Carlo error or 0]. */
  function facts({ groups, icc, slope }, { data }) {
    const J = GROUPS[groups], rho = ICCS[icc], n = J * M, cell = [];
    const a = exact(J, rho, true), b = exact(J, rho, false), robust = lmm.tCritical(J - 1) * Math.sqrt((n - 1) / (n - 2));
    const simulated = (s, k) => { const p = data.grid[groups][icc][s][k] / data.replicates; return [p, Math.sqrt(p * (1 - p) / data.replicates)]; };
    const table = {
      whole: { ols: [a.ols, 0], robust: [lmm.tTails(robust * Math.sqrt((J - 2) / (J - 1)), J - 2), 0], simple: [0.05, 0], intercept: [a.intercept, 0], slope: null },
      same: { ols: [b.ols, 0], robust: [lmm.tTails(robust, J - 1), 0], simple: [0.05, 0], intercept: [b.intercept, 0], slope: simulated(0, 2) },
      differ: slope === 0 ? null : { ols: simulated(slope, 0), robust: [lmm.tTails(robust, J - 1), 0], simple: [0.05, 0], intercept: simulated(slope, 1), slope: simulated(slope, 2) },
    };
    table.differ ??= table.same;
    return { J, rho, s: SLOPES[slope], table };
  }

  const HIDDEN = ["differ", "ols"], START = { groups: 2, icc: 2, slope: 2 };
  const guessed = view => view.guess !== null && Object.keys(START).every(k => view.s[k] === START[k]) ? view.guess : null;

  function picture({ f, W, revealed }) {
    const left = W < 480 ? 104 : 168, w = (W - left) / 3, h = 44, top = 58;
    let out = text(left, 14, "The treatment is given to", "soft");
    DESIGNS.forEach(([key, name], d) => {
      const x = left + d * w, words = W < 480 ? name.split(", ") : [name];
      words.forEach((word, i) => { out += text(x + w / 2, (words.length > 1 ? 32 : 40) + 15 * i, word + (words.length > 1 && !i ? "," : ""), "strong middle"); });
      ANALYSES.forEach(([analysis], a) => {
        const cell = f.table[key][analysis], y = top + a * (h + 4);
        out += rect(x + 2, y, w - 4, h, "band");
        if (!cell) { out += text(x + w / 2, y + h / 2 + 4, "–", "soft middle"); return; }
        const [p, error] = cell, hidden = !revealed && key === HIDDEN[0] && analysis === HIDDEN[1], strength = clamp(Math.abs(Math.log2(p / 0.05)) / 3.2, 0, 1);
        if (hidden) { out += text(x + w / 2, y + h / 2 + 5, "?", "strong large middle ols"); return; }
        if (Math.abs(p - 0.05) > 0.005 + 2 * error) out += `<rect x="${(x + 2).toFixed(1)}" y="${y}" width="${(w - 4).toFixed(1)}" height="${h}" class="${p > 0.05 ? "ols" : "mixed"}" opacity="${(0.12 + 0.5 * strength).toFixed(2)}"/>`;
        out += text(x + w / 2, y + 20, `${number(100 * p, 1)}%`, "strong middle") + text(x + w / 2, y + 36, error ? `± ${number(100 * error, 1)}` : "exact", "small middle");
      });
    });
    ANALYSES.forEach(([, name], a) => {
      const y = top + a * (h + 4) + h / 2 + 4, at = name.indexOf(W < 480 ? (name.startsWith("OLS,") || name.startsWith("means,") ? ", " : " (") : "~");
      if (at < 0) out += text(0, y, name, "strong"); else out += text(0, y - 8, name.slice(0, at).replace(/,$/, ""), "strong") + text(0, y + 8, name.slice(at).replace(/^, /, "").trim(), "soft");
    });
    const foot = top + 5 * (h + 4) + 18;
    return out + `<rect x="0" y="${foot - 10}" width="12" height="12" class="ols" opacity="0.5"/>` + text(18, foot, "too many", "soft") + `<rect x="90" y="${foot - 10}" width="12" height="12" class="mixed" opacity="0.5"/>` + text(108, foot, "too few", "soft") + text(W, foot, "promised: 5%", "soft end");
  }

  const index = (name, label, values, show, code) => ({ name, label, min: 0, max: values.length - 1, value: START[name], show: v => show(values[v]), code: s => code(values[s[name]]) });
  lmm.explorable("scorecard", {
    controls: [
      index("groups", "groups", GROUPS, v => String(v), v => `crossed(group=<b>${v}</b>, …)`),
      index("icc", "ICC <i>ρ</i>", ICCS, v => v.toFixed(2), v => `sd_from_icc(<b>${v.toFixed(2)}</b>, …)`),
      index("slope", "sd of effects", SLOPES, v => v.toFixed(2), v => `{…, "x": <b>${v.toFixed(2)}</b>}`),
    ],
    height: () => 326,
    facts, picture,
    sentence({ f, revealed }) {
      const { whole, same, differ } = f.table;
      return `With ${f.J} groups of ${M} and an ICC of ${f.rho.toFixed(2)} the regression’s false positives are <b class="ols">${percent(whole.ols[0])}</b> when whole groups are treated, and <b class="mixed">${percent(same.ols[0])}</b> when the treatment varies within groups and has the same effect in all. ` +
        (!f.s ? "Here the effect is the same in every group." : `Where the effect differs (sd ${f.s.toFixed(2)}), ${revealed ? `the regression has <b class="ols">${percent(differ.ols[0])}</b>, and ` : ""}a mixed model with a random intercept alone has <b class="ols">${percent(differ.intercept[0])}</b>.`);
    },
    describe: ({ f, revealed }) => "A table of false-positive rates. " + DESIGNS.map(([key, name]) => `${name}: ` + ANALYSES.map(([analysis, words]) => {
      const cell = f.table[key][analysis];
      return `${words} ${!cell ? "does not apply" : !revealed && key === HIDDEN[0] && analysis === HIDDEN[1] ? "not shown yet" : percent(cell[0])}`;
    }).join(", ")).join(". ") + ".",
    predict: { ask: "There are twenty groups of ten with an ICC of 0.3, and every group has both treatments. On average the treatments do not differ, but their difference varies between groups with a standard deviation of 0.5. In what percentage of studies does an ordinary regression announce a difference at the 5% level?", unit: "%", min: 0, max: 100 },
    verdict(view) {
      const { f } = view, guess = guessed(view), p = percent(f.table.differ.ols[0]), level = "counts differences between groups as noise, which makes its interval too long", slope = "does not take into account that the effect differs, which makes its interval too short";
      return `${guess === null ? "Where both treatments are in every group, the regression’s rate is" : `You said ${number(guess, Number.isInteger(guess) ? 0 : 1)}%; it is`} <b class="ols">${p}</b>. ` + (f.s === 0
        ? f.rho === 0 ? "Groups do not differ, so nothing is lost by ignoring them." : `The regression ${level}, so true effects are missed.`
        : f.rho === 0 ? `The regression ${slope}.` : `Two errors work against each other: the regression ${level}, and it ${slope}. Which of them is larger depends on the sliders.`);
    },
    note: ({ data }) => `The designs are balanced, with ${M} rows in each group and a residual standard deviation of 1. A rate that is called exact was computed from a formula; each of the others comes from ${number(data.replicates)} simulated studies and has its Monte-Carlo error below it. A cell is colored where its rate differs from 5% by more than half a percentage point plus twice that error.`,
    python: s => `from lmmsim import LMM, OLS, Model, Random
from lmmsim import convert, crossed, performance, study

tau, sigma = convert.sd_from_icc(<b>${ICCS[s.icc].toFixed(2)}</b>, sd_residual=1)
design = crossed(group=<b>${GROUPS[s.groups]}</b>, x=[-0.5, 0.5], row=5)
world = Model("y ~ x + (x | group)",
    beta={"Intercept": 0, "x": 0},
    random={"group": Random(
        sd={"Intercept": tau, "x": <b>${SLOPES[s.slope].toFixed(2)}</b>})},
    residual=sigma)
studies = study(world, design, {       # treated within groups
    "OLS": OLS("y ~ x"),
    "(1 | group)": LMM("y ~ x + (1 | group)"),
    "(x | group)": LMM("y ~ x + (x | group)"),
}, replicates=1000, rng=1)
performance(studies).loc["x", "rejection"]`,
  });
})();
