/* origin.js: where time is zero. Moving the origin changes what the intercept means, its sd and its correlation with the slope;
   the lines stay where they are. */
"use strict";
(() => {
  const { number, text, path, rect, circle, line, dots, scale, clamp } = lmm;
  const CHILDREN = 16, LAST = 8, BETA = [60, 4];

  /** sd of the lines in week t, and what the model says when time is counted from week `zero`: G turned by [[1, c], [0, 1]]. */
  function facts({ zero, sd0, sd1, corr }) {
    const cov = corr * sd0 * sd1, sdAt = t => Math.sqrt(Math.max(0, sd0 ** 2 + 2 * cov * t + sd1 ** 2 * t ** 2));
    const corrAt = t => sdAt(t) > 0 && sd1 > 0 ? (cov + sd1 ** 2 * t) / (sdAt(t) * sd1) : 0;
    return { sdAt, corrAt, sd: sdAt(zero), corr: corrAt(zero), mean: BETA[0] + BETA[1] * zero, narrowest: sd1 > 0 ? -cov / sd1 ** 2 : 0, last: corrAt(LAST) };
  }

  const look = ({ sd0, sd1, corr }, { u: z }) => Array.from({ length: CHILDREN }, (_, j) => {
    const r = sd0 > 0 ? corr : 0;
    return [sd0 * z[2 * j], sd1 * (r * z[2 * j] + Math.sqrt(1 - r * r) * z[2 * j + 1])];
  });

  function picture({ s, f, d, W, revealed }) {
    const left = 30, right = W - 12, x = scale(0, LAST, left + 12, right), at = (u, t) => BETA[0] + u[0] + (BETA[1] + u[1]) * t;
    const ends = d.flatMap(u => [at(u, 0), at(u, LAST)]), y = scale(Math.min(30, ...ends) - 6, Math.max(140, ...ends) + 6, 240, 22);
    let out = "";
    for (const v of [0, 40, 80, 120, 160, 200]) if (y(v) > 20 && y(v) < 240) out += path(`M${left} ${y(v)}H${right}`, "grid") + text(left - 5, y(v) + 4, number(v), "soft end");
    out += text(0, 14, "score", "soft");
    d.forEach(u => { out += line([0, LAST].map(t => [x(t), y(at(u, t))]), "soft"); });
    out += line([0, LAST].map(t => [x(t), y(BETA[0] + BETA[1] * t)]), "thick dashed");
    // the axis stands where time is zero
    const x0 = x(s.zero), low = y(f.mean - f.sd), high = y(f.mean + f.sd), late = s.zero > 6;
    out += path(`M${x0} 18V246`, "accent thick") + d.map(u => circle(x0, y(at(u, s.zero)), 3.6, "accent")).join("") +
      path(`M${x0 + (late ? -9 : 9)} ${low}V${high}M${x0 + (late ? -13 : 5)} ${low}h8M${x0 + (late ? -13 : 5)} ${high}h8`, "thick ink") +
      text(x0 + (late ? -16 : 16), Math.max(34, high - 6), `± ${number(f.sd, 1)}`, `strong halo${late ? " end" : ""}`);
    for (let t = 0; t <= LAST; t++) out += text(x(t), 264, number(t - s.zero), t === s.zero ? "strong middle accent" : "soft middle");
    out += text((left + right) / 2, 282, s.zero ? `weeks, counted from week ${s.zero}` : "weeks", "soft middle");

    // sd of the lines along time
    const half = W < 480 ? W : (W - 40) / 2, top = 322, most = Math.max(10, f.sdAt(0), f.sdAt(LAST)) * 1.15, a = scale(0, LAST, 30, half - 8), b = scale(0, most, top + 120, top + 16);
    out += text(0, top, "sd of levels, by where zero is", "strong") + path(`M30 ${b(0)}H${half - 8}`, "axis");
    for (const v of most > 24 ? [10, 20, 30] : [5, 10, 15, 20]) if (v < most) out += path(`M30 ${b(v)}H${half - 8}`, "grid") + text(25, b(v) + 4, number(v), "soft end");
    const shown = revealed ? LAST : s.zero + 0.001;
    out += line(Array.from({ length: 65 }, (_, i) => i / 8).filter(t => t <= shown).map(t => [a(t), b(f.sdAt(t))]), "curve ink") + circle(a(s.zero), b(f.sd), 5, "accent");
    if (revealed && f.narrowest > 0 && f.narrowest < LAST) out += path(`M${a(f.narrowest)} ${b(f.sdAt(f.narrowest))}V${b(0)}`, "thick dashed") + text(a(f.narrowest), b(f.sdAt(f.narrowest)) - 8, "narrowest", "soft middle halo");
    for (const t of [0, 2, 4, 6, 8]) out += text(a(t), top + 137, number(t), "soft middle");

    // level and slope of each child
    const sTop = W < 480 ? top + 178 : top, sLeft = W < 480 ? 0 : half + 40, q = scale(-7.5, 7.5, sTop + 120, sTop + 16);
    const levels = d.map(u => u[0] + u[1] * s.zero), wide = Math.max(14, ...levels.map(Math.abs)) * 1.05, p = scale(-wide, wide, sLeft + 20, sLeft + half - 8);
    out += text(sLeft, sTop, `level and slope: correlation ${number(f.corr, 2)}`, "strong") + path(`M${p(0)} ${sTop + 14}V${sTop + 122}M${sLeft + 20} ${q(0)}H${sLeft + half - 8}`, "grid") +
      dots(d.map((u, j) => [p(levels[j]), q(u[1])]), 3.6, "accent") +
      text(sLeft + half - 8, sTop + 137, `level in week ${s.zero} above the mean`, "soft end") + text(sLeft, sTop + 22, "slope", "soft small");
    return out;
  }

  const START = { zero: 0, sd0: 8, sd1: 2, corr: -0.3 };
  lmm.explorable("origin", {
    loose: true,
    controls: [
      { name: "zero", label: "zero at week", min: 0, max: LAST, value: START.zero, code: s => `week - <b>${s.zero}</b>` },
      { name: "sd0", label: "level sd", min: 0, max: 12, step: 0.5, value: START.sd0, digits: 1, unit: " pts", code: s => `{"Intercept": <b>${s.sd0.toFixed(1)}</b>, …}` },
      { name: "sd1", label: "slope sd", min: 0, max: 3, step: 0.1, value: START.sd1, digits: 1, unit: " pts/wk", code: s => `{…, "week": <b>${s.sd1.toFixed(1)}</b>}` },
      { name: "corr", label: "correlation", min: -0.9, max: 0.9, step: 0.1, value: START.corr, digits: 1, code: s => `corr=<b>${s.corr.toFixed(1)}</b>` },
    ],
    height: W => W < 480 ? 646 : 464,
    draws: ({ u, per }) => ({ u: u.map(z => z / per) }),
    facts, look, picture,
    answer(view) { view.s.zero = LAST; },
    sentence: ({ s, f }) => `Counted from week <b>${s.zero}</b>, the intercept is the level in that week: on average ${number(f.mean)} points, with a standard deviation of <b>${number(f.sd, 1)}</b> and a correlation with the slope of <b>${number(f.corr, 2)}</b>. ` +
      `The slopes, their sd of ${number(s.sd1, 1)}, the lines and the fit are the same for every origin.`,
    describe: ({ s, f }) => `Sixteen straight lines of children over weeks 0 to 8, and a vertical line at week ${s.zero}, where time is zero. There the levels have a standard deviation of ${number(f.sd, 1)} and a correlation of ${number(f.corr, 2)} with the slopes.`,
    predict: { ask: `In week 0 levels and slopes have a correlation of ${number(START.corr, 1)}. If time is counted from week ${LAST} instead, what will their correlation be?`, unit: "(−1 to 1)", min: -1, max: 1 },
    verdict({ s, f, guess }) {
      const same = ["sd0", "sd1", "corr"].every(k => s[k] === START[k]);
      return (guess !== null && same ? `You said ${number(guess, 2)}; counted` : "Counted") + ` from week ${LAST} the correlation is <b>${number(f.last, 2)}</b>. ` +
        (s.sd1 === 0 ? "Parallel lines have the same spread everywhere."
          : f.narrowest > 0 && f.narrowest < LAST ? `The lines are closest together in week ${number(f.narrowest, 1)}, where the correlation is 0; after it, those who grow faster are ahead.`
            : "The correlation says on which side of zero the lines are closest together.");
    },
    note: () => "The sliders set the level sd and the correlation in week 0. A model that sets the correlation to 0, (1 | child) + (0 + week | child), is therefore a different model for every origin; a model with the correlation is the same for every origin.",
    python: s => `from lmmsim import LMM, Model, Random, crossed, simulate

world = Model("score ~ week + (week | child)",
    beta={"Intercept": 60, "week": 4},
    random={"child": Random(
        sd={"Intercept": <b>${s.sd0.toFixed(1)}</b>, "week": <b>${s.sd1.toFixed(1)}</b>},
        corr=<b>${s.corr.toFixed(1)}</b>)},
    residual=3)
design = crossed(child=16, week=[0, 1, 2, 3, 4, 5, 6, 7, 8])
children = simulate(world, design, rng=1).data
moved = children.assign(week=children["week"] - <b>${s.zero}</b>)
fit = LMM("score ~ week + (week | child)")(moved)
fit.criterion, fit.sd`,
  });
})();
