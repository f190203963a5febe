import { describe, expect, it } from "vitest";
import { ALL, facetsOf, formatFilter, isEverything, MOST_PARTS, parseFilter, select, takeTokens, type TaskFilter, toggled } from "../src/model/tasks-filter.ts";
import { stallWords, type Task } from "../src/model/tasks.ts";
import { span } from "../src/ui/when.ts";
import { NOON, task } from "./summary.ts";

const listed = (...tasks: Task[]): { id: string; task: Task }[] => tasks.map((one) => ({ id: one.summary.taskId, task: one }));
const TASKS = listed(
  task("build-api", { title: "Nightly Build", labels: { team: "api", urgent: "" }, agents: ["make"] }),
  task("build-web", { status: "failed", labels: { team: "web" }, agents: ["claude", "codex"] }),
  task("docs", { status: "completed", title: "Write the docs", labels: { toString: "x" }, agents: ["claude"] }),
  task("waits", { stalled: { count: 1, reason: "waiting", since: NOON, invocationId: "r" } }),
  task("new", { status: null }),
);

describe("a filter of tasks", () => {
  it.each<[string, Partial<TaskFilter>, string[]]>([
    ["nothing", {}, ["build-api", "build-web", "docs", "waits", "new"]],
    ["a status", { standings: ["running"] }, ["build-api"]],
    ["stalled, which is not running then", { standings: ["stalled", "failed"] }, ["build-web", "waits"]],
    ["the name of a label", { labels: ["team"] }, ["build-api", "build-web"]],
    ["a label with its value", { labels: ["team=web"] }, ["build-web"]],
    ["an empty value", { labels: ["urgent="] }, ["build-api"]],
    ["labels, all of them", { labels: ["team", "urgent"] }, ["build-api"]],
    ["names that every object has", { labels: ["constructor"] }, []],
    ["an unlucky name that a task has", { labels: ["toString=x"] }, ["docs"]],
    ["agents, any of them", { agents: ["make", "codex"] }, ["build-api", "build-web"]],
    ["text, whatever its case", { text: "BUILD" }, ["build-api", "build-web"]],
    ["words of id and title in any order", { text: " nightly  build-a " }, ["build-api"]],
    ["what nothing has", { text: "zebra" }, []],
  ])("finds by %s", (_, filter, ids) => {
    expect(select(TASKS, { ...ALL, ...filter }).ids).toEqual(ids);
  });

  it("counts each task once, as if no status were asked for", () => {
    const { ids, counts } = select(TASKS, { ...ALL, standings: ["failed"], agents: ["claude"] });
    expect(ids).toEqual(["build-web"]);
    expect(counts).toEqual({ all: 2, running: 0, stalled: 0, failed: 1, lost: 0, completed: 1, pending: 0, cancelled: 0, empty: 0 });
    const { all, ...parts } = select(TASKS, ALL).counts;
    expect(Object.values(parts).reduce((sum, count) => sum + count, 0)).toBe(all);
  });

  it("looks at each task once, also with 10,000", () => {
    let looks = 0;
    const many = Array.from({ length: 10_000 }, (_, n) => {
      const one = task(`t${n.toString()}`);
      return {
        id: one.summary.taskId,
        get task() {
          looks += 1;
          return one;
        },
      };
    });
    expect(select(many, { ...ALL, text: "t99", standings: ["running"] }).ids).toHaveLength(111);
    expect(looks).toBe(10_000);
  });
});

describe("the address of a filter", () => {
  it.each<[string, Partial<TaskFilter>]>([
    ["", {}],
    ["?status=running,stalled", { standings: ["running", "stalled"] }],
    ["?label=team%3Dinfra&label=urgent&agent=claude&q=fix+it", { labels: ["team=infra", "urgent"], agents: ["claude"], text: "fix it" }],
  ])("is %j and back", (query, filter) => {
    expect(formatFilter({ ...ALL, ...filter })).toBe(query);
    expect(parseFilter(query)).toEqual({ ...ALL, ...filter });
    expect(isEverything({ ...ALL, ...filter })).toBe(query === "");
  });

  it("keeps names whatever is in them", () => {
    const filter = { ...ALL, labels: ["a=b,c&d=%2C", "é 💡"], text: "a,b %2C" };
    expect(parseFilter(formatFilter(filter))).toEqual(filter);
  });

  it("leaves out what it cannot mean, and has no more parts than it may", () => {
    const many = Array.from({ length: 50 }, (_, n) => `label=l${n.toString()}`).join("&");
    expect(parseFilter("?status=nonsense,failed&label=&agent=&x=1")).toEqual({ ...ALL, standings: ["failed"] });
    expect(parseFilter(`?${many}`).labels).toHaveLength(MOST_PARTS);
  });
});

describe("choosing", () => {
  it("takes status, labels and agents out of what is typed", () => {
    const typed = { ...ALL, agents: ["make"], text: "fix label:team=web agent:make status:failed status:odd it" };
    expect(takeTokens(typed)).toEqual({ standings: ["failed"], labels: ["team=web"], agents: ["make"], text: "fix it" });
    const plain = { ...ALL, text: "relabel:x" };
    expect(takeTokens(plain)).toBe(plain);
  });

  it("puts a part in and takes it out", () => {
    expect(toggled(["a"], "b")).toEqual(["a", "b"]);
    expect(toggled(["a", "b"], "a")).toEqual(["b"]);
  });

  it("offers what there is, the most frequent first", () => {
    const { agents, labels } = facetsOf(TASKS);
    expect(agents).toEqual([{ name: "claude", count: 2 }, { name: "codex", count: 1 }, { name: "make", count: 1 }]);
    expect(labels.map(({ name }) => name)).toEqual(["team=api", "team=web", "toString=x", "urgent"]);
  });
});

describe("why a task stands still", () => {
  it.each([
    ["waiting", "waiting for a person"],
    ["tool", "a tool has been open for 12 min"],
    ["heartbeat", "heartbeats stopped 12 min ago"],
    ["idle", "no activity for 12 min"],
  ] as const)("%s: %s", (reason, words) => {
    expect(stallWords({ count: 1, reason, since: NOON, invocationId: "r" }, NOON + 12 * 60_000 + 5_000, span)).toBe(words);
  });
});
