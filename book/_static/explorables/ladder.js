/* ladder.js: shrinkage: ignore groups, separate them, or share? Twelve schools, each with its own number of pupils; from the
   truth to each school's own mean, to the mixed model's prediction, to one mean for all. */
"use strict";
(() => {
  const { number, percent, text, path, rect, circle, line, scale, clamp } = lmm;
  const MEAN = 50, RUNGS = [["true", "ink"], ["own mean", "ols"], ["partial pooling", "mixed"], ["one mean for all", "soft"]];
  const NAMES = ["No pooling: each school’s own mean", "Partial pooling: the mixed model", "Complete pooling: one mean for all"], KINDS = ["ols", "mixed", "gray"];

  /** Pupils tested in each school when the base sizes are multiplied: they are even, so half of them is whole. */
  const sizes = (base, times) => base.map(n => Math.round(n * times));

  /** Weights, and expected squared errors when μ, τ and σ are known: σ²/n, τ², and τ² σ²/n / (τ² + σ²/n). */
  function facts({ tau, sigma, times }, { data }) {
    const n = sizes(data.sizes, times), own = n.map(k => sigma ** 2 / k), weight = own.map(v => tau === 0 ? 0 : tau ** 2 / (tau ** 2 + v));
    const mean = x => x.reduce((a, b) => a + b, 0) / x.length;
    return { n, weight, pupils: n.reduce((a, b) => a + b, 0), expected: [mean(own), mean(weight.map((w, j) => w * own[j])), tau ** 2].map(Math.sqrt) };
  }

  /** The schools of this world: truth, own mean, GLS mean of all and the predictions at the true τ and σ. */
  function look({ tau, sigma }, { school, pupil }, f, { data }) {
    let from = 0;
    const truth = [], own = [];
    data.sizes.forEach((size, j) => {
      let sum = 0;
      for (let i = 0; i < f.n[j]; i++) sum += pupil[from + i];
      truth.push(MEAN + tau * school[j]);
      own.push(truth[j] + sigma * sum / f.n[j]);
      from += data.most * size;
    });
    const precision = f.n.map(k => 1 / (tau ** 2 + sigma ** 2 / k)), total = precision.reduce((a, b) => a + b, 0);
    const center = precision.reduce((sum, w, j) => sum + w * own[j], 0) / total;
    const all = own.reduce((sum, y, j) => sum + f.n[j] * y, 0) / f.pupils;
    const partial = own.map((y, j) => center + f.weight[j] * (y - center));
    const error = [own, partial, own.map(() => all)].map(x => Math.sqrt(x.reduce((sum, v, j) => sum + (v - truth[j]) ** 2, 0) / x.length));
    return { truth, own, center, all, partial, error };
  }

  const TOP = 44, GAP = 62, BARS = TOP + 3 * GAP + 78;

  function picture({ s, f, d, W, revealed }) {
    const chosen = s.school - 1, most = Math.max(12, ...[...d.own, ...d.truth].map(v => Math.abs(v - MEAN))) * 1.04, x = scale(MEAN - most, MEAN + most, 8, W - 8);
    const rungs = [d.truth, d.own, d.partial, d.own.map(() => d.all)], y = k => TOP + k * GAP, size = n => clamp(Math.sqrt(n) * 1.05, 1.6, 9);
    let out = "", over = "";
    const step = most > 30 ? 20 : most > 15 ? 10 : 5;
    for (let v = Math.ceil((MEAN - most) / step) * step; v < MEAN + most; v += step) out += path(`M${x(v)} ${y(0)}V${y(3) + 14}`, "grid") + text(x(v), y(3) + 34, number(v), "soft middle");
    out += text(W, y(3) + 52, "mean score of a school (points)", "soft end");
    for (let j = 0; j < f.n.length; j++) {
      const on = j === chosen, points = rungs.map((rung, k) => [x(rung[j]), y(k), k]).filter(([, , k]) => revealed || !on || k === 1);   // its truth and prediction are asked for
      const marks = line(points, on ? "ink thick" : "faint soft") + points.map(([px, py, k]) => circle(px, py, k === 3 ? 3 : size(f.n[j]), `${k === 0 ? "hollow " : on ? "" : "light "}${RUNGS[k][1]}`)).join("");
      if (on) over = marks + points.map(([px, py, k]) => k < 3 ? circle(px, py, size(f.n[j]) + 4, "ring ink") : "").join(""); else out += marks;
    }
    out += over;
    RUNGS.forEach(([name, kind], k) => { out += text(0, y(k) - 14 - (k === 0 ? 0 : 3), k === 0 ? "the truth, which only a simulation knows" : k === 3 ? `complete pooling: all pupils’ mean, ${number(d.all, 1)}` : k === 1 ? "no pooling: each school’s own mean" : "partial pooling: the mixed model", `strong halo ${kind}`); });

    // how far from the truth: in these twelve schools, and expected
    const far = Math.max(4, ...f.expected, ...d.error) * 1.02, len = scale(0, far, 0, W - 10);
    out += text(0, BARS, "Root mean square error (points)", "soft");
    NAMES.forEach((name, k) => {
      const at = BARS + 30 + 40 * k;
      out += text(0, at - 7, W < 480 ? name.split(":")[0] : name, `strong ${KINDS[k] === "gray" ? "soft" : KINDS[k]}`) + text(W, at - 7, `expected ${number(f.expected[k], 1)}, here ${number(d.error[k], 1)}`, "soft end");
      out += rect(0, at, len(f.expected[k]), 9, KINDS[k] === "gray" ? "soft" : KINDS[k]) + lmm.dots([[len(d.error[k]), at + 4.5]], 4, "ink");
    });
    return out;
  }

  const START = { school: 1, tau: 5, sigma: 10, times: 1 };
  const pupils = n => `${number(n)} pupil${n === 1 ? "" : "s"}`;

  lmm.explorable("ladder", {
    loose: true,
    controls: [
      { name: "school", label: "school", min: 1, max: 12, value: START.school, code: s => `fit.u.iloc[<b>${s.school - 1}</b>]` },
      { name: "tau", label: "sd between <i>τ</i>", min: 0, max: 15, step: 0.5, value: START.tau, digits: 1, unit: " pts", code: s => `random={"school": <b>${s.tau.toFixed(1)}</b>}` },
      { name: "sigma", label: "sd within <i>σ</i>", min: 1, max: 20, step: 0.5, value: START.sigma, digits: 1, unit: " pts", code: s => `residual=<b>${s.sigma.toFixed(1)}</b>` },
      { name: "times", label: "pupils tested", unit: "×", min: 0.5, max: 4, step: 0.5, value: START.times, digits: 1, code: s => `head(int(n * <b>${s.times.toFixed(1)}</b>))` },
    ],
    height: () => BARS + 132,
    draws: ({ school, pupil, per }) => ({ school: school.map(z => z / per), pupil: pupil.map(z => z / per) }),
    facts, look, picture,
    point(x, y, { s, d, W }) {                       // the school whose own mean is nearest
      if (y > TOP + 3 * GAP || y < TOP - 20) return null;
      const most = Math.max(12, ...[...d.own, ...d.truth].map(v => Math.abs(v - MEAN))) * 1.04, at = scale(MEAN - most, MEAN + most, 8, W - 8);
      const rung = [d.truth, d.own, d.partial][clamp(Math.round((y - TOP) / GAP), 0, 2)], near = rung.map(v => Math.abs(at(v) - x)), j = near.indexOf(Math.min(...near));
      return near[j] < 24 ? ["school", j + 1] : null;
    },
    sentence({ s, f, d, revealed }) {
      const j = s.school - 1, moved = 1 - f.weight[j];
      return `The <b>${pupils(f.n[j])}</b> tested in school ${s.school} averaged <b class="ols">${number(d.own[j], 1)}</b>. ` + (revealed
        ? `The mixed model gives their mean a weight of <b>${percent(f.weight[j])}</b> and the model’s mean of all schools, ${number(d.center, 1)}, the rest: it predicts <b class="mixed">${number(d.partial[j], 1)}</b>. The truth is ${number(d.truth[j], 1)}.`
        : "What is the school’s true mean? The mixed model’s answer appears when you have given yours.");
    },
    describe: ({ s, f, d, revealed }) => `Twelve schools with ${f.n.join(", ")} pupils, each as a line from its true mean to its own mean, to the mixed model's prediction, to the mean of all, ${number(d.all, 1)}. ` +
      (revealed ? `Root mean square distance from the truth, expected: no pooling ${number(f.expected[0], 1)}, partial pooling ${number(f.expected[1], 1)}, complete pooling ${number(f.expected[2], 1)} points. School ${s.school}: own mean ${number(d.own[s.school - 1], 1)}, predicted ${number(d.partial[s.school - 1], 1)}.` : ""),
    predict: { ask: ({ f, d, data }) => `In school 1 only ${pupils(f.n[0])} were tested, and their mean is ${number(d.own[0], 1)} points. Where is the true mean of that school?`, unit: "points", min: 0, max: 100 },
    verdict({ s, f, d, guess }) {
      const j = START.school - 1, same = Object.keys(START).every(k => s[k] === START[k]);
      const answer = guess !== null && same ? `You said ${number(guess, 1)}; the mixed model says <b class="mixed">${number(d.partial[j], 1)}</b>, and the truth is ${number(d.truth[j], 1)}. ` : "";
      const best = f.expected[1] / Math.min(f.expected[0], f.expected[2]);
      return answer + (s.tau === 0 ? "The schools do not differ, so the mean of all is the best prediction for each of them."
        : best > 0.97 ? `Here partial pooling is hardly better than ${f.expected[0] < f.expected[2] ? "each school’s own mean" : "one mean for all"}.`
          : `On average partial pooling is nearer the truth (${number(f.expected[1], 1)} points) than a school’s own mean (${number(f.expected[0], 1)}) or one mean for all (${number(f.expected[2], 1)}), though not for every school.`);
    },
    note: () => "The weight λ is τ² / (τ² + σ²/m) for m pupils tested, with the true τ and σ; a fit estimates both from the data first. The larger a circle, the more pupils the school has. The mean of all pupils counts large schools more than the model’s mean of all schools does, so the two differ. The bars show the error that is expected over many sets of schools if the mean of all is known; the dots show the error in these twelve schools.",
    python: (s, { data }) => `import pandas as pd
from lmmsim import LMM, Model, nested, simulate

sizes = [${data.sizes.join(", ")}]
world = Model("score ~ 1 + (1 | school)",
    beta={"Intercept": 50},
    random={"school": <b>${s.tau.toFixed(1)}</b>}, residual=<b>${s.sigma.toFixed(1)}</b>)
schools = nested(school=12, pupil=[${data.most} * n for n in sizes])
everyone = simulate(world, schools, rng=1).data
survey = pd.concat(                  # the first pupils of each
    pupils.head(int(n * <b>${s.times.toFixed(1)}</b>)) for n, (_, pupils)
    in zip(sizes, everyone.groupby("school", sort=False)))
own = survey.groupby("school")["score"].mean()
fit = LMM(world.formula)(survey)
fit.u.iloc[<b>${s.school - 1}</b>]                       # school ${s.school}: how far from the mean`,
  });
})();
