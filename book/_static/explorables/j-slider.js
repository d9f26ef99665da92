/* j-slider.js: how many groups are enough? False positives and power of four tests of a treatment that whole clinics get, by the
   number of clinics: exact, from one integral each. */
"use strict";
(() => {
  const { number, percent, text, path, circle, line, scale, clamp } = lmm;
  const SD = 10, JS = [4, 6, 8, 10, 12, 16, 20, 24, 30, 36, 44, 52, 60];
  const TESTS = [["z", "ols", "Mixed model, z"], ["lrt", "fourth", "Likelihood ratio (ML)"], ["t", "mixed", "Mixed model, t"], ["means", "third", "t test of clinic means"]];

  /** How much larger SSB must become for a likelihood ratio of `critical`, where SSB is on J and SSW on n − J of n rows. */
  function ratioTest(ssb, ssw, J, n, critical) {
    const within = (n - J) * Math.log(ssw / (n - J)), free = ssb / J >= ssw / (n - J);
    const deviance = critical + (free ? J * Math.log(ssb / J) + within : n * Math.log((ssb + ssw) / n));
    const pooled = n * Math.exp(deviance / n) - ssw;
    return (pooled / J < ssw / (n - J) ? pooled : J * Math.exp((deviance - within) / J)) - ssb;
  }

  /** For each test a function of SSB/λ and SSW/σ²: what (Z + δ)² must exceed. */
  function limits(J, m, small) {
    const n = J * m, c = { pooled: lmm.tCritical(n - 2), means: lmm.tCritical(J - 2), z: 1.959963984540054 };
    const reml = (b, w) => Math.max(b / (J - 2), (b + small * w) / (n - 2)), zero = (b, w) => b / (J - 2) <= small * w / (n - J);
    return { z: (b, w) => c.z ** 2 * reml(b, w), t: (b, w) => (zero(b, w) ? c.pooled : c.means) ** 2 * reml(b, w), means: b => c.means ** 2 * b / (J - 2),
      lrt: (b, w) => ratioTest(b, small * w, J, n, c.z ** 2) };
  }

  /** Probability of each test to reject at a difference of δ standard errors: SSB/λ + SSW/σ² has n − 2 df, its share B is beta. */
  function rejects(J, m, rho, effect, panels = 2) {
    const n = J * m, large = 1 + (m - 1) * rho, small = (1 - rho) / large, delta = effect / (SD * Math.sqrt(4 * large / n)), limit = limits(J, m, small), out = {};
    const kinkAt = divisor => { const r = small * divisor / (n - J); return r / (1 + r); };
    for (const [key] of TESTS) out[key] = key === "means" ? (delta ? lmm.tPower(lmm.tCritical(J - 2), J - 2, delta) : 0.05)
      : lmm.betaMean(B => lmm.tPower(Math.sqrt((n - 2) * limit[key](B, 1 - B)), n - 2, delta), (J - 2) / 2, (n - J) / 2, kinkAt(key === "lrt" ? J : J - 2), panels);
    return out;
  }

  const curves = new Map();                         // a curve is the same for every J, and that of the rates for every difference
  function curve(m, rho, effect) {
    const key = [m, rho, effect].join();
    if (!curves.has(key)) { if (curves.size > 60) curves.clear(); curves.set(key, JS.map(j => rejects(j, m, rho, effect, 1))); }
    return curves.get(key);
  }
  function facts({ J, m, rho, effect }) {
    const rates = curve(m, rho, 0), powers = curve(m, rho, effect), large = 1 + (m - 1) * rho;
    return { rates, powers, large, small: (1 - rho) / large, n: J * m, rate: rejects(J, m, rho, 0), power: rejects(J, m, rho, effect) };
  }

  function tally({ s: { J, m }, f, landed, store: [z, b, w] }) {
    const toB = lmm.chiSquareFromNormal(J - 2), toW = lmm.chiSquareFromNormal(f.n - J), limit = limits(J, m, f.small), counts = [0, 0, 0, 0];
    for (let i = 0; i < landed; i++) {
      const between = toB(b[i]), within = toW(w[i]), z2 = z[i] ** 2;
      TESTS.forEach(([key], k) => { if (z2 > limit[key](between, within)) counts[k]++; });
    }
    return counts;
  }

  const START = { J: 6, m: 10, rho: 0.2, effect: 6 };
  const guessed = view => view.guess !== null && Object.keys(START).every(k => view.s[k] === START[k]) ? view.guess / 100 : null;
  const points = (x, digits = 0) => `${number(x, digits)} point${x === 1 ? "" : "s"}`;

  function picture(view) {
    const { s, f, W, revealed, landed } = view, left = 38, right = W - 8, x = scale(Math.log(4), Math.log(60), left, right), X = j => x(Math.log(j));
    const panel = (top, height, most, step, values, title, known) => {
      const y = scale(0, most, top + height, top);
      let out = text(0, top - 12, title, "strong");
      for (let v = 0; v < most + 1e-9; v += step) out += path(`M${left} ${y(v)}H${right}`, v ? "grid" : "axis") + text(left - 5, y(v) + 4, `${number(100 * v)}${v ? "%" : ""}`, "soft end");
      out += path(`M${X(s.J)} ${top - 4}V${top + height}`, "thick accent");
      for (const [key, kind] of [...TESTS].reverse()) {
        if (!known) continue;                       // the power, until the reader has guessed
        out += line(JS.map((j, k) => [X(j), y(clamp(values[0][k][key], 0, most))]), `curve ${kind}`) + circle(X(s.J), y(clamp(values[1][key], 0, most)), 4.5, kind);
      }
      for (const j of [4, 6, 10, 20, 40, 60]) out += text(X(j), top + height + 17, number(j), j === 60 ? "soft end" : "soft middle");
      return out;
    };
    let out = panel(34, 120, 0.25, 0.05, [f.rates, f.rate], "False positives, by number of clinics", true);
    out += path(`M${left} ${34 + 120 * 0.8}H${right}`, "dotted");
    out += panel(218, 110, 1, 0.25, [f.powers, f.power], `Power to find ${points(s.effect)}`, revealed) + text(right, 218 + 110 + 33, "clinics J (a ratio scale)", "soft end");
    const counts = tally(view), most = Math.max(...TESTS.map(([key]) => f.rate[key])) > 0.24 ? 0.5 : 0.25;
    out += text(0, 390, `False positives and power with ${s.J} clinics`, "strong") + lmm.rates(TESTS.map(([key, kind, name], k) => ({
      name: W < 480 ? name.replace("Mixed model", "LMM").replace("Likelihood ratio (ML)", "LRT").replace("t test of clinic means", "means, t") : name, kind, truth: f.rate[key], known: true, count: counts[k], n: landed, guess: null, aside: `power ${revealed ? percent(f.power[key]) : "?"}` })), { W, top: 400, level: 0.05, most, step: most / 5 });
    return out;
  }

  lmm.explorable("j-slider", {
    loose: true,
    controls: [
      { name: "J", label: "clinics <i>J</i>", min: 4, max: 60, step: 2, value: START.J, code: s => `nested(clinic=<b>${s.J}</b>, …)` },
      { name: "m", label: "patients <i>m</i>", min: 2, max: 40, value: START.m, code: s => `nested(…, patient=<b>${s.m}</b>)` },
      { name: "rho", label: "ICC <i>ρ</i>", min: 0, max: 0.5, step: 0.02, value: START.rho, digits: 2, code: s => `sd_from_icc(<b>${s.rho.toFixed(2)}</b>, …)` },
      { name: "effect", label: "difference", min: 1, max: 15, value: START.effect, unit: " pts", code: s => `{"arm[T.new]": <b>${s.effect}</b>}` },
    ],
    height: () => 596,
    facts, picture, tally,
    sentence: ({ s, f, revealed }) => `With <b>${s.J} clinics</b> the z test announces a difference that is not there in <b class="ols">${percent(f.rate.z)}</b> of trials, the t test with Satterthwaite’s degrees of freedom in <b class="mixed">${percent(f.rate.t)}</b>. ` +
      (revealed ? `This t test finds a true difference of ${points(s.effect)} (sd of patients: 10) in <b class="mixed">${percent(f.power.t)}</b>.` : `How often does this t test find a true difference of ${points(s.effect)} (sd of patients: 10)?`),
    describe: ({ s, f, revealed }) => `Curves of false positives and of power by the number of clinics, from 4 to 60. At ${s.J} clinics: ` +
      TESTS.map(([key, , name]) => `${name}: ${percent(f.rate[key])}, power ${revealed ? percent(f.power[key]) : "not shown yet"}`).join("; ") + ".",
    predict: { ask: "There are six clinics with ten patients each, three clinics in each arm, and a true difference of 6 points; patients have a standard deviation of 10 points and an ICC of 0.2. In what percentage of trials will Satterthwaite’s t test find the difference?", unit: "%", min: 0, max: 100 },
    verdict(view) {
      const { s, f } = view, guess = guessed(view), error = SD * Math.sqrt(4 * f.large / f.n);
      return `${guess === null ? "The power is" : `You said ${number(100 * guess)}%; it is`} <b class="mixed">${percent(f.power.t)}</b>. The estimate has a standard error of about ${points(error, 1)}, and with ${s.J - 2} degrees of freedom it is significant only if it is more than ${number(lmm.tCritical(s.J - 2), 1)} of them from zero.` +
        (f.rate.z - f.rate.t < 0.01 ? "" : " The z test has more power, but it also has more false positives.");
    },
    repeat: { noun: "trial", arrays: 3 },
    note: () => "The designs are balanced, with half of the clinics in each arm. Where the ICC is small, the estimated variance between clinics is often zero; the mixed model’s test is then that of the regression, with the degrees of freedom of all patients.",
    python: (s, view) => `from lmmsim import LMM, GroupMeans, Model, assign, convert
from lmmsim import exact_power, nested, performance, study

clinics = nested(clinic=<b>${s.J}</b>, patient=<b>${s.m}</b>)
clinics = assign(clinics, to="clinic", arm=["usual", "new"])
tau, sigma = convert.sd_from_icc(<b>${s.rho.toFixed(2)}</b>, sd_total=10)

def world(difference):
    return Model("score ~ arm + (1 | clinic)",
        beta={"Intercept": 50, "arm[T.new]": difference},
        random={"clinic": tau}, residual=sigma)

trials = study(world(0), clinics, {
    "z": LMM(world(0).formula, df="z"),
    "t": LMM(world(0).formula),
    "means": GroupMeans("score ~ arm", unit="clinic"),
}, replicates=<b>${clamp(view.count, 100, 10000)}</b>, rng=1)
performance(trials)["rejection"]        # false positives
exact_power(world(<b>${s.effect}</b>), clinics)`,
  });
})();
