/* analyses.js: same data, three analyses: a regression, the comparison of plot means (or of the two halves of every plot), and a
   mixed model, where whole plots get a treatment and where every plot gets both. */
"use strict";
(() => {
  const { number, percent, pValue, text, path, rect, circle, dots, scale, clamp } = lmm;
  const J = 12, M = 6, N = J * M, MEAN = 20, KINDS = ["ols", "third", "mixed"], LEVELS = ["usual", "new"];
  const NAMES = { plots: ["Regression (OLS)", "t test of plot means", "Mixed model"], halves: ["Regression (OLS)", "Paired t test", "Mixed model"] };
  const arm = (design, j, i) => design === "plots" ? j % 2 : i % 2;

  /* The difference of the arms is normal; three sums of squares are independent chi-squares: between plots, plots × arm
     (empty where an arm is whole plots), and within plots of one arm. `parts` has their scales and df. */
  function facts({ design, tau, sigma, effect }) {
    const small = sigma ** 2, large = small + M * tau ** 2, whole = design === "plots";
    const parts = whole ? [[large, J - 2], [0, 0], [small, N - J]] : [[large, J - 1], [small, J - 1], [small, N - 2 * J]];
    const sd = Math.sqrt(4 * (whole ? large : small) / N), dfLmm = whole ? J - 2 : N - J - 1;
    const f = { whole, parts, sd, df: [N - 2, whole ? J - 2 : J - 1, dfLmm], delta: effect / sd };
    f.critical = [...f.df, N - 2].map(df => lmm.tCritical(df));                   // the last: a mixed model whose variance is zero
    // how often each announces a difference where there is none
    const own = whole ? large : small, a = parts[0][1] / 2, b = (N - 2) / 2 - a, other = whole ? small : large;
    const [A, B] = whole ? [a, b] : [b, a];          // B: the share of the sum of squares that estimates the right variance
    const pooled = share => lmm.tTails(f.critical[0] * Math.sqrt(share + other / own * (1 - share)), N - 2);
    const ratio = whole ? other / own * (J - 2) / (N - J) : own / other * (J - 1) / (N - J - 1), zeroBelow = ratio / (1 + ratio);
    const kink = whole ? zeroBelow : 1 - zeroBelow, zero = share => whole ? share < kink : share > kink;
    const lmmTest = share => zero(share) ? pooled(share) : lmm.tTails(f.critical[2] * Math.sqrt(share * (N - 2) / dfLmm), N - 2);
    f.rates = [lmm.betaMean(pooled, A, B), 0.05, lmm.betaMean(lmmTest, A, B, kink)];
    return f;
  }

  /** s² and df of the three analyses, from the sums of squares. */
  function fits(f, [between, cross, within]) {
    const n = [(between + cross + within) / (N - 2), f.whole ? between / (J - 2) : cross / (J - 1)];
    const residual = (cross + within) / (f.whole ? N - J : N - J - 1), zero = between / f.parts[0][1] <= residual;
    return { s2: [...n, zero ? n[0] : f.whole ? between / (J - 2) : residual], critical: [f.critical[0], f.critical[1], f.critical[zero ? 3 : 2]], df: [f.df[0], f.df[1], zero ? N - 2 : f.df[2]], zero };
  }

  function look({ design, tau, sigma, effect }, { plot, plant }, f) {
    const y = Array.from({ length: N }, (_, r) => MEAN + tau * plot[Math.floor(r / M)] + sigma * plant[r] + effect * arm(design, Math.floor(r / M), r % M));
    const mean = rows => rows.reduce((sum, r) => sum + y[r], 0) / rows.length, all = [...y.keys()], of = (j, k) => all.filter(r => Math.floor(r / M) === j && (k === undefined || arm(design, j, r % M) === k));
    const arms = [0, 1].map(k => mean(all.filter(r => arm(design, Math.floor(r / M), r % M) === k))), grand = mean(all);
    const means = Array.from({ length: J }, (_, j) => mean(of(j))), halves = f.whole ? null : means.map((_, j) => [0, 1].map(k => mean(of(j, k))));
    const between = M * means.reduce((sum, m, j) => sum + (m - (f.whole ? arms[j % 2] : grand)) ** 2, 0);
    const cross = f.whole ? 0 : M / 2 * halves.reduce((sum, h, j) => sum + [0, 1].reduce((t, k) => t + (h[k] - means[j] - arms[k] + grand) ** 2, 0), 0);
    const within = all.reduce((sum, r) => { const j = Math.floor(r / M); return sum + (y[r] - (f.whole ? means[j] : halves[j][arm(design, j, r % M)])) ** 2; }, 0);
    const fit = fits(f, [between, cross, within]), difference = arms[1] - arms[0];
    const analyses = fit.s2.map((s2, k) => { const se = Math.sqrt(4 * s2 / N); return { se, half: fit.critical[k] * se, p: lmm.tTails(Math.abs(difference) / se, fit.df[k]) }; });
    return { y, arms, means, halves, squares: [between, cross, within], difference, analyses, zero: fit.zero };
  }

  function tally({ f, landed, store: [z, ...chi] }) {
    const to = f.parts.map(([, df]) => lmm.chiSquareFromNormal(df)), counts = [0, 0, 0];
    for (let i = 0; i < landed; i++) {
      const fit = fits(f, f.parts.map(([scale], k) => scale * to[k](chi[k][i]))), error = (z[i] * f.sd) ** 2 * N / 4;
      for (const k of [0, 1, 2]) if (error > fit.critical[k] ** 2 * fit.s2[k]) counts[k]++;
    }
    return counts;
  }

  function picture(view) {
    const { s, f, d, W, revealed, landed } = view, names = NAMES[s.design];
    const reach = clamp(Math.max(...d.y.map(v => Math.abs(v - MEAN))) * 1.05, 8, 60), y = scale(MEAN - reach, MEAN + reach, 190, 26), left = 26, right = W - 50, column = (right - left) / J;
    let out = "";
    const step = reach > 30 ? 20 : reach > 12 ? 10 : 5, points = [[], []];
    for (let v = Math.ceil((MEAN - reach) / step) * step; v <= MEAN + reach; v += step) out += path(`M${left} ${y(v)}H${right}`, "grid") + text(left - 5, y(v) + 4, number(v), "soft end");
    out += text(0, 12, W < 480 ? "cm" : "height (cm)", "soft") + (f.whole
      ? LEVELS.map((name, k) => text(left + (0.25 + k / 2) * (right - left), 12, `6 ${name} plots`, `strong middle arm-${k}`)).join("")
      : text((left + right) / 2 - 5, 12, "usual half,", "strong end arm-0") + text((left + right) / 2, 12, "new half of each plot", "strong arm-1"));
    const order = f.whole ? Array.from({ length: J }, (_, j) => (j % 2) * J / 2 + (j >> 1)) : [...Array(J).keys()];
    d.y.forEach((v, r) => {
      const j = Math.floor(r / M), i = r % M, k = arm(s.design, j, i), x0 = left + (order[j] + 0.5) * column;
      points[k].push([f.whole ? x0 + (((i + 1) * 0.618) % 1 - 0.5) * column * 0.5 : x0 + (k - 0.5) * column * 0.5 + ((i >> 1) - 1) * column * 0.09, y(v)]);
    });
    for (const k of [0, 1]) {
      let lines = "";
      for (let j = 0; j < J; j++) {
        const x0 = left + (order[j] + 0.5) * column, w = column * 0.38;
        if (f.whole && j % 2 === k) lines += `M${(x0 - w).toFixed(1)} ${y(d.means[j]).toFixed(1)}h${(2 * w).toFixed(1)}`;
        if (!f.whole) lines += `M${(x0 + (k - 1) * w - (k ? -1 : 1)).toFixed(1)} ${y(d.halves[j][k]).toFixed(1)}h${w.toFixed(1)}`;
      }
      const from = f.whole ? left + k * (right - left) / 2 : left;
      out += dots(points[k], 2.3, `arm-${k}`, 0.55) + path(lines, `thick arm-${k}`) + path(`M${from} ${y(d.arms[k])}H${right + 6}`, `arm-${k}`);
    }
    if (!f.whole) out += path(d.halves.map((h, j) => `M${(left + (order[j] + 0.31) * column).toFixed(1)} ${y(h[0]).toFixed(1)}L${(left + (order[j] + 0.69) * column).toFixed(1)} ${y(h[1]).toFixed(1)}`).join(""), "soft");
    out += path(`M${right + 6} ${y(d.arms[0])}V${y(d.arms[1])}`, "thick") + text(right + 12, (y(d.arms[0]) + y(d.arms[1])) / 2 + 2, number(d.difference, 1), "strong") + text(right + 12, (y(d.arms[0]) + y(d.arms[1])) / 2 + 17, "cm", "soft");

    // three intervals for one difference
    const far = Math.max(6, ...d.analyses.map(a => Math.abs(d.difference) + a.half)) * 1.05, x = scale(-far, far, 0, W), tick = far > 24 ? 10 : far > 10 ? 5 : 2;
    out += path(`M${x(0)} 214V338`, "dotted") + (s.effect ? path(`M${x(s.effect)} 214V338`, "ink") + text(x(s.effect) + 4, 336, "truth", "small halo") : "");
    d.analyses.forEach(({ half, p }, k) => {
      const row = 240 + 40 * k, at = v => x(d.difference + v);
      out += text(0, row - 11, names[k], `strong halo ${KINDS[k]}`) + text(W, row - 11, `${number(d.difference, 1)} ± ${number(half, 1)}, ${pValue(p)}`, "soft halo end") +
        path(`M${at(-half)} ${row}H${at(half)}`, `wide ${KINDS[k]}`) + circle(at(0), row, 4.5, `open ${KINDS[k]}`);
    });
    for (let v = -Math.floor(far / tick) * tick; v <= far; v += tick) if (Math.abs(v) < far * 0.95) out += text(x(v), 354, number(v), "soft middle");
    out += path(`M0 338.5H${W}`, "axis") + text(W / 2, 371, `difference, new − usual (cm); the truth is ${number(s.effect)}`, "soft middle");

    const counts = tally(view);
    out += text(0, 408, "False positives, in percent of studies", "soft");
    return out + lmm.rates(names.map((name, k) => ({ name, kind: KINDS[k], truth: f.rates[k], known: revealed || k > 0, count: counts[k], n: landed, guess: k ? null : guessed(view) })),
      { W, top: 416, level: 0.05, most: f.rates[0] > 0.5 ? 1 : 0.5, step: f.rates[0] > 0.5 ? 0.25 : 0.1 });
  }

  const START = { design: "plots", tau: 3, sigma: 3, effect: 0 };
  const guessed = view => view.guess !== null && Object.keys(START).every(k => view.s[k] === START[k]) ? view.guess / 100 : null;

  lmm.explorable("analyses", {
    loose: true,
    controls: [
      { name: "design", label: "who gets a treatment", value: START.design, options: [["plots", "whole plots"], ["halves", "both halves of every plot"]], code: s => s.design === "plots" ? `assign(plots, to="plot", <b>fertilizer</b>=…)` : `crossed(plot=12, <b>fertilizer</b>=…, plant=3)` },
      { name: "tau", label: "sd between <i>τ</i>", unit: " cm", min: 0, max: 8, step: 0.5, value: START.tau, digits: 1, code: s => `{"plot": <b>${s.tau.toFixed(1)}</b>}` },
      { name: "sigma", label: "sd within <i>σ</i>", unit: " cm", min: 0.5, max: 8, step: 0.5, value: START.sigma, digits: 1, code: s => `residual=<b>${s.sigma.toFixed(1)}</b>` },
      { name: "effect", label: "true difference", unit: " cm", min: 0, max: 6, step: 1, value: START.effect, code: s => `{"fertilizer[T.new]": <b>${s.effect}</b>}` },
    ],
    height: () => 568,
    draws: ({ plot, plant, per }) => ({ plot: plot.map(z => z / per), plant: plant.map(z => z / per) }),
    facts, look, picture, tally,
    sentence(view) {
      const { f, d } = view, [ols, simple, mixed] = d.analyses;
      return (f.whole ? "Whole plots are treated, so differences between plots make the comparison less precise, and the regression does not take that into account. " : "Every plot is compared with itself, so differences between plots cancel, and the regression does not take that into account. ") +
        `Its standard error is <b class="ols">${number(ols.se, 2)}</b> cm, that of the ${f.whole ? "t test of plot means" : "paired t test"} <b class="third">${number(simple.se, 2)}</b>, and that of the mixed model <b class="mixed">${number(mixed.se, 2)}</b>. ` +
        (view.revealed ? `Where there is no difference, the regression announces one in <b class="ols">${percent(f.rates[0])}</b> of studies.` : "How often does the regression announce a difference where there is none?");
    },
    describe: ({ s, f, d, revealed, landed }) => `Heights of 72 plants in 12 plots; ${f.whole ? "six plots have the usual and six the new fertilizer" : "each plot has a half with the usual and one with the new fertilizer"}. The new ones are ${number(d.difference, 1)} cm taller. ` +
      NAMES[s.design].map((name, k) => `${name}: plus or minus ${number(d.analyses[k].half, 1)}, ${pValue(d.analyses[k].p)}; false positives ${revealed || k ? percent(f.rates[k]) : "not shown yet"}. `).join("") + `${number(landed)} new studies.`,
    predict: { ask: "The two fertilizers do not differ in truth, and each of them is given to six whole plots. In what percentage of such studies will the regression announce a difference at the 5% level?", unit: "%", min: 0, max: 100 },
    verdict(view) {
      const { f, s } = view, guess = guessed(view), p = percent(f.rates[0]);
      return `${guess === null ? "The regression’s rate is" : `You said ${number(100 * guess)}%; it is`} <b class="ols">${p}</b>. ` + (s.tau === 0 ? "The plots do not differ, so nothing is lost by ignoring them."
        : f.whole ? "It treats the plants of one plot as independent, so its interval is too short." : "It treats the differences between plots as noise, so its interval is too long, and true differences are missed.");
    },
    repeat: { noun: "study", arrays: 4,
      values: ({ s, f, d }, normal) => [(d.difference - s.effect) / f.sd, ...f.parts.map(([scale, df], k) => df && scale ? lmm.normalFromChiSquare(d.squares[k] / scale, df) : normal())] },
    note: ({ d }) => "Plots and plants are the same in both designs; only who gets which fertilizer differs. " + (d.zero ? "In the data on view the estimated variance between plots is zero, so the mixed model gives the same interval as the regression."
      : "In a balanced design the mixed model agrees with the simple test that fits the design; it has more degrees of freedom than the paired test, because it assumes that the effect is the same in every plot."),
    python(s) {
      const whole = s.design === "plots";
      return `from lmmsim import LMM, OLS, Model, assign
from lmmsim import crossed, nested, performance, study

${whole ? `plots = nested(plot=12, plant=6)
plots = assign(plots, to="plot",
    fertilizer=["usual", "new"])` : `plots = crossed(plot=12,
    fertilizer=["usual", "new"], plant=3)`}
world = Model(
    "height ~ fertilizer + (1 | plot)",
    beta={"Intercept": 20,
          "fertilizer[T.new]": <b>${s.effect}</b>},
    random={"plot": <b>${s.tau.toFixed(1)}</b>}, residual=<b>${s.sigma.toFixed(1)}</b>)
results = study(world, plots, {
    "OLS": OLS("height ~ fertilizer"),
    "LMM": LMM(world.formula),
}, replicates=1000, rng=1)
performance(results)["rejection"]`;
    },
  });
})();
