import { describe, expect, it } from "vitest";
import { type Binding, Keyboard, type Pressed, SEQUENCE_MS, type Where } from "../src/ui/keyboard.ts";

const NONE = { ctrlKey: false, metaKey: false, altKey: false, shiftKey: false };

/** A keyboard that writes down what was done. */
function noted(): { done: string[]; bind: (keys: string, more?: Partial<Binding>) => Binding; press: (key: string, where?: Where, at?: number, held?: Partial<Pressed>) => boolean; keyboard: Keyboard } {
  const done: string[] = [];
  const keyboard = new Keyboard();
  return {
    done,
    keyboard,
    bind: (keys, more = {}) => ({ keys: keys.split("|"), does: keys, group: "Test", run: () => done.push(keys), ...more }),
    press: (key, where = "page", at = 0, held = {}) => keyboard.press({ key, ...NONE, ...held }, where, at),
  };
}

describe("the keyboard", () => {
  it("does what a key means, by any of its names, and nothing for others", () => {
    const { done, bind, press, keyboard } = noted();
    keyboard.register([bind("j|ArrowDown"), bind("?")]);
    expect([press("j"), press("ArrowDown"), press("?", "page", 0, { shiftKey: true }), press("x")]).toEqual([true, true, true, false]);
    expect(done).toEqual(["j|ArrowDown", "j|ArrowDown", "?"]);
  });

  it("leaves keys with modifiers to the browser", () => {
    const { done, bind, press, keyboard } = noted();
    keyboard.register([bind("j")]);
    expect(press("j", "page", 0, { ctrlKey: true }) || press("j", "page", 0, { metaKey: true }) || press("j", "page", 0, { altKey: true })).toBe(false);
    expect(done).toEqual([]);
  });

  it("is quiet while somebody types, but for keys that are meant for that", () => {
    const { done, bind, press, keyboard } = noted();
    keyboard.register([bind("j"), bind("Escape", { whileTyping: true })]);
    expect([press("j", "field"), press("Escape", "field")]).toEqual([false, true]);
    expect(done).toEqual(["Escape"]);
  });

  it("leaves Enter and Space to the control that has the focus", () => {
    const { bind, press, keyboard } = noted();
    keyboard.register([bind("Enter"), bind(" "), bind("j")]);
    expect([press("Enter", "control"), press(" ", "control"), press("j", "control"), press("Enter")]).toEqual([false, false, true, true]);
  });

  it("understands two keys one after the other, in time", () => {
    const { done, bind, press, keyboard } = noted();
    keyboard.register([bind("g o"), bind("o")]);
    press("g", "page", 0);
    press("o", "page", SEQUENCE_MS);
    press("g", "page", 5_000);
    press("o", "page", 5_001 + SEQUENCE_MS);
    press("g", "page", 9_000);
    press("x", "page", 9_001);
    press("o", "page", 9_002);
    expect(done).toEqual(["g o", "o", "o"]);
  });

  it("gives a key to the view that came last, and back when it goes", () => {
    const { done, bind, press, keyboard } = noted();
    keyboard.register([bind("Enter", { run: () => done.push("outer") })]);
    const end = keyboard.register([bind("Enter", { run: () => done.push("inner") })]);
    press("Enter");
    end();
    press("Enter");
    expect(done).toEqual(["inner", "outer"]);
  });

  it("passes on a key that had nothing to do", () => {
    const { done, bind, press, keyboard } = noted();
    keyboard.register([bind("Escape")]);
    keyboard.register([bind("Escape", { run: () => false })]);
    expect(press("Escape")).toBe(true);
    expect(done).toEqual(["Escape"]);
    keyboard.register([bind("x", { run: () => false })]);
    expect(press("x")).toBe(false);
  });

  it("lists for the help what is understood now, each key once", () => {
    const { bind, keyboard } = noted();
    keyboard.register([bind("?", { group: "Everywhere" }), bind("Escape", { does: "outer", group: "Everywhere" })]);
    const end = keyboard.register([bind("j"), bind("Escape", { does: "inner" })]);
    const told = (): unknown => keyboard.help().map(({ group, bindings }) => [group, bindings.map(({ does }) => does)]);
    expect(told()).toEqual([["Test", ["j", "inner"]], ["Everywhere", ["?"]]]);
    end();
    expect(told()).toEqual([["Everywhere", ["?", "outer"]]]);
  });
});
