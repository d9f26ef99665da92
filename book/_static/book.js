/* The page's own script, in place of the theme's and Bootstrap's: mode, search, menus, copying, where one is. */
(() => {
  const root = document.documentElement, $ = (s, e = document) => [...e.querySelectorAll(s)];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const store = (key, value) => { try { return value === undefined ? localStorage[key] : (localStorage[key] = value); } catch (e) { } };

  // Light, dark, or as the system says.
  const setMode = mode => {
    root.dataset.mode = mode;
    root.dataset.theme = mode == "auto" ? (dark.matches ? "dark" : "light") : mode;
    $(".theme-switch-button").forEach(b => { b.title = b.ariaLabel = `Color mode: ${mode == "auto" ? "as the system" : mode}`; });
  };
  dark.addEventListener("change", () => root.dataset.mode == "auto" && setMode("auto"));
  setMode(root.dataset.mode || "auto");
  $(".theme-switch-button").forEach(b => b.addEventListener("click", () => {
    setMode({ auto: "light", light: "dark", dark: "auto" }[root.dataset.mode]);
    store("mode", root.dataset.mode);
  }));

  // Search: a dialog, by button, by Ctrl+K or by a slash.
  const search = document.getElementById("pst-search-dialog");
  const find = () => search.open ? search.close() : (search.showModal(), search.querySelector("input").select());
  if (search) {
    $(".search-button__button, .search-button").forEach(b => b.addEventListener("click", find));
    addEventListener("keydown", e => {
      if ((e.ctrlKey || e.metaKey) && e.key == "k" || e.key == "/" && !e.target.closest("input, textarea, [contenteditable]")) { e.preventDefault(); find(); }
    });
    search.addEventListener("click", e => e.target == search && search.close());
  }

  // What was searched for is marked on the page that was found, until Escape.
  const words = (store("sphinx_highlight_terms") || "").split(" ").filter(w => w.length > 2);
  const article = document.querySelector("article.bd-article");
  if (article && words.length && CSS.highlights) {
    const ranges = [], walk = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    for (let node; (node = walk.nextNode()) && ranges.length < 500;) {
      const text = node.data.toLowerCase();
      for (const word of words) for (let at = -1; (at = text.indexOf(word, at + 1)) >= 0;) {
        const range = new Range();
        range.setStart(node, at); range.setEnd(node, at + word.length); ranges.push(range);
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
    store("sphinx_highlight_terms", "");
    addEventListener("keydown", e => e.key == "Escape" && CSS.highlights.delete("found"));
  }
  // The search page quotes sentences: no pictures, formulas, code or menus.
  addEventListener("DOMContentLoaded", () => {
    if (typeof Search == "undefined") return;
    let quoted = 0;  // each quotation loads a page: the first few will do
    Object.defineProperty(DOCUMENTATION_OPTIONS, "SHOW_SEARCH_SUMMARY", { get: () => quoted++ < 4 });
    Search.htmlToText = (html, anchor) => {
      const page = new DOMParser().parseFromString(html, "text/html"), text = page.querySelector("article.bd-article") || page.body;
      $("svg, math, style, script, .headerlink, .cell_input, .highlight, table, h1", text).forEach(e => e.remove());
      return ((anchor && text.querySelector(anchor)) || text).textContent.replace(/\s+/g, " ");
    };
  });

  // Sidebars: beside the page where there is room, else in a dialog.
  for (const side of ["primary", "secondary"]) {
    const bar = document.getElementById(`pst-${side}-sidebar`), dialog = document.getElementById(`pst-${side}-sidebar-modal`);
    if (!bar || !dialog) continue;
    dialog.ariaLabel = side == "primary" ? "Contents of the book" : "Contents of this page";
    $(`.${side}-toggle`).forEach(b => {
      b.ariaLabel = b.title = dialog.ariaLabel;
      b.addEventListener("click", () => {
        if (side == "primary" && bar.offsetParent) return root.classList.toggle("no-sidebar");
        if (root.classList.contains("no-sidebar") && innerWidth >= 992) return root.classList.remove("no-sidebar");
        dialog.append(...bar.childNodes); dialog.showModal();
      });
    });
    dialog.addEventListener("close", () => bar.append(...dialog.childNodes));
    dialog.addEventListener("click", e => (e.target == dialog || e.target.closest("a")) && dialog.close());
    const here = bar.querySelector(".current.active > a");
    requestAnimationFrame(() => { if (here && bar.scrollHeight > bar.clientHeight) bar.scrollTop = here.getBoundingClientRect().top - bar.getBoundingClientRect().top - bar.clientHeight / 2; });
  }

  // Menus of the header.
  $('[data-bs-toggle="dropdown"]').forEach(b => {
    const menu = b.nextElementSibling, set = on => { menu.classList.toggle("show", on); b.setAttribute("aria-expanded", on); };
    b.addEventListener("click", e => { e.stopPropagation(); set(!menu.classList.contains("show")); });
    addEventListener("click", () => set(false));
    addEventListener("keydown", e => { if (e.key == "Escape" && menu.classList.contains("show")) { set(false); b.focus(); } });
  });

  // Whoever reads about one tool reads about it on all pages.
  const tabs = $(".sd-tab-label[data-sync-id]");
  const choose = id => tabs.filter(l => l.dataset.syncId == id).forEach(l => { document.getElementById(l.htmlFor).checked = true; });
  if (store("tool")) choose(store("tool"));
  tabs.forEach(l => document.getElementById(l.htmlFor).addEventListener("change", () => { store("tool", l.dataset.syncId); choose(l.dataset.syncId); }));

  // Copying a cell.
  $(".highlight > pre").forEach(pre => {
    if (pre.closest(".cell_output, .no-copybutton")) return;
    const b = Object.assign(document.createElement("button"), { type: "button", className: "copy-cell", ariaLabel: "Copy this code", title: "Copy this code" });
    b.addEventListener("click", async () => {
      const prompts = pre.querySelector(".gp"), lines = pre.textContent.split("\n");
      const text = prompts ? lines.filter(l => /^(>>>|\.\.\.)/.test(l)).map(l => l.replace(/^(>>>|\.\.\.) ?/, "")).join("\n") : pre.textContent;
      try { await navigator.clipboard.writeText(text); }
      catch (e) { const t = document.createElement("textarea"); t.value = text; document.body.append(t); t.select(); document.execCommand("copy"); t.remove(); }
      b.classList.add("copied"); b.ariaLabel = "Copied"; setTimeout(() => { b.classList.remove("copied"); b.ariaLabel = "Copy this code"; }, 1600);
    });
    pre.parentElement.append(b);
  });

  // What scrolls sideways says so: a fade where there is more, and the keyboard reaches it.
  const fade = e => e.classList.toggle("fade-right", e.scrollWidth - e.clientWidth - e.scrollLeft > 2);
  const WIDE = ".highlight > pre, .output.text_html, .output pre, div.formula, .pst-scrollable-table-container";
  const look = (where = document) => {  // all are measured before any is changed, else the page is laid out once for each
    const seen = $(WIDE, where).filter(e => !e.closest("details:not([open])"));  // measuring lays out what is folded, too
    const more = seen.map(e => [e, e.scrollWidth - e.clientWidth, e.scrollLeft]);
    more.forEach(([e, hidden, at]) => { e.classList.toggle("fade-right", hidden - at > 2); hidden > 0 ? e.tabIndex = 0 : e.removeAttribute("tabindex"); });
  };
  $(WIDE).forEach(e => e.addEventListener("scroll", () => fade(e), { passive: true }));
  addEventListener("resize", () => look()); root.dataset.fonts != "later" && document.fonts.addEventListener("loadingdone", () => look());
  requestAnimationFrame(() => setTimeout(() => look()));  // after the first picture; what reads sizes before that delays it
  $("details").forEach(d => d.addEventListener("toggle", () => look(d)));

  // A link into a fold opens it.
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    let fold = target.closest("details"), closed = false;
    for (; fold; fold = fold.parentElement.closest("details")) if (!fold.open) closed = fold.open = true;
    if (closed) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal); reveal();

  // The first page on a phone stands without fonts: they are fetched now, for the pages that follow.
  if (root.dataset.fonts == "later") new PerformanceObserver((_, watch) => {
    watch.disconnect();
    const fetched = [...document.fonts].filter(f => !f.family.includes("stand-in")).map(f => f.load());
    Promise.all(fetched).then(() => store("fonts", "here"), () => { });
  }).observe({ type: "paint", buffered: true });

  // Where one is, in the contents of the page.
  const links = new Map($(".page-toc a, #pst-page-toc-nav a").map(a => [decodeURIComponent(a.hash.slice(1)), a]));
  const heads = $("article section[id]").filter(s => links.has(s.id));
  const here = () => {
    let now = null;
    for (const s of heads) { if (s.getBoundingClientRect().top >= 140) break; now = s.id; }
    links.forEach((a, id) => id == now ? a.setAttribute("aria-current", "true") : a.removeAttribute("aria-current"));
  };
  addEventListener("scroll", here, { passive: true }); requestAnimationFrame(here);

  // On paper everything is open, but for the code of figures and answers that were folded away.
  let opened = [];
  addEventListener("beforeprint", () => { opened = $("article details:not([open])"); opened.forEach(d => { d.open = true; }); });
  addEventListener("afterprint", () => opened.forEach(d => { d.open = false; }));

  // A place for the reader's guess, which the browser keeps.
  $(".admonition.predict").forEach((box, k) => {
    const field = document.createElement("input"), key = `guess:${location.pathname}:${k}`;
    Object.assign(field, { type: "text", className: "guess", placeholder: "your guess", ariaLabel: "Your guess", value: store(key) || "" });
    field.addEventListener("input", () => store(key, field.value));
    box.append(field);
  });
})();
