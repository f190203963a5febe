// The examples of the README, as they are written there.
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The examples for `where`, with the hub's address put in for the one that they name. */
export function examples(where: "node" | "browser" | "redis", hub: string): string[] {
  const readme = readFileSync(join(import.meta.dirname, "../README.md"), "utf8");
  const found = [...readme.matchAll(/^```js (\w+)\n(.*?)^```$/gms)].filter(([, kind]) => kind === where);
  return found.map(([, , code = ""]) => code.replaceAll("http://127.0.0.1:8080", hub));
}
