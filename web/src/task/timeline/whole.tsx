/** What stands below a payload of which only the beginning is held: a way to the rest. */
import { type Accessor, type Component, createSignal, type JSX, Show } from "solid-js";
import type { Activity } from "tasklight/viewer";
import { useRendering } from "./rendering.ts";

/** Shows the activity as it is held, and whole once somebody has asked for that. */
export const Whole: Component<{ activity: Activity; children: (activity: Accessor<Activity>) => JSX.Element }> = (props) => {
  const rendering = useRendering();
  const [whole, setWhole] = createSignal<Activity>();
  const [state, setState] = createSignal<"idle" | "loading" | "failed">("idle");
  const load = async (): Promise<void> => {
    setState("loading");
    try {
      setWhole(await rendering.full(props.activity.offset));
      setState("idle");
    } catch {
      setState("failed");
    }
  };
  return (
    <>
      {props.children(() => whole() ?? props.activity)}
      <Show when={!whole() && rendering.isCut(props.activity)}>
        <p class="tl-rest">
          Only the beginning is held here.{" "}
          <button type="button" class="tl-link" tabindex="-1" disabled={state() === "loading"} onClick={() => void load()}>
            {state() === "loading" ? "loading …" : "load the whole"}
          </button>
          <Show when={state() === "failed"}> It could not be loaded.</Show>
        </p>
      </Show>
    </>
  );
};
