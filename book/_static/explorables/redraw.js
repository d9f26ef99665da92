/* redraw.js: what would be redrawn if you did it again? Two intervals of one mean, schools fixed and schools random, when the
   same schools are tested again and when new ones are drawn. */
"use strict";
(() => {
  const { number, percent, text, path, scale, clamp } = lmm;
  const MEAN = 50, SIGMA = 9, SHOWN = 20, KINDS = ["ols", "mixed"], NAMES = ["schools fixed", "schools random"];

  /* Of the mean of all n scores, in units of σ/√n: its error is normal; SSB/σ² is chi-square on J − 1 df, noncentral when the
     schools stay; SSW/σ² is chi-square on n − J df. The fixed interval uses MSW and t on n − J df; the random one REML's
     larger of MSB and the pooled mean square, with J − 1 or n − 1 df (lmmsim's LMM). */
  function facts({ tau, m, J }, { data }) {
    const n = J * m, u = data.school.slice(0, J).map(z => tau * z / data.per), mean = u.reduce((a, b) => a + b, 0) / J;
    const shift = m * u.reduce((sum, x) => sum + (x - mean) ** 2, 0) / SIGMA ** 2, large = 1 + m * tau ** 2 / SIGMA ** 2;
    const fixed = lmm.tCritical(n - J), random = lmm.tCritical(J - 1), pooled = lmm.tCritical(n - 1);
    /** Coverage of the random interval when SSB = `ratio` × chi-square(df) and the squared error = `error` × chi-square(1). */
    const covers = (df, ratio, error) => {
      const ratioAtZero = (J - 1) / (n - J) / ratio, kink = ratioAtZero / (1 + ratioAtZero), total = df + n - J;
      return lmm.betaMean(B => {
        const D = B < kink ? pooled ** 2 * (ratio * B + 1 - B) / (n - 1) : random ** 2 * ratio * B / (J - 1);
        return 1 - lmm.tTails(Math.sqrt(D * total / error), total);
      }, df / 2, (n - J) / 2, kink, 2);
    };
    let same = 0, total = 0;                         // noncentral: a Poisson mixture, in steps where it is wide
    const center = shift / 2, spread = Math.sqrt(center), stride = Math.max(1, Math.floor(spread / 4));
    for (let k = Math.max(0, Math.floor(center - 7 * spread)); k <= center + 7 * spread + 12; k += stride) {
      const weight = center > 0 ? Math.exp(k * Math.log(center) - center - lmm.logGamma(k + 1)) : Number(k === 0);
      if (weight > 1e-9) { same += weight * covers(J - 1 + 2 * k, 1, 1); total += weight; }
    }
    same /= total;
    const rates = [[0.95, same], [1 - lmm.tTails(fixed / Math.sqrt(large), n - J), covers(J - 1, large, large)]];
    return { n, u, these: MEAN + mean, shift, large, fixed, random, pooled, rates, unit: SIGMA / Math.sqrt(n), ratio: Math.sqrt(large) };
  }

  /** The intervals of repetition i: [estimate, half of the fixed, half of the random], with the same or with new schools. */
  function intervals({ s: { J }, f, store: [z, first, rest, w] }) {
    const toRest = lmm.chiSquareFromNormal(J - 2), toWithin = lmm.chiSquareFromNormal(f.n - J), shift = Math.sqrt(f.shift);
    return (i, anew) => {
      const between = anew ? f.large * (first[i] ** 2 + toRest(rest[i])) : (first[i] + shift) ** 2 + toRest(rest[i]);
      const within = toWithin(w[i]), msb = between / (J - 1), msw = within / (f.n - J);
      const random = msb > msw ? f.random * Math.sqrt(msb) : f.pooled * Math.sqrt((between + within) / (f.n - 1));
      return [z[i] * (anew ? Math.sqrt(f.large) : 1), f.fixed * Math.sqrt(msw), random];
    };
  }
  function tally(view) {
    const of = intervals(view), counts = [[0, 0], [0, 0]];
    for (let i = 0; i < view.landed; i++) for (const anew of [0, 1]) {
      const [error, ...half] = of(i, anew);
      for (const k of [0, 1]) if (Math.abs(error) <= half[k]) counts[anew][k]++;
    }
    return counts;
  }

  function picture(view) {
    const { f, W, landed, revealed } = view, of = intervals(view), half = (W - 16) / 2;
    const first = Math.max(0, landed - SHOWN), reach = Math.max(5, 3.1 * f.unit * Math.sqrt(f.large));
    let out = "";
    for (const anew of [0, 1]) {
      const top = anew ? 260 : 54, truth = anew ? MEAN : f.these;
      out += text(0, top - 36, anew ? "New schools each time" : "The same schools again", "strong") +
        text(0, top - 18, `the truth: the mean of ${anew ? "all" : "these"} schools, ${number(truth, 1)}`, "soft");
      for (const k of [0, 1]) {
        const left = k * (half + 16), x = scale(-reach, reach, left, left + half), hidden = anew && !k && !revealed;
        const fix = v => clamp(x(v), left, left + half).toFixed(1);
        let hits = "", misses = "";
        for (let i = first; i < landed; i++) {
          const values = of(i, anew), error = values[0] * f.unit, h = values[1 + k] * f.unit, y = top + 3 + 5.6 * (i - first), d = `M${fix(error - h)} ${y.toFixed(1)}H${fix(error + h)}`;
          Math.abs(error) <= h ? hits += d : misses += d;
        }
        const missed = (misses.match(/M/g) ?? []).length;
        out += path(`M${x(0)} ${top - 4}V${top + 114}`, "dotted");
        out += hidden ? text(left + half / 2, top + 62, "?", "strong large middle halo ols") : path(hits, "bar thick") + path(misses, `thick ${KINDS[k]}`);
        out += text(left, top + 130, W < 480 ? NAMES[k].split(" ")[1] : NAMES[k], `strong ${KINDS[k]}`);
        if (!hidden) out += text(left + half, top + 130, `${missed} of ${landed - first} miss`, "soft end");
      }
    }
    const counts = tally(view), rows = [0, 1].flatMap(anew => [0, 1].map(k => ({
      name: `${anew ? "New" : "Same"} schools, ${W < 420 ? NAMES[k].split(" ")[1] : NAMES[k]}`, kind: KINDS[k], truth: f.rates[anew][k], known: revealed || !anew || !!k,
      count: counts[anew][k], n: revealed || !anew || k ? landed : 0, guess: anew && !k ? guessed(view) : null })));
    return out + text(0, 428, "Intervals that contain the truth, in percent", "soft") + lmm.rates(rows, { W, top: 436, level: 0.95 });
  }

  const START = { tau: 4.5, m: 15, J: 8 };
  const guessed = view => view.guess !== null && Object.keys(START).every(k => view.s[k] === START[k]) ? view.guess / 100 : null;

  lmm.explorable("redraw", {
    controls: [
      { name: "tau", label: "sd between <i>τ</i>", unit: " pts", min: 0, max: 10, step: 0.5, value: START.tau, digits: 1, code: s => `{"school": <b>${s.tau.toFixed(1)}</b>}` },
      { name: "m", label: "pupils per school <i>m</i>", min: 2, max: 40, value: START.m, code: s => `nested(…, pupil=<b>${s.m}</b>)` },
      { name: "J", label: "schools <i>J</i>", min: 3, max: 20, value: START.J, code: s => `nested(school=<b>${s.J}</b>, …)` },
    ],
    height: () => 632,
    facts, picture, tally,
    sentence: ({ s, f, revealed }) => `An interval with <b class="ols">schools fixed</b> is about these ${s.J} schools: it contains their mean in 95% of repetitions with the same schools. ${revealed ? `With new schools it contains the mean of all schools in <b class="ols">${percent(f.rates[1][0])}</b>.` : "How often does it contain the mean of all schools?"} ` +
      `An interval with <b class="mixed">schools random</b> is about all schools like these, and contains their mean in <b class="mixed">${percent(f.rates[1][1])}</b> of repetitions with new schools.`,
    describe: ({ f, landed, revealed }) => `Four panels of intervals for ${Math.min(landed, SHOWN)} repetitions. With the same schools, whose mean is ${number(f.these, 1)}, ${percent(f.rates[0][0])} of the fixed and ${percent(f.rates[0][1])} of the random intervals contain it. ` +
      `With new schools, ${revealed ? percent(f.rates[1][0]) : "a share not shown yet"} of the fixed and ${percent(f.rates[1][1])} of the random intervals contain the mean of all schools, 50.`,
    predict: { ask: "Suppose that each repetition draws new schools. In what percentage of repetitions does the narrow interval, with schools fixed, contain the mean of all schools?", unit: "%", min: 0, max: 100 },
    verdict(view) {
      const { f } = view, guess = guessed(view);
      return `${guess === null ? "With new schools the fixed interval contains the mean of all schools in" : `You said ${number(100 * guess)}%; it is`} <b class="ols">${percent(f.rates[1][0])}</b>. ` +
        (f.ratio < 1.05 ? "The schools hardly differ, so it matters little which of them are tested."
          : `From one set of schools to the next the mean moves ${number(f.ratio, 1)} times as much as from one sample of pupils to the next, and the fixed interval takes only the pupils into account.`);
    },
    repeat: { noun: "study", arrays: 4, start: SHOWN },
    note: () => "All four panels use the same repetitions in the same order. An interval that misses is drawn in color. Pupils of one school differ by a standard deviation of 9 points. Neither interval is wrong: they answer different questions.",
    python: (s, view) => `from lmmsim import LMM, OLS, Model
from lmmsim import nested, performance, study

schools = nested(school=<b>${s.J}</b>, pupil=<b>${s.m}</b>)
world = Model("score ~ 1 + (1 | school)",
    beta={"Intercept": 50},
    random={"school": <b>${s.tau.toFixed(1)}</b>}, residual=9)
anew = study(world, schools, {       # new schools each time
    "fixed": OLS("score ~ C(school, contr.sum)"),
    "random": LMM("score ~ 1 + (1 | school)"),
}, replicates=<b>${clamp(view.count, 100, 10000)}</b>, rng=1)
performance(anew).loc["Intercept", "coverage"]`,
  });
})();
