// Where a viewer stands, as a table.
import { expect, test } from "vitest";
import { Place } from "../src/viewer/place.js";
import { readMessage, type TaskMessage } from "../src/viewer/protocol.js";
import { activity, subscribed } from "./clock.js";

const message = (value: object): TaskMessage => readMessage(JSON.stringify(value)) as TaskMessage;
const hear = (place: Place, value: object) => place.hear(message(value));
const live = (offset: number) => ({ op: "live", task: "t", offset });

test("every offset comes once, or the loss is seen", () => {
  const place = new Place({ last: 2 }, true);
  for (const [heard, meaning] of [
    [subscribed("t", 50, 4), "news"],
    [activity("t", 5), "news"],
    [activity("t", 5), "repeat"],
    [activity("t", 6), "news"],
    [activity("t", 8), "loss"],
    [activity("t", 7, "bbbbbbbb"), "loss"],
    [live(6), "news"],
    [live(7), "loss"],
  ] as const) {
    expect(hear(place, heard), JSON.stringify(heard)).toBe(meaning);
  }
  expect(place.resume()).toEqual({ after: "aaaaaaaa-6", last: 2 });
});

test("a filter may leave holes", () => {
  const place = new Place({}, false);
  hear(place, subscribed("t", 30, 0));
  expect(hear(place, activity("t", 8))).toBe("news");
  hear(place, { op: "cursor", task: "t", offset: 20 });
  expect(place.resume()).toEqual({ after: "aaaaaaaa-20" });
});

test("jumps that are said are no losses", () => {
  const place = new Place({ after: "aaaaaaaa-3" }, true);
  hear(place, subscribed("t", 50, 3));
  hear(place, { op: "truncated", task: "t", floor: 10 });
  expect(place.cursor).toBe("aaaaaaaa-9");
  expect(hear(place, activity("t", 10))).toBe("news");
  hear(place, { op: "reset", task: "t", epoch: "bbbbbbbb" });
  expect(place.cursor).toBe("bbbbbbbb-0");
  expect(hear(place, activity("t", 4, "bbbbbbbb")), "a new log may begin anywhere").toBe("news");
  expect(hear(place, activity("t", 6, "bbbbbbbb"))).toBe("loss");
});

test("what a task holds once it exists is new, and begins with the first", () => {
  const place = new Place({ after: "end" }, true);
  hear(place, { op: "subscribed", task: "t", epoch: null, floor: 1, head: 0, after: null });
  expect(place.resume()).toEqual({ after: "start" });
  expect(hear(place, activity("t", 2))).toBe("loss");
  expect(hear(place, activity("t", 1))).toBe("news");
});

test("a cursor of an earlier life is kept until the hub says what became of it", () => {
  const place = new Place({ after: "aaaaaaaa-7" }, true);
  hear(place, { op: "subscribed", task: "t", epoch: null, floor: 1, head: 0, after: null });
  expect(place.resume()).toEqual({ after: "aaaaaaaa-7" });
  expect(hear(place, activity("t", 1, "bbbbbbbb")), "its reset did not come").toBe("loss");
});

test("a cursor that contradicts its offset is not trusted", () => {
  const place = new Place({}, true);
  hear(place, subscribed("t", 5, 0));
  expect(hear(place, { ...activity("t", 1), offset: 2 })).toBe("loss");
});
