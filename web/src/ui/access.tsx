/** What is said when the hub does not let somebody in, with a way to try another token. */
import { type Component, createSignal, Show } from "solid-js";
import type { LinkState } from "tasklight/viewer";
import { isSendable, keepToken } from "./token.ts";
import "./access.css";

export type Denied = Extract<LinkState, { kind: "denied" }>;

export const Access: Component<{ denied: Denied; setToken: (token: string) => void }> = (props) => {
  const [problem, setProblem] = createSignal<string>();
  let field: HTMLInputElement | undefined;
  const tried = (event: SubmitEvent): void => {
    event.preventDefault();
    const token = field?.value.trim() ?? "";
    if (!isSendable(token)) {
      setProblem(token === "" ? "Paste a token first." : "A token has no spaces and only plain characters.");
      field?.focus();
      return;
    }
    setProblem(undefined);
    keepToken(token);
    props.setToken(token);
    if (field) field.value = "";
  };
  return (
    <section class="access" aria-labelledby="access-title">
      <div>
        <h2 id="access-title">{props.denied.code === "unauthorized" ? "The hub wants a valid token" : "Your token does not grant this"}</h2>
        <p class="access-reason">
          {props.denied.code === "unauthorized"
            ? "There is none, or it has expired. Nothing more is shown until there is one."
            : "Ask whoever runs this hub for one that does."}{" "}
          The hub said: {props.denied.reason}
        </p>
      </div>
      <form class="access-form" onSubmit={tried}>
        <label class="visually-hidden" for="access-token">
          Token
        </label>
        <input
          id="access-token"
          ref={(element) => (field = element)}
          class="field"
          type="password"
          autocomplete="off"
          spellcheck={false}
          placeholder="Paste a token"
          aria-describedby="access-note"
        />
        <button type="submit" class="button button-strong">
          Try again
        </button>
      </form>
      <p id="access-note" class="access-note" aria-live="polite">
        <Show when={problem()} fallback="It is kept until this tab is closed, and sent to this hub only.">
          {(words) => <span class="access-problem">{words()}</span>}
        </Show>
      </p>
    </section>
  );
};
