/* two-slopes.js: within and between schools a predictor can have two slopes. What a regression and a random intercept make of
   them are two weighted means. */
"use strict";
(() => {
  const { number, percent, text, path, circle, line, dots, scale, clamp } = lmm;
  const J = 10, M = 10, N = J * M;

  const facts = () => ({});

  /** Slopes of the data on view. In a balanced design everything is in six sums: of squares and products, between and within. */
  function look({ within: bw, between: bb, spread, tau }, { level, dev, u, eps }) {
    const x = dev.map((z, r) => spread * level[Math.floor(r / M)] + z), mean = v => v.reduce((a, b) => a + b, 0) / v.length;
    const groups = v => Array.from({ length: J }, (_, j) => mean(v.slice(j * M, (j + 1) * M)));
    const xm = groups(x), y = x.map((v, r) => { const j = Math.floor(r / M); return 50 + bb * xm[j] + bw * (v - xm[j]) + tau * u[j] + 2 * eps[r]; }), ym = groups(y);
    const X = mean(xm), Y = mean(ym), sum = (n, f) => Array.from({ length: n }, (_, i) => f(i)).reduce((a, b) => a + b, 0), own = r => Math.floor(r / M);
    const B = { xx: M * sum(J, j => (xm[j] - X) ** 2), xy: M * sum(J, j => (xm[j] - X) * (ym[j] - Y)), yy: M * sum(J, j => (ym[j] - Y) ** 2) };
    const S = { xx: sum(N, r => (x[r] - xm[own(r)]) ** 2), xy: sum(N, r => (x[r] - xm[own(r)]) * (y[r] - ym[own(r)])), yy: sum(N, r => (y[r] - ym[own(r)]) ** 2) };
    // REML of y ~ x + (1 | school): ψ = σ²/(σ² + mτ²) is the weight of what is between schools; golden section on its logarithm
    const criterion = l => { const p = Math.exp(l), xx = S.xx + p * B.xx; return (N - 2) * Math.log(S.yy + p * B.yy - (S.xy + p * B.xy) ** 2 / xx) - (J - 1) * l + Math.log(xx); };
    const golden = (Math.sqrt(5) - 1) / 2;
    let low = -12, high = 0;
    for (let k = 0; k < 60; k++) { const a = high - golden * (high - low), b = low + golden * (high - low); criterion(a) < criterion(b) ? high = b : low = a; }
    let psi = Math.exp((low + high) / 2);
    if (criterion(0) <= criterion(Math.log(psi)) + 1e-9) psi = 1;
    const slopes = { within: S.xy / S.xx, between: B.xy / B.xx, ols: (S.xy + B.xy) / (S.xx + B.xx), mixed: (S.xy + psi * B.xy) / (S.xx + psi * B.xx) };
    return { x, y, xm, ym, X, Y, psi, slopes, weights: { ols: B.xx / (S.xx + B.xx), mixed: psi * B.xx / (S.xx + psi * B.xx) }, icc: B.xx / (B.xx + S.xx) };
  }

  const LINES = [["between", "fourth", "between schools"], ["ols", "ols", "regression"], ["mixed", "mixed", "random intercept"], ["within", "third", "within schools"]];

  function picture(view) {
    const { d, W, revealed } = view, { slopes } = d;
    const rx = Math.max(3, ...d.x.map(v => Math.abs(v - d.X))) * 1.03, ry = Math.max(4, ...d.y.map(v => Math.abs(v - d.Y))) * 1.03;
    const left = 30, right = W - 6, x = scale(-rx, rx, left, right), y = scale(-ry, ry, 256, 22), at = (v, w) => [x(v - d.X), y(w - d.Y)];
    let out = "", lines = "";
    const tick = ry > 14 ? 10 : ry > 6 ? 5 : 2;
    for (let v = Math.ceil((d.Y - ry) / tick) * tick; v < d.Y + ry; v += tick) out += path(`M${left} ${y(v - d.Y)}H${right}`, "grid") + text(left - 5, y(v - d.Y) + 4, number(v), "soft end");
    out += text(0, 12, "score", "soft") + text(right, 276, "prior knowledge (sd within schools: 1)", "soft end");
    out += dots(d.x.map((v, r) => at(v, d.y[r])), 2, "soft", 0.6);
    for (let j = 0; j < J; j++) {
      const xs = d.x.slice(j * M, (j + 1) * M), a = Math.min(...xs), b = Math.max(...xs);
      lines += [[a, "M"], [b, "L"]].map(([v, c]) => { const [px, py] = at(v, d.ym[j] + slopes.within * (v - d.xm[j])); return `${c}${px.toFixed(1)} ${py.toFixed(1)}`; }).join("");
    }
    out += path(lines, "third thick") + d.xm.map((v, j) => circle(...at(v, d.ym[j]), 4.5, "open fourth")).join("");
    const through = (slope, kind) => { const reach = Math.min(rx, ry / Math.max(Math.abs(slope), 1e-9)); return line([[x(-reach), y(-reach * slope)], [x(reach), y(reach * slope)]], kind); };
    out += through(slopes.between, "fourth dashed") + through(slopes.ols, "curve ols") + (revealed ? through(slopes.mixed, "curve mixed") : "");

    // the four slopes on one line, and the weights
    const values = LINES.map(([key]) => slopes[key]), far = Math.max(2, ...values.map(Math.abs)) * 1.12, s = scale(-far, far, 8, W - 8), base = 402;
    out += text(0, 308, "Four slopes (points per sd of knowledge)", "soft") + path(`M0 ${base + 0.5}H${W}`, "axis");
    for (let v = -Math.floor(far); v <= far; v += far > 4 ? 2 : 1) out += path(`M${s(v)} ${base}v5`, "axis") + text(s(v), base + 19, number(v), "soft middle");
    LINES.forEach(([key, kind, name], k) => {
      if (key === "mixed" && !revealed) return;
      const py = 330 + 19 * k, px = s(slopes[key]), end = slopes[key] > 0;
      out += path(`M${px} ${py + 4}V${base}`, kind) + circle(px, py, 4.5, kind) + text(px + (end ? -9 : 9), py + 4, `${name} ${number(slopes[key], 2)}`, `strong halo ${kind}${end ? " end" : ""}`);
    });
    const guess = guessed(view);
    if (guess !== null) out += path(`M${s(clamp(guess, -far, far))} ${base + 1}l-5 9h10z`, "area ink") + text(s(clamp(guess, -far, far)), base + 34, "you", "middle");
    out += text(0, 448, "Weight of the slope between schools", "soft");
    [["ols", "regression"], ["mixed", "random intercept"]].forEach(([key, name], k) => {
      const known = key === "ols" || revealed, py = 472 + 36 * k, w = d.weights[key];
      out += text(0, py - 6, `${name} ${known ? percent(w) : "?"}`, `strong ${key}`) + `<rect x="0" y="${py}" width="${W}" height="8" class="pale"/>` + (known ? `<rect x="0" y="${py}" width="${(W * w).toFixed(1)}" height="8" class="${key}"/>` : "");
    });
    return out;
  }

  const START = { within: -1, between: 2, spread: 1, tau: 1 };
  const guessed = view => view.guess !== null && Object.keys(START).every(k => view.s[k] === START[k]) ? view.guess : null;

  lmm.explorable("two-slopes", {
    loose: true,
    controls: [
      { name: "within", label: "slope within", min: -3, max: 3, step: 0.5, value: START.within, digits: 1, code: s => `{"within": <b>${s.within.toFixed(1)}</b>}` },
      { name: "between", label: "slope between", min: -3, max: 3, step: 0.5, value: START.between, digits: 1, code: s => `{"between": <b>${s.between.toFixed(1)}</b>}` },
      { name: "spread", label: "sd of means", min: 0.2, max: 3, step: 0.1, value: START.spread, digits: 1, code: s => `level=normal(sd=<b>${s.spread.toFixed(1)}</b>)` },
      { name: "tau", label: "sd between <i>τ</i>", min: 0, max: 4, step: 0.2, value: START.tau, digits: 1, unit: " pts", code: s => `{"school": <b>${s.tau.toFixed(1)}</b>}` },
    ],
    height: () => 524,
    draws: ({ per, ...rest }) => Object.fromEntries(Object.entries(rest).map(([k, z]) => [k, z.map(v => v / per)])),
    facts, look, picture,
    sentence: view => { const { s, d } = view; return `Within schools the slope is <b class="third">${number(d.slopes.within, 2)}</b>, between schools <b class="fourth">${number(d.slopes.between, 2)}</b>. The one slope of the regression is a weighted mean of the two, <b class="ols">${number(d.slopes.ols, 2)}</b>${view.revealed ? `, and so is that of the random intercept, <b class="mixed">${number(d.slopes.mixed, 2)}</b>` : ""}. ` +
      (s.within === s.between ? "Here both slopes are the same in truth, so a weighted mean of them is right." : "Here the two slopes answer different questions, and a weighted mean of them answers neither."); },
    describe: ({ d, revealed }) => `A hundred pupils of ten schools: score against prior knowledge, a line within each school and a line through the school means. Slopes: within ${number(d.slopes.within, 2)}, between ${number(d.slopes.between, 2)}, regression ${number(d.slopes.ols, 2)}` + (revealed ? `, random intercept ${number(d.slopes.mixed, 2)}.` : "."),
    predict: { ask: "The mixed model y ~ x + (1 | school) has only one slope for x, which is prior knowledge. What will this slope be?", unit: "points per sd", min: -5, max: 5 },
    verdict(view) {
      const { d } = view, guess = guessed(view), w = d.weights;
      return `${guess === null ? "The mixed model’s slope is" : `You said ${number(guess, 2)}; it is`} <b class="mixed">${number(d.slopes.mixed, 2)}</b>. ` +
        (d.psi === 1 ? "The estimated variance between schools is zero, so it is the slope of the regression."
          : `It gives the slope between schools a weight of ${percent(w.mixed)} instead of ${percent(w.ols)}, because the means of schools also contain the schools’ own levels. With more pupils per school it would come nearer to the slope within schools.`);
    },
    note: () => "The remedy is to ask for both: y ~ within + between + (1 | school), where “between” is the mean of x in a school, and “within” is the difference between a pupil’s x and this mean.",
    python: s => `from lmmsim import LMM, OLS, Model
from lmmsim import covariate, draws, nested, simulate

pupils = nested(school=10, pupil=10)
pupils = covariate(pupils, at="school",
    level=draws.normal(sd=<b>${s.spread.toFixed(1)}</b>), rng=1)
pupils = covariate(pupils, at="pupil",
    dev=draws.normal(), rng=2)
pupils["x"] = pupils["level"] + pupils["dev"]
pupils["between"] = pupils.groupby("school")["x"].transform("mean")
pupils["within"] = pupils["x"] - pupils["between"]
world = Model("y ~ within + between + (1 | school)",
    beta={"Intercept": 50, "within": <b>${s.within.toFixed(1)}</b>,
          "between": <b>${s.between.toFixed(1)}</b>},
    random={"school": <b>${s.tau.toFixed(1)}</b>}, residual=2)
data = simulate(world, pupils, rng=3).data
mixed = LMM("y ~ x + (1 | school)")(data)
ols = OLS("y ~ x")(data)
both = LMM("y ~ within + between + (1 | school)")(data)`,
  });
})();
