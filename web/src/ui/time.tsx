/** A time: relative for the eye, exact for whoever points at it and for programs. */
import type { Component } from "solid-js";
import { useClock } from "./clock.ts";
import { exact, iso, relative } from "./when.ts";

export { exact, iso, relative, span } from "./when.ts";
export { useClock } from "./clock.ts";

export const Ago: Component<{ at: number; class?: string }> = (props) => {
  const now = useClock();
  return (
    <time class={props.class} datetime={iso(props.at)} title={exact(props.at)}>
      {relative(props.at, now())}
    </time>
  );
};
