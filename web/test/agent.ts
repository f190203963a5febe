/** Agents that do at random what agents do: several runs in one log, with calls that overlap, series, output and sub-agents. */
import type { Activity } from "tasklight/viewer";
import type { Chance } from "./random.ts";

type Made = Pick<Activity, "type" | "data" | "invocationId">;

export const RUNS = ["run-1", "run-2", "run-3"] as const;

/** What a run does next. `calls` and `series` are few, so that ids come again, also where they should not. */
export function act(chance: Chance): Made {
  const invocationId = chance.of(RUNS);
  const id = `${invocationId}:${chance.below(6).toString()}`;
  const parent = chance.is(0.2) ? { parentToolCallId: `${invocationId}:agent` } : {};
  const word = `${chance.below(1000).toString()} `;
  const make = (type: string, data: Record<string, unknown>): Made => ({ invocationId, type, data: { ...data, ...parent } });
  const made: (() => Made)[] = [
    () => make("output", { stream: chance.of(["stdout", "stderr"]), text: word.repeat(1 + chance.below(chance.is(0.05) ? 6_000 : 5)) }),
    () => make("output", { stream: "stdout", text: word }),
    () => make("tool_call", { toolCallId: id, name: "bash", input: { command: word } }),
    () => make("tool_result", { toolCallId: id, output: word, ...(chance.is(0.2) && { isError: true }) }),
    () => make(chance.of(["message", "thinking"]), { seriesId: id, delta: true, text: word }),
    () => make("message", { seriesId: id, final: true, role: "assistant", text: `whole ${word}` }),
    () => make("message", { role: "user", text: word }),
    () => make("tool_call", { name: "nameless" }),
    () => make(chance.of(["status", "progress", "error", "usage", "custom", "of_the_future"]), { text: word, percent: chance.below(100) }),
  ];
  return chance.of(made)();
}

/** It as the hub stores it. */
export const stored = (made: Made, offset: number, epoch = "aaaaaaaa", taskId = "t"): Activity => ({
  taskId,
  offset,
  cursor: `${epoch}-${offset.toString()}`,
  eventId: `00000000-0000-7000-8000-${offset.toString().padStart(12, "0")}`,
  timestamp: 1_764_000_000_000 + offset * 10,
  receivedAt: 1_764_000_000_001 + offset * 10,
  ...made,
});

/** A log of so many. */
export const logOf = (chance: Chance, count: number, from = 1, epoch = "aaaaaaaa"): Activity[] =>
  Array.from({ length: count }, (_, index) => stored(act(chance), from + index, epoch));
