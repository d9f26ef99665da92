// How Sphinx's search ranks: what stands in a title first, chapters before appendices, the API last.
// A result is [docname, title, anchor, description, score, filename]; multiword queries are met word by word.
var Scorer = {
  objNameMatch: 11, objPartialMatch: 6, objPrio: {0: 15, 1: 5, 2: -5}, objPrioDefault: 0,
  title: 60, partialTitle: 30, term: 5, partialTerm: 2,
  score: ([docname, title, anchor, description, score]) => {
    if (/^book\/api|^_modules/.test(docname) || description) return score / 20;  // signatures have every word in them
    if (/^(genindex|book\/(references|how-built|mistakes|for-teachers|glossary))/.test(docname)) return score / 4;
    const query = (new URLSearchParams(location.search).get("q") || "").toLowerCase().trim();
    const words = query.split(/\s+/).filter(word => word.length > 2), topic = title.toLowerCase();
    const inTitle = words.filter(word => topic.includes(word)).length / Math.max(words.length, 1);
    return score + 60 * inTitle;
  },
};
