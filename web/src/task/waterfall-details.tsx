/** What the call that is pointed at was about, in a place that is always there, so that nothing moves. */
import { type Component, Show } from "solid-js";
import { durationText } from "../model/duration.ts";
import { type Span, tellingPart } from "../model/spans.ts";
import { visible } from "../model/text.ts";
import { exactTime, outcomeText, tookText } from "./waterfall-words.ts";
import { endOf } from "./waterfall-chart.ts";

export const WaterfallDetails: Component<{ span: Span | undefined; atEnd: boolean; horizon: number }> = (props) => (
  <div class="waterfall-details">
    <Show when={props.span} fallback={<span class="waterfall-hint">Point at a call for its times and input; click to go to it.</span>}>
      {(span) => (
        <>
          <span class="waterfall-line">
            <b class="waterfall-name">{visible(span().name)}</b>
            <span data-outcome={span().outcome}>{outcomeText(span(), props.atEnd)}</span>
            <span>{tookText(span(), endOf(span(), props.horizon), props.atEnd)}</span>
            <span class="waterfall-number">#{span().offset.toLocaleString()}</span>
          </span>
          <span class="waterfall-line waterfall-times">
            <Show when={span().hasCall}>{exactTime(span().start)}</Show> → <Show when={span().end} fallback="…">{(end) => exactTime(end())}</Show>
            <Show when={span().ownMillis}>{(own) => <> · {durationText(own())} by the agent's clock</>}</Show>
          </span>
          <span class="waterfall-line waterfall-input">{tellingPart(span().input)}</span>
        </>
      )}
    </Show>
  </div>
);
