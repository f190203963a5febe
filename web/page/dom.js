// Elements from text. Content only ever becomes text nodes, whatever it holds.

/** `element("p", {class: "x"}, "text", child, …)`; no attribute ever takes code. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const SECOND = 1000;
const UNITS = [["d", 86_400 * SECOND], ["h", 3_600 * SECOND], ["min", 60 * SECOND], ["s", SECOND]];

/** "3 min ago", for times that are near; the title has the exact one. */
export function ago(millis) {
  const past = Math.max(0, Date.now() - millis);
  for (const [name, size] of UNITS) if (past >= size) return `${Math.floor(past / size)} ${name} ago`;
  return "now";
}

/** Local time of day. */
export function clock(millis) {
  return new Date(millis).toLocaleTimeString(undefined, { hour12: false });
}

export function exact(millis) {
  return new Date(millis).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
}
