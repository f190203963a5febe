/** Says which runs stand still and why, for as long as any does. */
import { type Component, createMemo, createSignal, For, Show } from "solid-js";
import type { HubSource } from "../hub/source.ts";
import { roughly } from "../model/duration.ts";
import type { TaskLog } from "../model/log.ts";
import type { Run } from "../model/runs.ts";
import type { Stall } from "../model/stalled.ts";
import { useClock } from "../ui/clock.ts";
import { useRuns } from "./runs-state.ts";
import { visible } from "../model/text.ts";
import "./stalled.css";

/** How often is looked whether a run stands still. */
const LOOK_MS = 5_000;

/** So many have a line before somebody asks for the rest. */
const SHOWN = 2;

export interface StalledBannerProps {
  readonly hub: HubSource;
  readonly task: string;
  readonly log: TaskLog;
  readonly onPlace: (offset: number) => void;
}

interface Standing {
  readonly run: Run;
  readonly stall: Stall;
}

export const StalledBanner: Component<StalledBannerProps> = (props) => {
  // eslint-disable-next-line solid/reactivity -- a page makes a new banner for another log
  const { view } = useRuns(props.hub, props.task, props.log);
  const now = useClock(LOOK_MS);
  const [all, setAll] = createSignal(false);
  const standing = createMemo(() => standingOf(view().runs, now()));
  const byId = createMemo(() => new Map(standing().map((one) => [one.run.id, one])));
  const ids = createMemo(() => standing().slice(0, all() ? undefined : SHOWN).map(({ run }) => run.id), undefined, { equals: isSame });
  return (
    <div role="status" class="stalled-place">
      <Show when={standing().length !== 0}>
        <ul class="stalled" aria-label="Runs that stand still">
          <For each={ids()}>
            {(id) => <Show when={byId().get(id)}>{(one) => <StalledLine standing={one()} now={now()} onPlace={props.onPlace} />}</Show>}
          </For>
          <Show when={SHOWN < standing().length}>
            <li class="stalled-rest">
              <button type="button" class="stalled-button" aria-expanded={all()} onClick={() => setAll(!all())}>
                {all() ? "Show fewer" : `${(standing().length - SHOWN).toString()} more stand still`}
              </button>
            </li>
          </Show>
        </ul>
      </Show>
    </div>
  );
};

const StalledLine: Component<{ standing: Standing; now: number; onPlace: (offset: number) => void }> = (props) => (
  <li class="stalled-line" data-kind={props.standing.stall.kind}>
    <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
      <path d="M8 1.8 15 14H1z" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round" />
      <path d="M8 6.2v3.6m0 1.9v.1" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" />
    </svg>
    <span class="stalled-text">
      <b>{props.standing.stall.kind === "approval" ? "Needs you" : "Stalled"}</b>{" "}
      <span class="stalled-run">{visible(props.standing.run.title ?? props.standing.run.id)}</span>: {props.standing.stall.reason}
      {/* Not spoken: it would be said again whenever it changes. */}
      <span aria-hidden="true">, for {roughly(props.now - props.standing.stall.since)}</span>
    </span>
    <Show when={props.standing.run.last}>
      {(last) => (
        <button type="button" class="stalled-button" aria-label={`Go to its last activity, number ${last().toString()}`} onClick={() => { props.onPlace(last()); }}>
          #{last().toLocaleString()}
        </button>
      )}
    </Show>
  </li>
);

/** Those that wait for a person first, then those that stand still for longest. */
function standingOf(runs: readonly Run[], now: number): readonly Standing[] {
  const standing = runs.flatMap((run) => {
    const stall = run.stallAt(now);
    return stall ? [{ run, stall }] : [];
  });
  const rank = ({ stall }: Standing): number => (stall.kind === "approval" ? 0 : 1);
  return standing.sort((one, other) => rank(one) - rank(other) || one.stall.since - other.stall.since);
}

const isSame = (one: readonly string[], other: readonly string[]): boolean => one.length === other.length && one.every((id, index) => id === other[index]);
