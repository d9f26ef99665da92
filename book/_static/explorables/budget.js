/* budget.js: how many groups, how many measurements? A budget, what a clinic and a patient cost, and the power of every design that
   the money buys: exact noncentral t. */
"use strict";
(() => {
  const { number, percent, text, path, rect, circle, line, dots, scale, clamp } = lmm;
  const SD = 10, MOST = 60;

  /** Clinics (an even number) that the budget buys with m patients each; power of the t test on J − 2 df. */
  function design(m, { budget, clinic, patient, rho, effect }) {
    const J = 2 * Math.floor(budget / (clinic + m * patient) / 2);
    if (J < 4) return { m, J, power: 0, spent: J * (clinic + m * patient), worth: 0, se: Infinity };
    const se = SD * Math.sqrt(4 * (1 + (m - 1) * rho) / (J * m));
    return { m, J, se, spent: J * (clinic + m * patient), worth: J * m / (1 + (m - 1) * rho), power: lmm.tPower(lmm.tCritical(J - 2), J - 2, effect / se) };
  }
  function facts(s) {
    const all = Array.from({ length: MOST - 1 }, (_, k) => design(k + 2, s)), best = all.reduce((a, b) => b.power > a.power + 1e-12 ? b : a);
    return { all, best, chosen: all[s.m - 2], rule: s.rho > 0 ? Math.sqrt(s.clinic / s.patient * (1 - s.rho) / s.rho) : Infinity };
  }

  function picture(view) {
    const { s, f, W, revealed } = view, left = 38, right = W - 8, x = scale(Math.log(2), Math.log(MOST), left, right), X = m => x(Math.log(m)), y = scale(0, 1, 196, 36), { chosen, best } = f;
    let out = text(0, 14, `Power to find ${number(s.effect)} points`, "strong");
    for (const v of [0, 0.25, 0.5, 0.75, 1]) out += path(`M${left} ${y(v)}H${right}`, v ? "grid" : "axis") + text(left - 5, y(v) + 4, v ? `${100 * v}%` : "0", "soft end");
    for (const m of [2, 5, 10, 20, 40, 60]) out += text(X(m), 214, number(m), m === 60 ? "soft end" : "soft middle");
    out += text(right, 231, "patients per clinic (a ratio scale)", "soft end");
    if (revealed) {
      out += dots(f.all.map(d => [X(d.m), y(d.power)]), 2.4, "mixed", 0.8);
      if (f.rule <= MOST) out += path(`M${X(Math.max(2, f.rule))} ${y(0)}V${y(1) - 8}`, "dotted") + text(clamp(X(Math.max(2, f.rule)), left + 60, right - 60), 30, `rule of thumb: ${number(f.rule, 1)}`, "soft middle halo");
      out += circle(X(best.m), y(best.power), 6, "ring third") + circle(X(best.m), y(best.power), 3, "third");
    }
    out += path(`M${X(s.m)} ${y(0)}V${y(chosen.power)}`, "accent thick") + circle(X(s.m), y(chosen.power), 5, "accent") +
      text(X(s.m) + (s.m > 20 ? -10 : 10), clamp(y(chosen.power) - 10, 46, 190), percent(chosen.power), `strong accent halo${s.m > 20 ? " end" : ""}`);

    // where the money goes, and what it buys
    const money = scale(0, s.budget, 0, W), forClinics = chosen.J * s.clinic, forPatients = chosen.J * chosen.m * s.patient;
    out += text(0, 256, `${number(chosen.J)} clinics with ${chosen.m} patients each`, "strong") + rect(0, 262, W, 14, "pale") + rect(0, 262, money(forClinics), 14, "arm-1") + rect(money(forClinics), 262, money(forPatients), 14, "accent");
    out += text(0, 294, `clinics ${number(forClinics)}`, "arm-1") + text(clamp(money(forClinics), 104, W - 200), 294, `patients ${number(forPatients)}`, "accent") + text(W, 294, `left ${number(s.budget - chosen.spent)}`, "soft end");
    // every clinic a square of patients
    const per = Math.ceil(Math.sqrt(chosen.m)), cell = clamp(Math.floor(Math.sqrt(W * 88 / Math.max(1, chosen.J))), 9, 44), row = Math.floor(W / cell), gap = (cell - 4) / per, spots = [];
    for (let j = 0; j < chosen.J; j++) for (let i = 0; i < chosen.m; i++) spots.push([(j % row) * cell + (i % per + 0.5) * gap, 308 + Math.floor(j / row) * cell + (Math.floor(i / per) + 0.5) * gap]);
    const fits = spots.filter(([, py]) => py < 406);
    out += dots(fits, Math.max(0.6, gap * 0.36), "accent") + (fits.length < spots.length ? text(W, 424, "and more", "soft end") : "");
    out += text(0, 424, chosen.J >= 4 ? `worth ${number(chosen.worth)} independent patients of ${number(chosen.J * chosen.m)}` : "too few clinics for a test", "strong");
    return out;
  }

  const START = { m: 50, rho: 0.05, clinic: 20, patient: 1, budget: 800, effect: 5 };
  const about = s => ["rho", "clinic", "patient", "budget", "effect"].every(k => s[k] === START[k]);
  lmm.explorable("budget", {
    loose: true,
    controls: [
      { name: "m", label: "patients each", min: 2, max: MOST, value: START.m, code: s => `nested(…, patient=<b>${s.m}</b>)` },
      { name: "rho", label: "ICC <i>ρ</i>", min: 0, max: 0.5, step: 0.01, value: START.rho, digits: 2, code: s => `sd_from_icc(<b>${s.rho.toFixed(2)}</b>, …)` },
      { name: "clinic", label: "a clinic costs", min: 0, max: 50, step: 1, value: START.clinic, code: s => `cost_clinic = <b>${s.clinic}</b>` },
      { name: "patient", label: "a patient costs", min: 0.5, max: 5, step: 0.5, value: START.patient, digits: 1, code: s => `cost_patient = <b>${s.patient.toFixed(1)}</b>` },
      { name: "budget", label: "budget", min: 200, max: 3000, step: 100, value: START.budget, code: s => `budget = <b>${s.budget}</b>` },
      { name: "effect", label: "difference", min: 1, max: 15, value: START.effect, unit: " pts", code: s => `{"arm[T.new]": <b>${s.effect}</b>}` },
    ],
    height: () => 432,
    facts, picture,
    answer(view) { view.s.m = view.f.best.m; },
    sentence({ s, f, revealed }) {
      const { chosen, best } = f;
      return `The money buys <b>${number(chosen.J)} clinics with ${chosen.m} patients</b> each, ${number(chosen.J * chosen.m)} in all, worth ${number(chosen.worth)} independent ones: a power of <b>${percent(chosen.power)}</b> to find ${number(s.effect)} points. ` +
        (!revealed ? "Another number of patients per clinic gives more." : best.m === chosen.m ? "No other number of patients per clinic gives more." : `With ${number(best.J)} clinics of ${best.m} it would be <b class="third">${percent(best.power)}</b>.`);
    },
    describe: ({ f, revealed }) => `Power by patients per clinic. Chosen: ${f.chosen.J} clinics with ${f.chosen.m} patients, power ${percent(f.chosen.power)}.` + (revealed ? ` Best: ${f.best.J} clinics with ${f.best.m} patients, power ${percent(f.best.power)}.` : ""),
    predict: { ask: `A clinic costs ${START.clinic} times as much as a patient, the ICC is ${START.rho}, and the budget is ${START.budget} times the cost of a patient. How many patients per clinic give the most power?`, unit: "patients", min: 2, max: MOST },
    verdict({ s, f, guess }) {
      const other = guess !== null && about(s) ? design(clamp(Math.round(guess), 2, MOST), s) : null;
      return (other ? `You said ${number(other.m)} (${number(other.J)} clinics, power ${percent(other.power)}); ` : "") +
        `${other ? "the" : "The"} best design has <b class="third">${f.best.m}</b> patients in each of ${number(f.best.J)} clinics: ${percent(f.best.power)}. ` +
        (f.rule === Infinity ? "Without a correlation within clinics almost only the number of patients counts."
          : `The rule of thumb √(cost ratio × (1 − ρ)/ρ) says ${number(f.rule, 1)}, and ${f.all.filter(d => d.power > f.best.power - 0.02).length} numbers of patients come within 2 percentage points of the best power.`);
    },
    note: () => "Costs are in any unit of money. Half of the clinics are in each arm, and the total standard deviation is 10 points. The test is the t test on J − 2 degrees of freedom, as that of the mixed model in a balanced design whose estimated variance is not zero. The power jumps where one more pair of clinics becomes affordable.",
    python: s => `from lmmsim import Model, assign, convert, exact_power, nested

cost_clinic, cost_patient = <b>${s.clinic}</b>, <b>${s.patient.toFixed(1)}</b>
budget, m = <b>${s.budget}</b>, <b>${s.m}</b>
J = 2 * int(budget / (cost_clinic + m * cost_patient) / 2)
tau, sigma = convert.sd_from_icc(<b>${s.rho.toFixed(2)}</b>, sd_total=10)
trial = assign(nested(clinic=J, patient=m), to="clinic",
    arm=["usual", "new"])
world = Model("score ~ arm + (1 | clinic)",
    beta={"Intercept": 50, "arm[T.new]": <b>${s.effect}</b>},
    random={"clinic": tau}, residual=sigma)
power = exact_power(world, trial)
power.loc["arm[T.new]"]`,
  });
})();
