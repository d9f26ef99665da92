/* The offer to run a page. It loads nothing until it is taken up. */
(() => {
  const offer = document.querySelector(".live-offer"), script = document.currentScript;
  if (!offer) return;
  if (location.protocol === "file:") return offer.remove();       // browsers start no workers from a folder
  offer.querySelector("button").addEventListener("click", async () => {
    const { start } = await import(new URL("page.js", script.src));
    start(offer);
  }, { once: true });
})();
