// A viewer's session with a clock of the test's own, and a hub that says what the test wants.
import type { FollowRequest, Item } from "../src/viewer/item.js";
import type { Effect } from "../src/viewer/effect.js";
import { Session } from "../src/viewer/session.js";

export const EPOCH = "aaaaaaaa";

/** An activity as the hub sends it. */
export function activity(task: string, offset: number, epoch = EPOCH): object {
  return {
    op: "activity", taskId: task, offset, cursor: `${epoch}-${offset.toString()}`, invocationId: "r",
    eventId: "07070707-0707-0707-0707-070707070707", timestamp: 1, receivedAt: 2, type: "message", data: { text: offset.toString() },
  };
}

export function subscribed(task: string, head: number, after: number, epoch = EPOCH): object {
  return { op: "subscribed", task, epoch, floor: 1, head, after: `${epoch}-${after.toString()}` };
}

export class Stage {
  now = 1_000_000;
  readonly session: Session;
  readonly effects: Effect[] = [];

  constructor(options: { renewable?: boolean; random?: () => number } = {}) {
    this.session = new Session(options.renewable ?? false, options.random ?? (() => 0.5));
  }

  /** Does something to the session, and remembers what it wants. */
  act(what: (session: Session, now: number) => void): readonly Effect[] {
    what(this.session, this.now);
    const effects = this.session.take();
    this.effects.push(...effects);
    return effects;
  }

  follow(request: FollowRequest): readonly Effect[] {
    return this.act((session, now) => { session.follow(request, now); });
  }

  open(): readonly Effect[] {
    return this.act((session, now) => { session.opened(now); });
  }

  say(...messages: object[]): readonly Effect[] {
    return messages.flatMap((message) => this.act((session, now) => { session.heard(JSON.stringify(message), now); }));
  }

  close(code: number, reason = ""): readonly Effect[] {
    return this.act((session, now) => { session.closed(code, reason, now); });
  }

  /** Time passes; whatever becomes due meanwhile happens at its time. */
  pass(millis: number): readonly Effect[] {
    const until = this.now + millis;
    const effects: Effect[] = [];
    for (let due = this.session.due; due !== undefined && due <= until; due = this.session.due) {
      this.now = Math.max(this.now, due);
      effects.push(...this.act((session, now) => { session.tick(now); }));
    }
    this.now = until;
    return effects;
  }

  /** A task that is followed on an open connection, with everything up to `head` given. */
  live(task: string, head: number): void {
    this.follow({ task });
    if (this.session.linkState(this.now).kind === "connecting") this.open();
    this.say({ op: "hello", heartbeatMs: 25_000 }, subscribed(task, head, 0));
    for (let offset = 1; offset <= head; offset += 1) this.say(activity(task, offset));
    this.say({ op: "live", task, offset: head });
  }

  state(task: string): string {
    return this.session.state(task, this.now).kind;
  }
}

export const sent = (effects: readonly Effect[]): unknown[] =>
  effects.flatMap((effect) => (effect.do === "send" ? [JSON.parse(effect.text) as unknown] : []));

export const items = (effects: readonly Effect[], task?: string): Item[] =>
  effects.flatMap((effect) => (effect.do === "item" && (task === undefined || task === effect.task) ? [effect.item] : []));

/** The offsets of the activities among them. */
export const offsets = (effects: readonly Effect[], task?: string): number[] =>
  items(effects, task).flatMap((item) => (item.kind === "activity" ? [item.activity.offset] : []));

export const kinds = (effects: readonly Effect[]): string[] => effects.map((effect) => effect.do);
