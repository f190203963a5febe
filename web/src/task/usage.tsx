/** Tokens and cost of the task and of each run, as agents told them. */
import { type Component, createMemo, createSignal, For, Show } from "solid-js";
import type { Run } from "../model/runs.ts";
import { costText, countText, type Figures, type Sum, totalOf } from "../model/usage.ts";
import { visible } from "../model/text.ts";
import "./usage.css";

/** So many runs have a line before somebody asks for all. */
const SHOWN = 6;

/** The most lines there are; the sums count all runs. */
const MOST = 200;

interface Line {
  readonly run: Run;
  readonly figures: Figures;
}

export const Usage: Component<{ runs: readonly Run[]; selected: string | undefined; onSelect: (id: string | undefined) => void }> = (props) => {
  const [all, setAll] = createSignal(false);
  const lines = createMemo(() => linesOf(props.runs));
  const total = createMemo(() => totalOf(lines().map(({ figures }) => figures)));
  const shown = createMemo(() => lines().filter(({ run }, index) => index < (all() ? MOST : SHOWN) || run.id === props.selected));
  const byId = createMemo(() => new Map(lines().map((line) => [line.run.id, line])));
  const ids = createMemo(() => shown().map(({ run }) => run.id));
  const most = createMemo(() => lines().reduce((most, { figures }) => Math.max(most, tokens(figures)), 1));
  return (
    <Show when={lines().length !== 0} fallback={<p class="usage-none">No run has told of tokens or cost.</p>}>
      <dl class="usage-total" aria-label="Whole task">
        <Part name="in" sum={total().input} text={countText} of={total().runs} />
        <Part name="out" sum={total().output} text={countText} of={total().runs} />
        <Part name="cached" sum={total().cacheRead} text={countText} of={total().runs} />
        <Part name="cost" sum={total().costUsd} text={costText} of={total().runs} />
      </dl>
      <p class="usage-note">
        Sum of {total().runs.toLocaleString()} of {props.runs.length.toLocaleString()} runs.
        <Show when={total().estimated}> Figures with ~ were counted on the way.</Show>
      </p>
      <div class="usage-scroll" role="region" aria-label="Usage by run" tabindex="0">
        <table class="usage-table">
          <thead>
            <tr>
              <th scope="col">Run</th>
              <th scope="col">in</th>
              <th scope="col">out</th>
              <th scope="col" title="Tokens that came from the model's cache, part of in">cached</th>
              <th scope="col">cost</th>
            </tr>
          </thead>
          <tbody>
            <For each={ids()}>
              {(id) => (
                <Show when={byId().get(id)}>
                  {(line) => <UsageLine line={line()} most={most()} isSelected={props.selected === id} onSelect={props.onSelect} />}
                </Show>
              )}
            </For>
          </tbody>
        </table>
      </div>
      <Show when={SHOWN < lines().length}>
        <button type="button" class="lanes-more" aria-expanded={all()} onClick={() => setAll(!all())}>
          {all() ? "Show fewer" : `Show ${(Math.min(MOST, lines().length) - SHOWN).toLocaleString()} more`}
        </button>
      </Show>
      <Show when={props.selected === undefined ? undefined : byId().get(props.selected)}>{(line) => <UsageDetails figures={line().figures} />}</Show>
    </Show>
  );
};

const Part: Component<{ name: string; sum: Sum; text: (value: number) => string; of: number }> = (props) => (
  <div class="usage-part" title={props.sum.runs === props.of ? undefined : `Known of ${props.sum.runs.toString()} of ${props.of.toString()} runs`}>
    <dt>
      {props.name}
      <Show when={props.sum.runs !== 0 && props.sum.runs !== props.of}>
        <span class="usage-of"> of {props.sum.runs.toLocaleString()}</span>
      </Show>
    </dt>
    <dd>
      {props.sum.runs === 0 ? <span class="usage-unknown">unknown</span> : props.text(props.sum.total)}
    </dd>
  </div>
);

const UsageLine: Component<{ line: Line; most: number; isSelected: boolean; onSelect: (id: string | undefined) => void }> = (props) => {
  const figures = (): Figures => props.line.figures;
  const about = (): string => (figures().estimated ? "~" : "");
  return (
    <tr classList={{ "usage-selected": props.isSelected }}>
      <th scope="row">
        <button type="button" class="usage-run" aria-pressed={props.isSelected} title={visible(props.line.run.id)} onClick={() => { props.onSelect(props.isSelected ? undefined : props.line.run.id); }}>
          {visible(props.line.run.title ?? props.line.run.id)}
        </button>
        <svg class="usage-bar" viewBox="0 0 100 3" preserveAspectRatio="none" aria-hidden="true">
          <rect width={(tokens(figures()) / props.most) * 100} height="3" />
        </svg>
      </th>
      <td>{known(figures().input, countText, about())}</td>
      <td>{known(figures().output, countText, about())}</td>
      <td>{known(figures().cacheRead, countText, about())}</td>
      <td>{known(figures().costUsd, costText, about())}</td>
    </tr>
  );
};

/** Everything that the selected run told, exactly. */
const UsageDetails: Component<{ figures: Figures }> = (props) => {
  const fields = createMemo(() => {
    const { input, output, cacheRead, cacheWrite, costUsd, context, others } = props.figures;
    const exact: readonly (readonly [string, string | undefined])[] = [
      ["tokens in", input?.toLocaleString()],
      ["tokens out", output?.toLocaleString()],
      ["read from cache", cacheRead?.toLocaleString()],
      ["written to cache", cacheWrite?.toLocaleString()],
      ["cost", costUsd === undefined ? undefined : `$${costUsd.toString()}`],
      ["context in use", context === undefined ? undefined : `${Math.round(context * 100).toString()} %`],
    ];
    return [...exact, ...others].filter((field): field is readonly [string, string] => field[1] !== undefined);
  });
  return (
    <details class="usage-details">
      <summary>All figures of the selected run</summary>
      <dl>
        <For each={fields()}>
          {([name, text]) => (
            <div>
              <dt>{name}</dt>
              <dd>{text}</dd>
            </div>
          )}
        </For>
      </dl>
    </details>
  );
};

const tokens = ({ input, output }: Figures): number => (input ?? 0) + (output ?? 0);

const known = (value: number | undefined, text: (value: number) => string, about: string): string => (value === undefined ? "–" : about + text(value));

/** The runs that told something, those with the most tokens first. */
function linesOf(runs: readonly Run[]): readonly Line[] {
  const lines = runs.flatMap((run) => (run.usage ? [{ run, figures: run.usage }] : []));
  return lines.sort((one, other) => tokens(other.figures) - tokens(one.figures));
}
