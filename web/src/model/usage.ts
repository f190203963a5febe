/**
 * Tokens and cost as agents tell them. Each `usage` of a run replaces the one before, so that a run's figures are those of its last one, and a task's are the
 * sum over its runs. What a format does not tell stays unknown: it is never taken for zero.
 */
import type { Data } from "tasklight/viewer";
import { numberOf } from "./told.ts";

/** One run's figures, as far as they are told. */
export interface Figures {
  /** Everything that was sent to the model, cached or not. */
  readonly input: number | undefined;
  readonly output: number | undefined;
  readonly cacheRead: number | undefined;
  readonly cacheWrite: number | undefined;
  readonly costUsd: number | undefined;
  /** How much of the model's context is in use, from 0 to 1. */
  readonly context: number | undefined;
  /** They were counted on the way; the agent's own final figures are still to come. */
  readonly estimated: boolean;
  /** What else was told, as it was told. */
  readonly others: readonly (readonly [name: string, text: string])[];
}

/** A sum, and of how many runs each of its parts is known. */
export interface Total {
  readonly input: Sum;
  readonly output: Sum;
  readonly cacheRead: Sum;
  readonly cacheWrite: Sum;
  readonly costUsd: Sum;
  /** How many runs told anything at all. */
  readonly runs: number;
  readonly estimated: boolean;
}

export interface Sum {
  readonly total: number;
  readonly runs: number;
}

const KNOWN: ReadonlySet<string> = new Set([
  "inputTokens",
  "outputTokens",
  "cacheReadTokens",
  "cacheWriteTokens",
  "costUsd",
  "estimated",
  "contextTokens",
  "contextWindow",
]);

/** The most fields that are shown as they are, and the most characters of each. */
const MOST_OTHERS = 24;
const LONGEST_OTHER = 120;

export function figuresOf(data: Data): Figures {
  const count = (name: string): number | undefined => {
    const value = numberOf(data, name);
    return value === undefined || value < 0 ? undefined : value;
  };
  const used = count("contextTokens");
  const window = count("contextWindow");
  return {
    input: count("inputTokens"),
    output: count("outputTokens"),
    cacheRead: count("cacheReadTokens"),
    cacheWrite: count("cacheWriteTokens"),
    costUsd: count("costUsd"),
    context: used === undefined || window === undefined || window === 0 ? undefined : Math.min(1, used / window),
    estimated: data["estimated"] === true,
    others: Object.entries(data)
      .filter(([name, value]) => !KNOWN.has(name) && value !== null)
      .slice(0, MOST_OTHERS)
      .map(([name, value]) => [name, shown(value)] as const),
  };
}

function shown(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length <= LONGEST_OTHER ? text : `${text.slice(0, LONGEST_OTHER)}…`;
}

export function totalOf(figures: Iterable<Figures>): Total {
  const all = [...figures];
  const sum = (part: "input" | "output" | "cacheRead" | "cacheWrite" | "costUsd"): Sum => {
    const known = all.map((one) => one[part]).filter((value) => value !== undefined);
    return { total: known.reduce((total, value) => total + value, 0), runs: known.length };
  };
  return {
    input: sum("input"),
    output: sum("output"),
    cacheRead: sum("cacheRead"),
    cacheWrite: sum("cacheWrite"),
    costUsd: sum("costUsd"),
    runs: all.length,
    estimated: all.some((one) => one.estimated),
  };
}

/** 950, 1.2k, 64k, 3.4M: three digits are all that anybody reads. */
export function countText(count: number): string {
  const units = ["", "k", "M", "G", "T"];
  let value = count;
  let unit = 0;
  while (999.5 <= value && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  const digits = unit === 0 || 99.95 <= value ? 0 : value < 9.995 ? 2 : 1;
  const text = value.toFixed(digits);
  return `${digits === 0 ? text : text.replace(/\.?0+$/, "")}${units[unit] ?? ""}`;
}

/** $0.0031, $0.17, $12.40, $504, $1.2k: small sums are not rounded away. */
export function costText(usd: number): string {
  if (usd === 0) return "$0";
  if (usd < 0.0001) return "< $0.0001";
  return 999.5 <= usd ? `$${countText(usd)}` : `$${usd.toFixed(usd < 0.1 ? 4 : usd < 99.995 ? 2 : 0)}`;
}
