/** Elsewhere in the log: an offset, a time, the first error, its ends. */
import { type Component, createSignal } from "solid-js";
import type { HubSource } from "../../hub/source.ts";
import type { TaskLog } from "../../model/log.ts";
import type { TaskView } from "../timeline/view.ts";
import { Menu } from "./menu.tsx";

export const Jump: Component<{ view: TaskView; hub: HubSource }> = (props) => {
  const [offset, setOffset] = createSignal("");
  const [time, setTime] = createSignal("");
  /** Says what went wrong on the way, if anything. */
  const going = (way: Promise<unknown>): void => {
    // eslint-disable-next-line solid/reactivity -- said when it fails, to the view of then
    way.catch((error: unknown) => {
      props.view.say(error instanceof Error ? error.message : String(error));
    });
  };
  return (
    <Menu title="Jump to" label="Jump">
      {(close) => (
        <>
          <form
            class="bar-form"
            onSubmit={(event) => {
              event.preventDefault();
              const wanted = Number(offset());
              if (!Number.isSafeInteger(wanted) || wanted < 1) return;
              close();
              going(props.view.goTo(wanted));
            }}
          >
            <label>
              Offset
              <input class="field" inputmode="numeric" pattern="[0-9]{1,16}" placeholder="#" value={offset()} onInput={(event) => setOffset(event.currentTarget.value.replace(/^#/, ""))} />
            </label>
            <button type="submit" class="button">
              Go
            </button>
          </form>
          <form
            class="bar-form"
            onSubmit={(event) => {
              event.preventDefault();
              const millis = new Date(time()).getTime();
              if (!Number.isFinite(millis)) return;
              close();
              going(props.view.goToTime(millis));
            }}
          >
            <label>
              Time
              <input class="field" type="datetime-local" step="1" value={time()} onInput={(event) => setTime(event.currentTarget.value)} />
            </label>
            <button type="submit" class="button">
              Go
            </button>
          </form>
          <div class="bar-buttons">
            <button type="button" class="button" onClick={() => { close(); going(goToFirstError(props.view, props.hub)); }}>
              First error
            </button>
            <button type="button" class="button" onClick={() => { close(); going(props.view.goTo(props.view.log.floor())); }}>
              Start
            </button>
            <button
              type="button"
              class="button"
              onClick={() => {
                close();
                props.view.follow();
              }}
            >
              End
            </button>
          </div>
        </>
      )}
    </Menu>
  );
};

/** The first error of the log, or what failed before it of what is held. */
export async function goToFirstError(view: TaskView, hub: HubSource): Promise<void> {
  const { activities } = await hub.rest.activities(view.log.task, { types: ["error"], limit: 1 });
  const [error] = activities;
  const failed = firstFailure(view.log);
  if (failed && (!error || failed.offset < error.offset)) {
    await view.goTo(failed.offset);
    view.say(`first failure: ${failed.what} at #${failed.offset.toString()}${error ? "" : ", of what is loaded"}`);
  } else if (error) {
    await view.goTo(error.offset);
    view.say(`first error: #${error.offset.toString()}`);
  } else view.say("no error in this task");
}

function firstFailure(log: TaskLog): { readonly offset: number; readonly what: string } | undefined {
  for (const { offset, type, data } of log.activities()) {
    if (type === "status" && data["status"] === "failed") return { offset, what: "a run failed" };
    if (type === "tool_result" && data["isError"] === true) return { offset, what: "a tool failed" };
  }
  return undefined;
}
