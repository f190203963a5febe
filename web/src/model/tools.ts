/** What kind of work a tool does, by its name: agents name the same tool differently. */

export type ToolKind = "run" | "edit" | "read" | "web" | "agent" | "other";

const KINDS: readonly (readonly [ToolKind, RegExp])[] = [
  ["agent", /^(task|agent|subagent|sub_agent|delegate|dispatch_agent|spawn_agent)$/],
  ["web", /web|fetch|browser|http|url/],
  ["edit", /edit|write|patch|replace|create_file|notebook|insert/],
  ["run", /bash|shell|exec|command|terminal|^run|process|make|python/],
  ["read", /read|grep|glob|search|find|^ls$|list|view|cat|^rg$/],
];

export function toolKind(name: string): ToolKind {
  const low = name.toLowerCase();
  return KINDS.find(([, pattern]) => pattern.test(low))?.[0] ?? "other";
}
