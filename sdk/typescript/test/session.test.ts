// The viewer's state machine with a clock of the test's own: connections, subscriptions, losses.
import { expect, test } from "vitest";
import { ANSWER_MS, LOSS_GRACE_MS } from "../src/viewer/follower.js";
import { CONNECT_MS, OFFLINE_MS, PROBE_MS, RECONNECT_FIRST_MS, RECONNECT_MOST_MS, TOKEN_TRIES } from "../src/viewer/link.js";
import { LINGER_MS } from "../src/viewer/session.js";
import { activity, items, kinds, offsets, sent, Stage, subscribed } from "./clock.js";

test("many tasks share one connection, and each continues after its own cursor on the next", () => {
  const stage = new Stage();
  stage.live("a", 3);
  stage.live("b", 2);
  expect(stage.effects.filter((effect) => effect.do === "connect")).toHaveLength(1);
  stage.close(1006);
  expect(stage.state("a")).toBe("reconnecting");
  expect(kinds(stage.pass(RECONNECT_FIRST_MS / 2))).toContain("connect");
  expect(sent(stage.open())).toEqual([
    { op: "subscribe", task: "a", after: "aaaaaaaa-3" },
    { op: "subscribe", task: "b", after: "aaaaaaaa-2" },
  ]);
  const heard = stage.say(subscribed("b", 4, 2), activity("b", 3), subscribed("a", 3, 3), activity("b", 4));
  expect(offsets(heard, "b")).toEqual([3, 4]);
  expect(stage.state("b")).toBe("catchingUp");
  stage.say({ op: "live", task: "a", offset: 3 });
  expect(stage.state("a")).toBe("live");
});

test("waits double up to a bound, and start small after a connection that held", () => {
  const stage = new Stage({ random: () => 0.999_999 });
  stage.live("a", 1);
  const waits: number[] = [];
  for (let n = 0; n < 7; n += 1) {
    stage.close(1006);
    const from = stage.now;
    while (!kinds(stage.pass(1)).includes("connect")) expect(stage.now - from).toBeLessThanOrEqual(RECONNECT_MOST_MS);
    waits.push(stage.now - from);
  }
  expect(waits).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000]);
  stage.open();
  stage.say({ op: "hello", heartbeatMs: 25_000 }, subscribed("a", 1, 1));
  stage.pass(11_000);
  stage.close(1006);
  expect(kinds(stage.pass(RECONNECT_FIRST_MS))).toContain("connect");
});

test("a hub that stops says when to come back, and nothing brings the viewer back sooner", () => {
  const stage = new Stage();
  stage.live("a", 1);
  stage.say({ op: "drain", reconnectAfterMs: 3_000, cursors: {} }, activity("a", 2));
  expect(offsets(stage.effects), "activities still come").toEqual([1, 2]);
  stage.close(1012);
  stage.act((session, now) => { session.nudge(now); });
  expect(kinds(stage.pass(2_999))).not.toContain("connect");
  expect(kinds(stage.pass(1))).toContain("connect");
});

test("a nudge ends an ordinary wait", () => {
  const stage = new Stage();
  stage.live("a", 1);
  stage.close(1006);
  expect(kinds(stage.act((session, now) => { session.nudge(now); }))).toContain("connect");
});

test("silence is asked about, and then means that the connection is dead", () => {
  const stage = new Stage();
  stage.live("a", 1);
  expect(sent(stage.pass(37_500))).toEqual([{ op: "ping" }]);
  stage.say({ op: "pong", timestamp: 1 });
  const heard = stage.now;
  expect(sent(stage.pass(37_500))).toEqual([{ op: "ping" }]);
  expect(kinds(stage.pass(PROBE_MS - 1))).not.toContain("disconnect");
  expect(kinds(stage.pass(1))).toContain("disconnect");
  expect(stage.session.state("a", stage.now)).toEqual({ kind: "offline", since: heard, reason: "nothing was heard of the hub" });
});

test("after the machine has slept the hub is asked once more before the connection is dead", () => {
  const stage = new Stage();
  stage.live("a", 1);
  stage.now += 3_600_000;
  expect(sent(stage.act((session, now) => { session.tick(now); }))).toEqual([{ op: "ping" }]);
  stage.now += 3_600_000;
  expect(sent(stage.act((session, now) => { session.tick(now); }))).toEqual([{ op: "ping" }]);
  stage.now += 3_600_000;
  expect(kinds(stage.act((session, now) => { session.tick(now); })), "a throttled tab finds it too").toContain("disconnect");
});

test("a hub that does not answer at all is given up, and called offline after a while", () => {
  const stage = new Stage();
  expect(kinds(stage.follow({ task: "a" }))).toEqual(["connect", "state"]);
  expect(kinds(stage.pass(CONNECT_MS))).toContain("disconnect");
  expect(stage.state("a")).toBe("reconnecting");
  stage.pass(OFFLINE_MS);
  expect(stage.state("a")).toBe("offline");
  expect(stage.effects.filter((effect) => effect.do === "state").map(({ state }) => state.kind)).toEqual(["connecting", "reconnecting", "offline"]);
});

test("a gap is a loss: the subscription ends, and begins again after the cursor once that is confirmed", () => {
  const stage = new Stage();
  stage.live("a", 2);
  const heard = stage.say(activity("a", 4));
  expect(heard).toContainEqual({ do: "loss", task: "a", reason: "an activity did not come", after: "aaaaaaaa-2" });
  expect(sent(heard)).toEqual([{ op: "unsubscribe", task: "a" }]);
  expect(offsets(stage.say(activity("a", 5))), "what still comes of the old one comes again").toEqual([]);
  expect(sent(stage.say({ op: "unsubscribed", task: "a", reason: "requested" }))).toEqual([{ op: "subscribe", task: "a", after: "aaaaaaaa-2" }]);
  expect(offsets(stage.say(subscribed("a", 5, 2), activity("a", 3), activity("a", 4), activity("a", 5)))).toEqual([3, 4, 5]);
});

test("a head that is ahead of what came is a loss after a grace, not before", () => {
  const stage = new Stage();
  stage.live("a", 2);
  const beat = (head: number) => ({ op: "heartbeat", timestamp: 1, heads: { a: head } });
  stage.say(beat(2));
  stage.say(beat(3));
  expect(stage.state("a")).toBe("catchingUp");
  expect(kinds(stage.pass(LOSS_GRACE_MS - 1))).not.toContain("loss");
  stage.say(activity("a", 3));
  expect(kinds(stage.pass(LOSS_GRACE_MS * 2))).not.toContain("loss");
  stage.say(beat(4));
  expect(kinds(stage.pass(LOSS_GRACE_MS))).toContain("loss");
});

test("while it catches up a viewer is more patient: it takes a second heartbeat with nothing between", () => {
  const stage = new Stage();
  const beat = { op: "heartbeat", timestamp: 1, heads: { a: 9, other: 99 } };
  stage.follow({ task: "a" });
  stage.open();
  stage.say({ op: "hello", heartbeatMs: 25_000 }, subscribed("a", 9, 0), activity("a", 1), beat);
  expect(kinds(stage.pass(LOSS_GRACE_MS * 2))).not.toContain("loss");
  stage.say(activity("a", 2));
  expect(kinds(stage.say(beat))).not.toContain("loss");
  expect(kinds(stage.say(beat))).toContain("loss");
});

test("a clock that stood still makes no loss", () => {
  const stage = new Stage();
  stage.live("a", 2);
  stage.say({ op: "heartbeat", timestamp: 1, heads: { a: 3 } });
  stage.now += 3_600_000;
  expect(kinds(stage.act((session, now) => { session.tick(now); }))).not.toContain("loss");
  stage.say({ op: "pong", timestamp: 1 });
  expect(kinds(stage.pass(LOSS_GRACE_MS)), "but what does not come after all is one").toContain("loss");
});

test("a subscription that is begun again must be answered, too", () => {
  const stage = new Stage();
  stage.live("a", 2);
  const due = stage.session.due ?? 0;
  stage.say(activity("a", 4));
  expect(stage.session.due).toBe(stage.now + ANSWER_MS);
  expect(stage.session.due).toBeLessThan(due);
});

test("a connection that loses again and again is replaced", () => {
  const stage = new Stage();
  stage.live("a", 1);
  for (let n = 0; n < 2; n += 1) {
    expect(kinds(stage.say(activity("a", 9)))).toEqual(expect.arrayContaining(["loss", "send"]));
    stage.say({ op: "unsubscribed", task: "a", reason: "requested" }, subscribed("a", 9, 1));
  }
  expect(kinds(stage.say(activity("a", 9)))).toContain("disconnect");
});

test("a lost confirmation, and one that never comes, end the connection", () => {
  const lost = new Stage();
  lost.follow({ task: "a" });
  lost.open();
  expect(kinds(lost.say(activity("a", 1)))).toContain("disconnect");
  expect(offsets(lost.effects)).toEqual([]);
  const never = new Stage();
  never.follow({ task: "a" });
  never.open();
  for (let n = 0; n < 3; n += 1) {
    never.pass(ANSWER_MS / 3 - 1);
    never.say({ op: "heartbeat", timestamp: 1, heads: {} });
  }
  expect(kinds(never.pass(3))).toContain("disconnect");
});

test("what cannot be read is a broken connection, what is not known is passed over", () => {
  const stage = new Stage();
  stage.live("a", 1);
  expect(kinds(stage.say({ op: "shiny", new: [1] }))).toEqual([]);
  expect(kinds(stage.say({ op: "live", task: "a", offset: 2 ** 53 }))).toContain("disconnect");
});

test("4403 is the end, 4401 is too when nobody can renew the token", () => {
  for (const [code, name] of [[4403, "forbidden"], [4401, "unauthorized"]] as const) {
    const stage = new Stage();
    stage.live("a", 1);
    stage.act((session, now) => { session.followList(now); });
    const effects = stage.close(code, "no");
    expect(effects).toContainEqual({ do: "state", task: "a", state: { kind: "denied", code: name, reason: `no (${code.toString()})` } });
    expect(kinds(effects)).toEqual(expect.arrayContaining(["end", "listEnd", "link"]));
    expect(stage.session.due, "nothing more is tried").toBeUndefined();
    expect(kinds(stage.follow({ task: "b" })), "nor begun").not.toContain("connect");
  }
});

test("a hub that wants a token first is not waited for until it closes", () => {
  const stage = new Stage();
  stage.follow({ task: "a" });
  stage.open();
  const effects = stage.say({ op: "error", code: "token_missing", message: "send one", task: "a" });
  expect(kinds(effects)).toContain("disconnect");
  expect(effects).toContainEqual({ do: "state", task: "a", state: { kind: "denied", code: "unauthorized", reason: "send one (4401)" } });
});

test("a task that the token does not grant is denied, and the others go on", () => {
  const stage = new Stage();
  stage.live("a", 1);
  stage.follow({ task: "b" });
  const effects = stage.say({ op: "error", code: "forbidden", message: "not granted", task: "b" });
  expect(effects).toContainEqual({ do: "state", task: "b", state: { kind: "denied", code: "forbidden", reason: "not granted" } });
  expect(stage.state("a")).toBe("live");
});

test("with a new token a refused one is replaced, a few times in a row and no more", () => {
  const stage = new Stage({ renewable: true });
  stage.live("a", 1);
  for (let n = 0; n < TOKEN_TRIES; n += 1) {
    stage.close(4401);
    expect(kinds(stage.pass(RECONNECT_MOST_MS)), `try ${n.toString()}`).toContain("connect");
    stage.open();
  }
  expect(kinds(stage.close(4401))).toContain("end");
  expect(stage.session.linkState(stage.now).kind).toBe("denied");
});

test("a token that was good once may be replaced as often as it takes", () => {
  const stage = new Stage({ renewable: true });
  stage.live("a", 1);
  for (let n = 0; n < TOKEN_TRIES * 2; n += 1) {
    stage.close(4401);
    expect(kinds(stage.pass(RECONNECT_MOST_MS)), `time ${n.toString()}`).toContain("connect");
    stage.open();
    stage.say(subscribed("a", 1, 1));
  }
});

test("a refused subscription ends alone", () => {
  const stage = new Stage();
  stage.live("a", 1);
  stage.follow({ task: "b" });
  const [end] = stage.say({ op: "error", code: "too_many_subscriptions", message: "enough", task: "b" });
  expect(end).toMatchObject({ do: "end", task: "b", error: { code: "too_many_subscriptions" } });
  expect(stage.state("a")).toBe("live");
  stage.follow({ task: "b" });
});

test("a consumer that is full ends its subscription, loses nothing, and disturbs nobody", () => {
  const stage = new Stage();
  stage.live("a", 2);
  stage.live("b", 1);
  expect(sent(stage.act((session, now) => { session.pause("a", now); }))).toEqual([{ op: "unsubscribe", task: "a" }]);
  expect(offsets(stage.say(activity("a", 3), activity("b", 2)))).toEqual([2]);
  expect(stage.session.state("a", stage.now)).toEqual({ kind: "catchingUp", offset: 2, behind: 1 });
  expect(sent(stage.act((session, now) => { session.resume("a", now); })), "not before the end is confirmed").toEqual([]);
  expect(sent(stage.say({ op: "unsubscribed", task: "a", reason: "requested" }))).toEqual([{ op: "subscribe", task: "a", after: "aaaaaaaa-2" }]);
  expect(offsets(stage.say(subscribed("a", 3, 2), activity("a", 3)))).toEqual([3]);
});

test("a task that is closed and followed again at once gets nothing of the old subscription", () => {
  const stage = new Stage();
  stage.live("a", 2);
  const again = stage.act((session, now) => {
    session.unfollow("a", now);
    session.follow({ task: "a", after: "end" }, now);
  });
  expect(sent(again)).toEqual([{ op: "unsubscribe", task: "a" }]);
  expect(items(stage.say(activity("a", 3), { op: "live", task: "a", offset: 3 }))).toEqual([]);
  expect(sent(stage.say({ op: "unsubscribed", task: "a", reason: "requested" }))).toEqual([{ op: "subscribe", task: "a", after: "end" }]);
  expect(offsets(stage.say(subscribed("a", 3, 3), activity("a", 4)))).toEqual([4]);
});

test("what cannot be continued is said, and so is the end and the return of a task", () => {
  const stage = new Stage();
  stage.live("a", 2);
  expect(items(stage.say({ op: "truncated", task: "a", floor: 10 }))).toEqual([{ kind: "truncated", floor: 10 }]);
  stage.say(activity("a", 10));
  expect(stage.session.state("a", stage.now)).toMatchObject({ truncatedBelow: 10 });
  expect(items(stage.say({ op: "reset", task: "a", epoch: "bbbbbbbb" }))).toEqual([{ kind: "reset", epoch: "bbbbbbbb" }]);
  stage.say(activity("a", 1, "bbbbbbbb"), { op: "live", task: "a", offset: 1 });
  expect(stage.session.state("a", stage.now)).toEqual({ kind: "live", offset: 1 });
  const deleted = stage.say({ op: "unsubscribed", task: "a", reason: "deleted" });
  expect(items(deleted)).toEqual([{ kind: "deleted" }]);
  expect(sent(deleted)).toEqual([{ op: "subscribe", task: "a", after: "start" }]);
  stage.say({ op: "subscribed", task: "a", epoch: null, floor: 1, head: 0, after: null });
  expect(stage.state("a")).toBe("waiting");
  expect(offsets(stage.say(activity("a", 1, "cccccccc")))).toEqual([1]);
});

test("the list begins anew after each connection, and after a pause only what is new is taken", () => {
  const stage = new Stage();
  stage.act((session, now) => { session.followList(now); });
  stage.open();
  const task = {
    op: "task", taskId: "a", title: null, labels: {}, status: null, epoch: "aaaaaaaa", head: 1, floor: 1, createdAt: 1, lastActivityAt: 1, invocationCounts: {},
  };
  const listed = (effects: ReturnType<Stage["say"]>) => effects.flatMap((effect) => (effect.do === "listItem" ? [effect.item.kind] : []));
  expect(listed(stage.effects)).toEqual(["snapshot"]);
  expect(listed(stage.say(task, { op: "live", list: "tasks" }, { op: "task", taskId: "a", deleted: true }))).toEqual(["task", "live", "gone"]);
  const paused = stage.act((session, now) => { session.pauseList(now); });
  expect(sent(paused)).toEqual([{ op: "unsubscribe", list: "tasks" }, { op: "ping" }]);
  expect(sent(stage.act((session, now) => { session.resumeList(now); }))).toEqual([]);
  expect(listed(stage.say(task, { op: "live", list: "tasks" })), "still of the old one").toEqual([]);
  const resumed = stage.say({ op: "pong", timestamp: 1 });
  expect(sent(resumed)).toEqual([{ op: "subscribe", list: "tasks" }]);
  expect(listed(resumed)).toEqual(["snapshot"]);
  stage.close(1006);
  stage.pass(RECONNECT_MOST_MS);
  expect(listed(stage.open())).toEqual(["snapshot"]);
  expect(sent(stage.pass(37_500)), "a ping of another kind").toEqual([{ op: "ping" }]);
  stage.act((session, now) => { session.pauseList(now); });
  stage.act((session, now) => { session.resumeList(now); });
  expect(listed(stage.say({ op: "pong", timestamp: 1 })), "has a pong of its own").toEqual([]);
  expect(listed(stage.say({ op: "pong", timestamp: 2 }))).toEqual(["snapshot"]);
});

test("with nothing followed the connection ends after a while, and begins again when it is needed", () => {
  const stage = new Stage();
  stage.live("a", 1);
  stage.act((session, now) => { session.unfollow("a", now); });
  stage.say({ op: "unsubscribed", task: "a", reason: "requested" });
  expect(kinds(stage.pass(LINGER_MS))).toContain("disconnect");
  expect(stage.session.due).toBeUndefined();
  expect(kinds(stage.follow({ task: "a" }))).toContain("connect");
});
