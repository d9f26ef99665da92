/* matrix.js: what is in Y = Xβ + Zu + ε? Three plots, four weeks, twelve rows; every matrix of the model, and one row as a sum.
   The draws are those of simulate(growth, design, rng=1), whatever the sliders say. */
"use strict";
(() => {
  const { number, text, path, rect, circle, line, dots, scale, clamp } = lmm;
  const PLOTS = 3, WEEKS = 4, N = PLOTS * WEEKS, BETA = [10, 2], ARM = ["ols", "mixed", "third"];
  const plot = i => Math.floor(i / WEEKS), week = i => i % WEEKS;

  function facts({ sd0, sd1, corr, sigma }) {
    const G = [[sd0 ** 2, corr * sd0 * sd1], [corr * sd0 * sd1, sd1 ** 2]];
    const V = Array.from({ length: N }, (_, i) => Array.from({ length: N }, (_, j) => (plot(i) !== plot(j) ? 0
      : G[0][0] + G[0][1] * (week(i) + week(j)) + G[1][1] * week(i) * week(j)) + (i === j ? sigma ** 2 : 0)));
    return { G, V };
  }

  /** u by the Cholesky root of G, as lmmsim draws it; then the equation, row by row. */
  function look({ sd0, sd1, corr, sigma }, { u: z, eps: e }) {
    const r = sd0 > 0 ? corr : 0;                    // with a level that does not vary nothing is correlated
    const u = [0, 1, 2].flatMap(k => [sd0 * z[2 * k], sd1 * (r * z[2 * k] + Math.sqrt(1 - r * r) * z[2 * k + 1])]);
    const eps = e.map(x => sigma * x), Xb = [], Zu = [], y = [];
    for (let i = 0; i < N; i++) {
      Xb.push(BETA[0] + BETA[1] * week(i));
      Zu.push(u[2 * plot(i)] + u[2 * plot(i) + 1] * week(i));
      y.push(Xb[i] + Zu[i] + eps[i]);
    }
    return { u, eps, Xb, Zu, y };
  }

  /** Where things stand: matrices above, the plants, then V beside G and R. */
  function layout(W) {
    const wide = W >= 520, cell = wide ? 24 : 16.5, row = wide ? 20 : 18, num = wide ? 42 : 32, at = {};
    const widths = { y: num, X: 2 * cell, beta: num, Z: 6 * cell, u: num, eps: num }, gap = (W - 4 * num - 8 * cell) / 4;
    let x = 0;
    for (const name in widths) { at[name] = x; x += widths[name] + (name === "X" || name === "Z" ? gap / 2 : gap); }
    return { wide, cell, row, num, at, top: 42, data: 42 + N * row + 34, second: 42 + N * row + 34 + 208 };
  }

  function picture({ s, f, d, W, revealed }) {
    const g = layout(W), { cell, row, num, at, top } = g, i = s.row - 1, k = plot(i), mid = r => top + r * row + row / 2 + 4;
    let out = "";

    // the equation: y = X β + Z u + ε
    const bracket = (x, y, width, height) => path(`M${x + 4} ${y}h-4v${height}h4M${x + width - 4} ${y}h4v${height}h-4`, "soft");
    const head = (name, words, width) => text(at[name] + width / 2, 16, words, "strong middle large") ;
    const column = (name, values, y0, kind) => values.map((v, r) => text(at[name] + num - 3, y0 + r * row + row / 2 + 4, number(v, 1), `small end ${kind(r)}`)).join("");
    out += rect(at.y - 2, top + i * row, W + 4, row, "band");
    out += rect(at.Z + 2 * k * cell, top, 2 * cell, N * row, "band");
    out += head("y", "y", num) + head("X", "X", 2 * cell) + head("beta", "β", num) + head("Z", "Z", 6 * cell) + head("u", "u", num) + head("eps", "ε", num);
    const between = (a, b, words) => text((a + b) / 2, top + N * row / 2 + 5, words, "middle large");
    out += between(at.y + num, at.X, "=") + between(at.beta + num, at.Z, "+") + between(at.u + num, at.eps, "+");
    const uTop = top + 3 * row, bTop = top + 5 * row;
    out += bracket(at.y, top, num, N * row) + bracket(at.X, top, 2 * cell, N * row) + bracket(at.Z, top, 6 * cell, N * row) + bracket(at.eps, top, num, N * row) +
      bracket(at.beta, bTop, num, 2 * row) + bracket(at.u, uTop, num, 6 * row);
    out += text(at.X + cell / 2, 34, "1", "small soft middle") + text(at.X + 1.5 * cell, 34, g.wide ? "week" : "wk", "small soft middle");
    for (let p = 0; p < PLOTS; p++) out += text(at.Z + (2 * p + 1) * cell, 34, g.wide ? `plot ${p + 1}` : `p${p + 1}`, `small middle ${ARM[p]}`);
    out += column("y", d.y, top, r => r === i ? "strong" : "") + column("eps", d.eps, top, r => r === i ? "strong" : "") +
      column("beta", BETA, bTop, () => "strong") + column("u", d.u, uTop, r => (r >> 1 === k ? "strong " : "") + ARM[r >> 1]);
    for (let r = 0; r < N; r++) {
      const on = r === i ? "strong" : "";
      [1, week(r)].forEach((v, c) => { out += text(at.X + (c + 0.5) * cell, mid(r), String(v), `small middle ${on}`); });
      for (let c = 0; c < 6; c++) {
        const mine = c >> 1 === plot(r);
        out += text(at.Z + (c + 0.5) * cell, mid(r), String(mine ? (c % 2 ? week(r) : 1) : 0), `small middle ${mine ? on + " " + ARM[c >> 1] : "faint"}`);
      }
    }

    // the plants: the line of all, the line of each plot, the points; the chosen point as a sum
    const x = scale(0, 3, 40, W - 92), y = scale(5, 22, g.data + 168, g.data), fix = v => y(clamp(v, 4, 24));
    for (const v of [5, 10, 15, 20]) out += path(`M34 ${y(v)}H${W - 86}`, "grid") + text(28, y(v) + 4, String(v), "soft end small");
    for (let w = 0; w < WEEKS; w++) out += text(x(w), g.data + 187, w ? String(w) : "week 0", "soft middle small");
    out += text(0, g.data - 8, "height (cm)", "soft small");
    out += line([0, 3].map(w => [x(w), fix(BETA[0] + BETA[1] * w)]), "dashed thick");
    const labels = lmm.spread([...[0, 1, 2].map(p => fix(d.Xb[3] + d.Zu[4 * p + 3])), fix(d.Xb[3])], 15);
    out += text(W - 82, labels[3] + 4, "Xβ: all plots", "halo");
    for (let p = 0; p < PLOTS; p++) {
      out += line([0, 3].map(w => [x(w), fix(d.Xb[w] + d.Zu[4 * p + w])]), `${ARM[p]} ${p === k ? "curve" : "faint"}`) +
        dots([0, 1, 2, 3].map(w => [x(w), fix(d.y[4 * p + w])]), 3, ARM[p], p === k ? 1 : 0.45) + text(W - 82, labels[p] + 4, `plot ${p + 1}`, `halo ${ARM[p]}${p === k ? " strong" : ""}`);
    }
    const px = x(week(i)), a = fix(d.Xb[i]), b = fix(d.Xb[i] + d.Zu[i]), c = fix(d.y[i]);
    out += path(`M${px - 3.5} ${fix(5)}V${a}`, "wide soft") + path(`M${px} ${a}V${b}`, `wide ${ARM[k]}`) + path(`M${px + 3.5} ${b}V${c}`, "wide ink") + circle(px, c, 5, `open ${ARM[k]}`);
    const beside = week(i) < 3 ? [px + 10, ""] : [px - 10, " end"], sums = lmm.spread([(fix(5) + a) / 2, (a + b) / 2, (b + c) / 2], 14);
    ["Xβ", "Zu", "ε"].forEach((name, q) => { out += text(beside[0], sums[q] + 4, `${name} ${number([d.Xb, d.Zu, d.eps][q][i], 1)}`, `strong halo${beside[1]} ${["soft", ARM[k], "ink"][q]}`); });

    // V = Z G Zᵀ + R: row i of V is in words above it
    const size = g.wide ? 20 : Math.min(17, (W - 118) / N), top2 = g.second + 24, most = Math.max(...f.V.map(r => Math.max(...r.map(Math.abs))));
    out += text(0, g.second, `V: how ${N} heights go together`, "strong");
    const shade = (x0, y0, w, h, v, big, kind) => v === 0 ? "" : `<rect x="${x0.toFixed(1)}" y="${y0.toFixed(1)}" width="${w.toFixed(1)}" height="${h.toFixed(1)}" class="${v < 0 ? "ols" : kind}" opacity="${(0.12 + 0.88 * Math.abs(v) / big).toFixed(2)}"/>`;
    for (let r = 0; r < N; r++) for (let c = 0; c < N; c++) if (revealed) out += shade(c * size + 0.5, top2 + r * size + 0.5, size - 1, size - 1, f.V[r][c], most, "mixed");
    if (!revealed) out += text(N * size / 2, top2 + N * size / 2 + 5, "?", "strong large middle mixed");     // its darkest rows are asked for
    out += bracket(0, top2, N * size, N * size) + `<rect x="-1" y="${top2 + i * size}" width="${N * size + 2}" height="${size}" class="box"/>`;
    const left = N * size + (g.wide ? 40 : 22), G = f.G, biggest = Math.max(G[0][0], G[1][1], 1e-9), gs = g.wide ? 13 : 11, rs = g.wide ? 6.5 : 5.5;
    out += text(left, top2 - 6, "G", "strong") + text(left, top2 + 6 * gs + 40, "R", "strong");
    for (let p = 0; p < PLOTS; p++) for (const q of [0, 1]) for (const t of [0, 1]) out += shade(left + (2 * p + t) * gs + 0.5, top2 + (2 * p + q) * gs + 0.5, gs - 1, gs - 1, G[q][t], biggest, "mixed");
    out += bracket(left, top2, 6 * gs, 6 * gs);
    const rTop = top2 + 6 * gs + 46;
    for (let r = 0; r < N; r++) out += rect(left + r * rs, rTop + r * rs, rs, rs, "soft");
    out += bracket(left, rTop, N * rs, N * rs);
    if (g.wide) {
      const tx = left + 6 * gs + 16;
      out += text(tx, top2 + 12, "a block for each plot:", "soft small") + text(tx, top2 + 32, `variance of levels ${number(G[0][0], 2)}`, "small") + text(tx, top2 + 49, `of slopes ${number(G[1][1], 2)}`, "small") + text(tx, top2 + 66, `covariance ${number(G[0][1], 2)}`, "small");
      out += text(tx, rTop + 12, "independent residuals:", "soft small") + text(tx, rTop + 32, `variance ${number(s.sigma ** 2, 2)}`, "small");
    }
    if (!revealed) return out;
    const foot = top2 + N * size + 20;
    out += text(0, foot, `V[${s.row}, ${s.row}] = ${number(f.V[i][i], 2)} cm²: the variance of y${sub(s.row)}`, "small");
    const other = 4 * k + (week(i) === 0 ? 3 : 0), corr = f.V[i][other] / Math.sqrt(f.V[i][i] * f.V[other][other] || 1);
    out += text(0, foot + 18, `correlation with its plot’s week ${week(other)}: ${number(corr, 2)}`, "small") + text(0, foot + 36, "with every other plot: 0", "small");
    return out;
  }
  const sub = n => String(n).replace(/\d/g, c => "₀₁₂₃₄₅₆₇₈₉"[c]);
  const signed = x => `${x < 0 ? "−" : "+"} ${number(Math.abs(x), 1)}`;
  const second = W => { const g = layout(W); return g.second + 24 + N * (g.wide ? 20 : Math.min(17, (W - 118) / N)) + 62; };

  lmm.explorable("matrix", {
    loose: true,
    controls: [
      { name: "row", label: "row", free: true, min: 1, max: N, value: 10, code: s => `plants.data.loc[<b>${s.row - 1}</b>]` },
      { name: "sd0", label: "level sd", unit: " cm", min: 0, max: 4, step: 0.1, value: 2, digits: 1, code: s => `{"Intercept": <b>${s.sd0.toFixed(1)}</b>, …}` },
      { name: "sd1", label: "slope sd", unit: " cm/wk", min: 0, max: 1, step: 0.05, value: 0.5, digits: 2, code: s => `{…, "week": <b>${s.sd1.toFixed(2)}</b>}` },
      { name: "corr", label: "correlation", min: -0.9, max: 0.9, step: 0.1, value: 0.3, digits: 1, code: s => `corr=<b>${s.corr.toFixed(1)}</b>` },
      { name: "sigma", label: "residual sd", unit: " cm", min: 0, max: 2, step: 0.1, value: 1, digits: 1, code: s => `residual=<b>${s.sigma.toFixed(1)}</b>` },
    ],
    height: W => Math.ceil(second(W)),
    draws: ({ u, eps, per }) => ({ u: u.map(z => z / per), eps: eps.map(z => z / per) }),
    facts, look, picture,
    point(x, y, { W }) {                             // rows are chosen in the equation and in V
      const g = layout(W), size = g.wide ? 20 : Math.min(17, (W - 118) / N), top2 = g.second + 24;
      const r = y < g.data - 20 ? Math.floor((y - g.top) / g.row) : x < N * size ? Math.floor((y - top2) / size) : -1;
      return r >= 0 && r < N ? ["row", r + 1] : null;
    },
    sentence({ s, d }) {
      const i = s.row - 1, k = plot(i), w = week(i), u = d.u.slice(2 * k, 2 * k + 2);
      return `Row ${s.row}, <b class="${ARM[k]}">plot ${k + 1}</b> in week ${w}: ${number(d.y[i], 1)} cm = <b>${number(BETA[0])} + ${number(BETA[1])} × ${w}</b> (Xβ, what all plots share) ` +
        `<b class="${ARM[k]}">${signed(u[0])} ${signed(u[1])} × ${w}</b> (Zu, this plot’s level and slope) <b>${signed(d.eps[i])}</b> (ε, this week only).`;
    },
    describe: ({ s, f, d, revealed }) => `The matrices y, X, beta, Z, u and epsilon of three plots in four weeks, twelve rows; the twelve heights with a line for each plot; and V, twelve by twelve, with one block of four by four for each plot. ` +
      `Row ${s.row} is chosen: y ${number(d.y[s.row - 1], 1)}, its variance ${revealed ? number(f.V[s.row - 1][s.row - 1], 2) : "not shown yet"}.`,
    predict: { ask: "In which week, from 0 to 3, will the heights of many plots differ most? Say to yourself also whether weeks 0 and 3 are correlated as strongly as weeks 2 and 3, and type the week.", unit: "(0 to 3)", min: 0, max: WEEKS - 1 },
    verdict({ f, guess }) {
      const sds = [...Array(WEEKS).keys()].map(w => Math.sqrt(f.V[w][w])), most = Math.max(...sds), least = Math.min(...sds), at = sds.indexOf(most), corr = (a, b) => number(f.V[a][b] / (sds[a] * sds[b] || 1), 2);
      return (guess === null ? "" : `You said week ${number(guess, Number.isInteger(guess) ? 0 : 1)}. `) + (most - least < 1e-9 ? `Here the heights differ equally in all weeks, with a standard deviation of <b>${number(most, 1)}</b> cm.`
        : `Here the heights differ most in week <b>${at}</b>, with a standard deviation of <b>${number(most, 1)}</b> cm, and least in week ${sds.indexOf(least)}, with ${number(least, 1)} cm.`) +
        ` The correlation is ${corr(0, 3)} between weeks 0 and 3, and ${corr(2, 3)} between weeks 2 and 3.`;
    },
    python: s => `from lmmsim import Model, Random, crossed, simulate

design = crossed(plot=3, week=[0, 1, 2, 3])
growth = Model(
    "height ~ week + (week | plot)",
    beta={"Intercept": 10, "week": 2},
    random={"plot": Random(
        sd={"Intercept": <b>${s.sd0.toFixed(1)}</b>,
            "week": <b>${s.sd1.toFixed(2)}</b>},
        corr=<b>${s.corr.toFixed(1)}</b>)},
    residual=<b>${s.sigma.toFixed(1)}</b>)
plants = simulate(growth, design, rng=1)
plants.data.loc[<b>${s.row - 1}</b>]
plants.X, plants.beta, plants.Z, plants.u, plants.eps
G, R = growth.G(design), growth.R(design)
V = growth.V(design)          # Z G Z' + R`,
  });
})();
