/** Beside the timeline: who works on the task, which tools they call, what stands still, and what it costs. */
import { type Component, createMemo, createSignal, type JSX, Show } from "solid-js";
import type { HubSource } from "../hub/source.ts";
import type { TaskLog } from "../model/log.ts";
import { isOver } from "../model/runs.ts";
import { Lanes } from "./lanes.tsx";
import { useRuns } from "./runs-state.ts";
import { StalledBanner } from "./stalled-banner.tsx";
import { Usage } from "./usage.tsx";
import { Waterfall } from "./waterfall.tsx";
import { visible } from "../model/text.ts";
import "./runs-panel.css";

export { StalledBanner } from "./stalled-banner.tsx";

export interface RunsPanelProps {
  readonly hub: HubSource;
  readonly task: string;
  readonly log: TaskLog;
  /** Goes to this activity in the timeline. */
  readonly onPlace: (offset: number) => void;
  readonly selectedInvocation: string | undefined;
  readonly onSelectInvocation: (id: string | undefined) => void;
}

export const RunsPanel: Component<RunsPanelProps> = (props) => {
  // eslint-disable-next-line solid/reactivity -- a page makes a new panel for another log
  const { view, failure } = useRuns(props.hub, props.task, props.log);
  const runs = createMemo(() => view().runs);
  const atWork = createMemo(() => runs().filter(({ status }) => !isOver(status)).length);
  const held = createMemo(() => {
    const { activities } = view();
    const [first, last] = [activities[0], activities[activities.length - 1]];
    return first && last ? `#${first.offset.toLocaleString()}–#${last.offset.toLocaleString()}` : undefined;
  });
  return (
    <aside class="runs" aria-label="Runs, tools and usage">
      <StalledBanner hub={props.hub} task={props.task} log={props.log} onPlace={props.onPlace} />
      <Show when={props.selectedInvocation}>
        {(id) => (
          <p class="runs-chosen">
            <span>
              Only <b>{visible(id())}</b>
            </span>
            <button type="button" class="stalled-button" onClick={() => { props.onSelectInvocation(undefined); }}>
              Show all runs
            </button>
          </p>
        )}
      </Show>
      <Section name="Runs" note={runs().length === 0 ? undefined : `${atWork().toLocaleString()} at work of ${runs().length.toLocaleString()}`}>
        <Show when={runs().length !== 0} fallback={<p class="runs-none">No run yet.</p>}>
          <Lanes runs={runs()} task={props.task} selected={props.selectedInvocation} onSelect={props.onSelectInvocation} onPlace={props.onPlace} />
        </Show>
      </Section>
      <Section name="Tool calls" note={held()} about="The activities that are loaded, of which the calls are shown and counted">
        <Waterfall view={view()} invocation={props.selectedInvocation} atEnd={props.log.atEnd()} onPlace={props.onPlace} />
      </Section>
      <Section name="Usage and cost" note={undefined}>
        <Usage runs={runs()} selected={props.selectedInvocation} onSelect={props.onSelectInvocation} />
      </Section>
      <Show when={failure()}>{(reason) => <p class="runs-failure">The hub's list of runs could not be read: {reason()}. What the log says is shown.</p>}</Show>
    </aside>
  );
};

/** A part that can be folded; folded, it does no work. */
const Section: Component<{ name: string; note: string | undefined; about?: string; children: JSX.Element }> = (props) => {
  const [isOpen, setOpen] = createSignal(true);
  return (
    <section class="runs-section">
      <h2 class="runs-head">
        <button type="button" class="runs-fold" aria-expanded={isOpen()} onClick={() => setOpen(!isOpen())}>
          <svg viewBox="0 0 12 12" width="10" height="10" aria-hidden="true">
            <path d="m4 2.5 4 3.5-4 3.5z" fill="currentColor" />
          </svg>
          {props.name}
        </button>
        <span class="runs-note" title={props.about}>{props.note}</span>
      </h2>
      <Show when={isOpen()}>{props.children}</Show>
    </section>
  );
};
