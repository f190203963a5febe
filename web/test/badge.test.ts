import type { LinkState, State } from "tasklight/viewer";
import { describe, expect, it } from "vitest";
import { ANNOUNCE_EVERY_MS, Announcer, type Badge, badgeOf, clockTime, type ListState } from "../src/ui/badge.ts";

const SINCE = new Date(2026, 5, 1, 9, 5, 7).getTime();

describe("the badge", () => {
  it.each<[State | LinkState | ListState, Badge["kind"], string]>([
    [{ kind: "connecting" }, "behind", "connecting"],
    [{ kind: "open" }, "live", "connected"],
    [{ kind: "waiting" }, "behind", "waiting for the task"],
    [{ kind: "live", offset: 1234 }, "live", "live · complete to #1234"],
    [{ kind: "live", offset: 9, truncatedBelow: 5 }, "live", "live · complete to #9 · truncated below #5"],
    [{ kind: "catchingUp", offset: 9, behind: 1200 }, "behind", "catching up · 1,200 behind"],
    [{ kind: "catchingUp", offset: 9, behind: 2, truncatedBelow: 5 }, "behind", "catching up · 2 behind · truncated below #5"],
    [{ kind: "reconnecting", since: SINCE, reason: "gone" }, "warn", "reconnecting"],
    [{ kind: "offline", since: SINCE, reason: "gone" }, "bad", "offline since 09:05:07"],
    [{ kind: "denied", code: "unauthorized", reason: "expired (4401)" }, "bad", "access expired"],
    [{ kind: "denied", code: "forbidden", reason: "no (4403)" }, "bad", "access denied"],
    [{ kind: "ended" }, "bad", "ended"],
    [{ kind: "loading", count: 50 }, "behind", "loading"],
    [{ kind: "complete", count: 1 }, "live", "live · 1 task"],
    [{ kind: "complete", count: 10_000 }, "live", "live · 10,000 tasks"],
  ])("says of %j: %s, %s", (state, kind, text) => {
    expect(badgeOf(state)).toMatchObject({ kind, text });
  });

  it("says since when and why to whoever points at it", () => {
    for (const kind of ["reconnecting", "offline"] as const) {
      expect(badgeOf({ kind, since: SINCE, reason: "the hub is restarting" }).detail).toContain("the hub is restarting");
    }
    expect(badgeOf({ kind: "reconnecting", since: SINCE, reason: "gone" }).detail).toContain(clockTime(SINCE));
    expect(badgeOf({ kind: "denied", code: "forbidden", reason: "not yours" }).detail).toContain("not yours");
  });

  it("speaks without the numbers that change all the time", () => {
    const spoken = (state: State): string => badgeOf(state).spoken;
    expect(spoken({ kind: "live", offset: 1 })).toBe(spoken({ kind: "live", offset: 2 }));
    expect(spoken({ kind: "catchingUp", offset: 1, behind: 9 })).toBe(spoken({ kind: "catchingUp", offset: 2, behind: 8 }));
    expect(spoken({ kind: "live", offset: 1, truncatedBelow: 1 })).not.toBe(spoken({ kind: "live", offset: 1 }));
  });
});

describe("what is announced", () => {
  it("comes at once after a pause, else when the pause is over, and not twice", () => {
    const announcer = new Announcer();
    expect(announcer.wait("live", 0)).toBe(0);
    announcer.told("live", 0);
    expect(announcer.wait("live", 1)).toBeUndefined();
    expect(announcer.wait("catching up", 1_000)).toBe(ANNOUNCE_EVERY_MS - 1_000);
    expect(announcer.wait("live", 1_500)).toBeUndefined();
    expect(announcer.wait("offline", ANNOUNCE_EVERY_MS)).toBe(0);
  });
});
