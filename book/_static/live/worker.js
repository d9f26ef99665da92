/* Python in a worker: starts Pyodide from the site's own files, brings packages and data as cells ask for them. */
import { loadPyodide } from "../py/pyodide.mjs";

const here = name => new URL(name, import.meta.url);
const say = status => self.postMessage({ status });
const quiet = { messageCallback() {}, errorCallback() {} };
let py, kernel, fetched = new Set(), packages;

const read = async url => {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${new URL(url).pathname} is not there (${answer.status})`);
  return new Uint8Array(await answer.arrayBuffer());
};

// Data that a cell names: "data/hsb82.csv" stands beside the page.
async function bring(source, site) {
  for (const [path, name] of source.matchAll(/data\/([\w.-]+\.csv)/g)) {
    if (fetched.has(name)) continue;
    try { py.FS.writeFile("/book/" + path, await read(new URL("book/" + path, site))); fetched.add(name); } catch (e) { /* Python says that it is not there */ }
  }
}

async function boot({ wheel, site, sources }) {
  say("Starting Python with numpy, scipy, pandas and matplotlib");
  const downloads = [read(new URL(wheel, site)), read(here("kernel.py")), read(here("matplotlibrc")), read(here("../py/pyodide-lock.json"))];
  const needed = ["formulaic", "joblib", "threadpoolctl", "tqdm", "matplotlib"];
  if (/statsmodels|MixedLM/.test(sources)) needed.push("statsmodels");
  py = await loadPyodide({ indexURL: here("../py/").href, env: { MPLBACKEND: "agg", HOME: "/home/pyodide" }, packages: needed, stdout() {}, stderr() {} });
  const [lmmsim, code, style, lock] = await Promise.all(downloads);
  packages = new Set(Object.keys(JSON.parse(new TextDecoder().decode(lock)).packages));
  py.unpackArchive(lmmsim.buffer, "zip", { extractDir: "/lib/python3.12/site-packages" });
  py.FS.mkdirTree("/book/data");
  py.FS.chdir("/book");
  py.FS.writeFile("/book/matplotlibrc", style);
  await bring(sources, site);
  say("Importing lmmsim");
  kernel = py.globals.get("dict")();
  py.runPython(new TextDecoder().decode(code), { globals: kernel });
  call("prepare");
  py.runPython("import lmmsim");
}

function call(name, ...values) {
  const f = kernel.get(name);
  try { return f(...values); } finally { f.destroy(); }
}

async function run({ source, number, hidden, site, glue }) {
  await bring(source, site);
  await py.loadPackagesFromImports(source, quiet);
  const start = performance.now();
  let result = JSON.parse(call("run", source, number, hidden));
  const missing = result.error?.missing?.split(".")[0];
  if (missing && packages.has(missing) && !(missing in py.loadedPackages)) {  // imported inside a package
    await py.loadPackage(missing, quiet);
    result = JSON.parse(call("run", source, number, hidden));
  }
  result.said = result.glued.flatMap(key => (glue[key] || []).map(spec => [key, spec, call("formatted", key, spec)]));
  result.seconds = (performance.now() - start) / 1000;
  return result;
}

const answers = {
  boot,
  run,
  analyse: ({ sources }) => sources.map(source => JSON.parse(call("analyse", source))),
};
self.onmessage = async ({ data: { id, what, ...message } }) => {
  try { self.postMessage({ id, result: await answers[what](message) }); }
  catch (error) { self.postMessage({ id, failed: String(error.message || error).trim().slice(-600) }); }
};
