/** A task as a file: as it is stored, or as one reads it. */
import { type Component, createSignal, Match, onCleanup, Switch } from "solid-js";
import type { HubSource } from "../../hub/source.ts";
import { Menu } from "../toolbar/menu.tsx";
import type { Told } from "./file.tsx";

type State =
  | { readonly kind: "idle" }
  | { readonly kind: "busy"; readonly told: Told | undefined }
  | { readonly kind: "done"; readonly text: string }
  | { readonly kind: "failed"; readonly reason: string };

export const Export: Component<{ hub: HubSource; task: string; title: string | undefined }> = (props) => {
  const [state, setState] = createSignal<State>({ kind: "idle" });
  let running: AbortController | undefined;
  onCleanup(() => running?.abort());
  const make = async (): Promise<void> => {
    running?.abort();
    const mine = (running = new AbortController());
    setState({ kind: "busy", told: undefined });
    try {
      const { exportFile, MOST_IN_FILE } = await import("./file.tsx");
      const told = (told: Told): void => {
        setState({ kind: "busy", told });
      };
      const { file, activities, cutAt } = await exportFile(props.hub, props.task, props.title, told, mine.signal);
      save(file, `${props.task}.html`);
      const count = `${activities.toLocaleString("en")} activities`;
      setState({ kind: "done", text: cutAt === undefined ? `${count} are in the file.` : `The file ends at #${cutAt.toString()}: it holds at most ${MOST_IN_FILE.toLocaleString("en")} activities and 64 MiB.` });
    } catch (error) {
      if (mine.signal.aborted) setState({ kind: "idle" });
      else setState({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
    }
  };
  /** The browser itself takes it, however long it is. A link carries no token, so a ticket stands for it. */
  const download = async (): Promise<void> => {
    const { task, hub } = props;
    try {
      const ticket = await hub.rest.ticket();
      follow(`/v1/tasks/${encodeURIComponent(task)}/activities?format=ndjson&ticket=${ticket}`, `${task}.ndjson`);
    } catch (error) {
      setState({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
    }
  };
  const busy = (): Extract<State, { kind: "busy" }> | undefined => {
    const now = state();
    return now.kind === "busy" ? now : undefined;
  };
  const words = (): string => {
    const now = state();
    return now.kind === "done" ? now.text : now.kind === "failed" ? `It could not be made: ${now.reason}` : "";
  };
  return (
    <Menu title="Export" label="Export">
      {() => (
        <div class="bar-export">
          <button type="button" class="button" onClick={() => void download()}>
            NDJSON, as it is stored
          </button>
          <Switch>
            <Match when={busy()}>
              {(now) => (
                <>
                  <progress class="tl-bar" max={now().told?.head ?? 1} value={now().told?.through ?? 0} aria-label="Export" />
                  <p role="status">{(now().told?.activities ?? 0).toLocaleString("en")} activities so far</p>
                  <button type="button" class="button" onClick={() => running?.abort()}>
                    Cancel
                  </button>
                </>
              )}
            </Match>
            <Match when={!busy()}>
              <button type="button" class="button" onClick={() => void make()}>
                HTML, to read anywhere
              </button>
            </Match>
          </Switch>
          <p role="status">{words()}</p>
        </div>
      )}
    </Menu>
  );
};

function follow(address: string, name: string): void {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
}

function save(file: Blob, name: string): void {
  const address = URL.createObjectURL(file);
  follow(address, name);
  setTimeout(() => {
    URL.revokeObjectURL(address);
  }, 60_000);
}
