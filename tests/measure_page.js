// Measures the page in the frame and writes what it finds, as JSON, where the test reads it.
const frame = document.getElementById("page");
frame.addEventListener("load", () => {
  const page = frame.contentDocument, view = frame.contentWindow, root = page.documentElement;
  const shown = element => element.getClientRects().length > 0;
  const name = element => `${element.tagName.toLowerCase()} "${element.textContent.trim().slice(0, 40)}"`;

  // beyond the right edge, unless in a container that scrolls by itself
  const outside = [...page.body.querySelectorAll("*")]
    .filter(e => shown(e) && !e.closest(".scroll, .skip, defs") && e.getBoundingClientRect().right > root.clientWidth + 1)
    .map(name);

  const channels = colour => (colour.match(/[\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => [r, g, b]
    .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const background = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = channels(view.getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  let smallest = Infinity;
  for (const e of page.body.querySelectorAll("*:not(svg):not(svg *)")) {
    if (!shown(e) || ![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const style = view.getComputedStyle(e);
    const [a, b] = [luminance(channels(style.color)), luminance(background(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push(`${name(e)}: ${ratio.toFixed(2)}`);
    smallest = Math.min(smallest, parseFloat(style.fontSize));
  }

  const dead = [...page.querySelectorAll('a[href^="#"]')]
    .filter(a => { const t = page.getElementById(a.getAttribute("href").slice(1)); return !t || !shown(t); })
    .map(name);
  const unreachable = [...page.querySelectorAll(".scroll")]
    .filter(e => e.scrollWidth > e.clientWidth + 1 && e.tabIndex < 0).map(name);
  const pictures = [...page.querySelectorAll("svg, img")].map(e => e.getBoundingClientRect());

  document.getElementById("found").textContent = JSON.stringify({
    width: root.clientWidth, scrollWidth: root.scrollWidth, bodyWidth: page.body.scrollWidth,
    outside, faint, smallest, dead, unreachable,
    links: page.querySelectorAll('a[href^="#"]').length,
    pictures: pictures.length,
    emptyPictures: pictures.filter(r => r.width < 80 || r.height < 60).length,
  });
});
