/* effective-n.js: how many observations do you really have?
   A world of schools in which the two sectors do not differ: score = 50 + 10 (√ρ u_school + √(1−ρ) e_pupil). The draws
   u and e are standard normal and stay put; the sliders only recombine them. */
"use strict";
(() => {
  const { number, percent, pValue, text, path, rect, circle, dots, scale, clamp } = lmm;
  const MEAN = 50, SD = 10, PUPILS = 40, ARMS = ["public", "Catholic"];
  const NAMES = ["Ordinary regression", "Mixed model"], KINDS = ["ols", "mixed"];

  /** What does not depend on chance: true and believed spread of the difference, critical values, exact rates. */
  function facts({ rho, m, J }) {
    const n = J * m, effect = 1 + (m - 1) * rho, small = (1 - rho) / effect, ols = lmm.tCritical(n - 2), mixed = lmm.tCritical(J - 2);
    const f = { n, effect, small, ols, mixed, worth: n / effect, rate: 0.05, rateMixed: 0.05, zero: 0 };
    const believed = ((J - 2) * effect + (n - J) * (1 - rho)) / (n - 2);      // mean of OLS's s² where the variance is 1
    f.sd = SD * Math.sqrt(4 * effect / n);
    f.sdOls = SD * Math.sqrt(4 * believed / n);
    if (m === 1) return f;
    /* SSB/λ + SSW/σ² is chi-square on n − 2 df and independent of the share B of the first, which is beta; given B each
       test is a t test with another critical value. REML's variance is zero where B is below `kink`. */
    const ratio = small * (J - 2) / (n - J), kink = ratio / (1 + ratio), a = (J - 2) / 2, b = (n - J) / 2;
    const pooled = B => lmm.tTails(ols * Math.sqrt(B + small * (1 - B)), n - 2);
    f.rate = lmm.betaMean(pooled, a, b);
    f.rateMixed = lmm.betaMean(B => B < kink ? pooled(B) : lmm.tTails(mixed * Math.sqrt(B * (n - 2) / (J - 2)), n - 2), a, b, kink);
    f.zero = lmm.betaCdf(kink, a, b);
    return f;
  }

  /** School means, their difference, the two sums of squares and both analyses of one survey. School j is in arm j % 2. */
  function look({ rho, m, J }, { school, pupil }, f) {
    const means = [], arm = [0, 0];
    let within = 0, between = 0;
    for (let j = 0; j < J; j++) {
      let sum = 0, squares = 0;
      for (let i = 0; i < m; i++) { const e = pupil[j * PUPILS + i]; sum += e; squares += e * e; }
      within += SD * SD * (1 - rho) * (squares - sum * sum / m);
      means.push(MEAN + SD * (Math.sqrt(rho) * school[j] + Math.sqrt(1 - rho) * sum / m));
      arm[j % 2] += means[j] / (J / 2);
    }
    for (let j = 0; j < J; j++) between += m * (means[j] - arm[j % 2]) ** 2;
    const difference = arm[1] - arm[0], fit = lmm.oneWay({ between, within, groups: J, size: m, terms: 2 });
    const analyses = [[(between + within) / (f.n - 2), f.n - 2, f.ols], [fit.scale, fit.df, fit.zero ? f.ols : f.mixed]].map(([s2, df, critical]) => {
      const se = Math.sqrt(4 * s2 / f.n);
      return { half: critical * se, p: lmm.tTails(Math.abs(difference) / se, df) };
    });
    return { means, arm, between, within, difference, analyses };
  }

  /** Which analysis announces a difference in each survey of the store? 0 none, 1 only OLS, 2 only mixed, 3 both. */
  function judge({ s, f, landed, store: [z, b, w] }) {
    const toBetween = lmm.chiSquareFromNormal(s.J - 2), toWithin = lmm.chiSquareFromNormal(f.n - s.J);
    const verdicts = new Uint8Array(landed);
    for (let i = 0; i < landed; i++) {
      const z2 = z[i] ** 2, between = toBetween(b[i]), within = f.small * toWithin(w[i]);
      const ols = z2 > f.ols ** 2 * (between + within) / (f.n - 2);
      const zero = between / (s.J - 2) <= within / (f.n - s.J);
      verdicts[i] = ols + 2 * (zero || s.m === 1 ? ols : z2 > f.mixed ** 2 * between / (s.J - 2));
    }
    return verdicts;
  }

  const reaches = [1.5, 3, 6, 10, 20, 40], ticks = [0.5, 1, 2, 5, 5, 10];

  function picture(view) {
    const { s, f, d, draws, W, revealed, landed } = view, { rho, m, J } = s;
    let out = "";

    // every pupil a dot in the column of its school
    const y = scale(20, 80, 182, 24), left = 24, right = W - 58, gap = 12, half = (right - left - gap) / 2, column = 2 * half / J;
    const jitter = Math.min(column * 0.62, 40), radius = clamp(3.2 * Math.sqrt(jitter / m), 0.9, Math.max(0.9, Math.min(2.6, column * 0.2)));
    const points = [[], []], lines = ["", ""], w = Math.min(column * 0.42, 28);
    for (let j = 0; j < J; j++) {
      const x = left + (j % 2) * (half + gap) + ((j >> 1) + 0.5) * column;
      for (let i = 0; i < m; i++) {
        const score = MEAN + SD * (Math.sqrt(rho) * draws.school[j] + Math.sqrt(1 - rho) * draws.pupil[j * PUPILS + i]);
        points[j % 2].push([x + (((i + 1) * 0.618) % 1 - 0.5) * jitter, y(clamp(score, 17, 83))]);
      }
      lines[j % 2] += `M${(x - w).toFixed(1)} ${y(d.means[j]).toFixed(1)}h${(2 * w).toFixed(1)}`;
    }
    for (const value of [30, 50, 70]) out += path(`M${left} ${y(value)}H${right}`, "grid") + text(left - 5, y(value) + 4, String(value), "soft end");
    out += text(0, 30, "score", "soft");
    for (const k of [0, 1]) {
      const start = left + k * (half + gap);
      out += dots(points[k], radius, `arm-${k}`, 0.5) + path(lines[k], `thick arm-${k}`) + path(`M${start} ${y(d.arm[k])}H${right + 10}`, `arm-${k}`) +
        text(start + half / 2, 12, `${J / 2} ${ARMS[k]} schools`, `strong middle arm-${k}`);
    }
    out += path(`M${right + 10} ${y(d.arm[0])}V${y(d.arm[1])}`, "thick") + text(right + 17, (y(d.arm[0]) + y(d.arm[1])) / 2 + 2, number(d.difference, 1), "strong") +
      text(right + 17, (y(d.arm[0]) + y(d.arm[1])) / 2 + 17, "points", "soft");

    // what they are worth
    out += rect(0, 198, W, 6, "pale") + rect(0, 198, W / f.effect, 6, "ink") + text(0, 219, `worth ${number(f.worth)} independent pupils`, "strong") +
      text(W, 219, `${number(f.n)} tested`, "soft end");

    // two intervals and the pile of new surveys, on one axis
    const step = reaches.findIndex(x => x > 3.3 * f.sd), reach = reaches[step < 0 ? 5 : step], x = scale(-reach, reach, 0, W), base = 424, middle = W / 2;
    out += path(`M${middle} 236V${base}`, "dotted");
    d.analyses.forEach(({ half, p }, k) => {
      const row = 262 + 38 * k, at = v => clamp(x(d.difference + v), 2, W - 2);
      out += text(0, row - 12, NAMES[k], `strong halo ${KINDS[k]}`) + text(W, row - 12, `${number(d.difference, 1)} ± ${number(half, 1)}, ${pValue(p)}`, "soft halo end") +
        path(`M${at(-half)} ${row}H${at(half)}`, `wide ${KINDS[k]}`) + circle(at(0), row, 4.5, `open ${KINDS[k]}`);
    });
    const sd = x(f.sd) - middle, sdOls = x(f.sdOls) - middle, alike = sd < 1.12 * sdOls, topOls = 84, top = topOls * sdOls / sd;      // equal areas
    const verdicts = judge(view), [piled] = lmm.pile({ n: landed, at: i => middle + view.store[0][i] * sd, kind: i => Math.min(verdicts[i], 2),
      kinds: ["bar", ...KINDS], left: 0, right: W, base, area: top * sd * 2.5066 });
    out += piled + lmm.bell(middle, base, sdOls, topOls, Math.min(4 * sdOls, middle), "curve dashed ols");
    if (!alike || !revealed) out += text(middle + Math.max(2, Math.min(sdOls * 0.6 + 10, middle - 142)), base - topOls + 10, "regression expects", "strong halo ols");
    if (revealed) {
      const at = Math.max(2, Math.min(sd * 1.35, middle - 142));
      out += lmm.bell(middle, base, sd, top, Math.min(4 * sd, middle), "curve mixed") +
        text(middle + at, base - top * Math.exp(-at * at / (2 * sd * sd)) - 9, alike ? "both expect" : "mixed model expects", "strong halo mixed");
    }
    out += text(0, 346, landed ? `${number(landed)} new survey${landed === 1 ? "" : "s"},` : "new surveys", "soft halo") + text(0, 362, landed ? "significant in" : "will land here", "soft halo");
    if (landed) out += text(0, 378, "regression only", "strong halo ols") + text(0, 394, "mixed model too", "strong halo mixed");
    const tick = ticks[step < 0 ? 5 : step];
    for (let i = -4; i <= 4; i++) if (Math.abs(i * tick) < reach * 0.95) out += text(x(i * tick), base + 16, number(i * tick, tick < 1 && i % 2 ? 1 : 0), "soft middle");
    out += path(`M0 ${base + 0.5}H${W}`, "axis") + text(middle, base + 32, "Catholic − public (points); the truth is 0", "soft middle");

    // how often each analysis announces a difference
    const [ols, mixed] = tally(view, verdicts);
    out += text(0, 486, "False positives, in percent of surveys", "soft") + lmm.rates([
      { name: NAMES[0], kind: "ols", truth: f.rate, known: revealed, count: ols, n: landed, guess: guessed(view) },
      { name: NAMES[1], kind: "mixed", truth: f.rateMixed, count: mixed, n: landed },
    ], { W, top: 494, level: 0.05 });
    return out;
  }

  const tally = (view, verdicts = judge(view)) => [1, 2].map(bit => verdicts.reduce((sum, v) => sum + (v & bit ? 1 : 0), 0));
  const START = { rho: 0.2, m: 10, J: 20 };
  const guessed = view => view.guess !== null && Object.keys(START).every(k => view.s[k] === START[k]) ? view.guess / 100 : null;   // it was about these

  lmm.explorable("effective-n", {
    controls: [
      { name: "rho", label: "ICC <i>ρ</i>", min: 0, max: 0.5, step: 0.01, value: START.rho, digits: 2, code: s => `sd_from_icc(<b>${s.rho.toFixed(2)}</b>, …)` },
      { name: "m", label: "pupils per school <i>m</i>", min: 1, max: PUPILS, value: START.m, code: s => `nested(…, pupil=<b>${s.m}</b>)` },
      { name: "J", label: "schools <i>J</i>", min: 4, max: 60, step: 2, value: START.J, code: s => `nested(school=<b>${s.J}</b>, …)` },
    ],
    height: () => 604,
    draws: ({ school, pupil, per }) => ({ school: school.map(z => z / per), pupil: pupil.map(z => z / per) }),
    facts, look, picture, tally,
    sentence: ({ s, f, revealed }) => `For a comparison of schools, <b>${number(f.n)} pupils</b> in ${s.J} schools are worth <b>${number(f.worth)} independent</b> pupils. ` + (revealed
      ? `An ordinary regression announces a difference that is not there in <b class="ols">${percent(f.rate)}</b> of such surveys.` : "How often does an ordinary regression announce a difference that is not there?"),
    describe: ({ s, f, d, revealed, landed }) => `${number(f.n)} scores in ${s.J} schools. The Catholic schools average ${number(d.difference, 1)} points more. ` +
      NAMES.map((name, k) => `${name}: plus or minus ${number(d.analyses[k].half, 1)}, ${pValue(d.analyses[k].p)}. `).join("") +
      `False positives: ordinary regression ${revealed ? percent(f.rate) : "not shown yet"}, mixed model ${percent(f.rateMixed)}. ${number(landed)} new surveys.`,
    predict: { ask: "The two kinds of school do not differ. In what percentage of such surveys will the ordinary regression announce a difference at the 5% level?", unit: "%", min: 0, max: 100 },
    verdict(view) {
      const { f } = view, guess = guessed(view);
      return `${guess === null ? "The regression announces a difference in" : `You said ${number(100 * guess)}%; it is`} <b class="ols">${percent(f.rate)}</b>${guess === null ? " of surveys" : ""}. ` +
        (f.sd < 1.02 * f.sdOls ? "The differences are about as large as the regression expects, so its rate of false positives is right."
          : `Chance makes differences ${number(f.sd / f.sdOls, 1)} times as large as the regression expects, because it counts ${number(f.n)} pupils and not the ${number(f.worth)} that they are worth.`);
    },
    repeat: {
      noun: "survey", arrays: 3,
      values: ({ s, f, d }, normal) => [d.difference / f.sd, lmm.normalFromChiSquare(d.between / (SD * SD * f.effect), s.J - 2),
        s.m > 1 ? lmm.normalFromChiSquare(d.within / (SD * SD * (1 - s.rho)), f.n - s.J) : normal()],
    },
    note: ({ s, f }) => "The first survey was chosen because it misleads; all others are drawn at random. " + (s.m === 1 ? "With one pupil per school the two analyses are the same."
      : `The mixed model gives every school a level of its own. Here its test is the t test of the school means, except in the ${f.zero < 0.0005 ? "very few" : percent(f.zero) + " of"} surveys in which the estimated variance between schools is zero; in these it is the test of the regression.`),
    python: (s, view) => `from lmmsim import LMM, OLS, Model, assign, convert
from lmmsim import nested, performance, study

schools = nested(school=<b>${s.J}</b>, pupil=<b>${s.m}</b>)
schools = assign(schools, to="school",
    sector=["public", "Catholic"])
tau, sigma = convert.sd_from_icc(
    <b>${s.rho.toFixed(2)}</b>, sd_total=10)
world = Model(
    "score ~ sector + (1 | school)",
    beta={"Intercept": 50,
          "sector[T.Catholic]": 0},
    random={"school": tau}, residual=sigma)
surveys = study(world, schools, {
    "OLS": OLS("score ~ sector"),
    "LMM": LMM(world.formula),
}, replicates=<b>${clamp(view.count, 100, 10000)}</b>, rng=1)
performance(surveys)["rejection"]`,
  });
})();
