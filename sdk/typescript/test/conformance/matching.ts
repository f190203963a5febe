// Placeholders and expectations of the shared list: what is sent is filled in, what comes is compared and remembered.

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

export type Values = Map<string, Json>;

type Differ = (why: string) => never;

/** What must be a text, as one. */
export function text(value: Json | undefined): string {
  if (typeof value === "object" || value === undefined) throw new Error(`${JSON.stringify(value)} is no text`);
  return String(value);
}

const PLACEHOLDER = /\$\{([^}]+)\}/g;

/** What is sent, with every placeholder replaced and every repetition made. */
export function fill(value: Json, values: Values): Json {
  if (typeof value === "string") {
    const whole = /^\$\{([^}]+)\}$/.exec(value)?.[1];
    if (whole !== undefined) return known(whole, values);
    return value.replace(PLACEHOLDER, (_, name: string) => text(known(name, values)));
  }
  if (Array.isArray(value)) return value.map((one) => fill(one as Json, values));
  if (typeof value !== "object" || value === null) return value;
  const object = value as Readonly<Record<string, Json>>;
  if ("$repeat" in object) return text(object["$repeat"]).repeat(Number(object["times"]));
  return Object.fromEntries(Object.entries(object).map(([name, one]) => [name, fill(one, values)]));
}

function known(name: string, values: Values): Json {
  const value = values.get(name);
  if (value === undefined) throw new Error(`\${${name}} has no value here`);
  return value;
}

/** Compares what came with what is expected, and remembers what a new name stands for. Throws where they differ. */
export function match(expected: Json, came: unknown, values: Values, at = "it"): void {
  const differ: Differ = (why) => {
    throw new Error(`${at}: ${why}: expected ${JSON.stringify(expected)}, came ${JSON.stringify(came)}`.slice(0, 1_000));
  };
  if (typeof expected === "string") matchText(expected, came, values, differ);
  else if (Array.isArray(expected)) {
    if (!Array.isArray(came) || came.length !== expected.length) differ("not as many");
    for (const [index, one] of expected.entries()) match(one as Json, (came as unknown[])[index], values, `${at}[${index.toString()}]`);
  } else if (typeof expected === "object" && expected !== null) {
    if (typeof came !== "object" || came === null) differ("no object");
    for (const [name, one] of Object.entries(expected)) match(one, (came as Record<string, unknown>)[name], values, `${at}.${name}`);
  } else if (expected === null ? came !== null && came !== undefined : came !== expected) differ("not equal");
}

function matchText(expected: string, came: unknown, values: Values, differ: Differ): void {
  const names = [...expected.matchAll(PLACEHOLDER)].map(([, name]) => name ?? "");
  const open = names.filter((name) => !values.has(name));
  const [name] = open;
  if (name === undefined) {
    if (came !== fill(expected, values)) differ("not equal");
    return;
  }
  if (1 < open.length) differ("two names without a value");
  if (came === undefined) differ("nothing there");
  if (expected === `\${${name}}`) {
    if (name !== "*") values.set(name, came as Json);
    return;
  }
  const [before = "", after = ""] = expected.split(`\${${name}}`).map((part) => text(fill(part, values)));
  if (typeof came !== "string" || !came.startsWith(before) || !came.endsWith(after)) differ("not equal");
  if (name !== "*") values.set(name, came.slice(before.length, came.length - after.length));
}
