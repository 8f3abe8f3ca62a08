// Addresses inside the page.

const KEPT = ["scope", "window", "month", "day", "order", "wall", "nostream", "theme"];

/** The address of a page with the present selection, changed as told; null takes a parameter away. */
export function href(path, changes = {}) {
  const query = new URLSearchParams();
  const present = new URLSearchParams(location.search);
  for (const name of new Set([...KEPT, ...Object.keys(changes)])) {
    const value = name in changes ? changes[name] : present.get(name);
    if (value) query.set(name, value);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}
