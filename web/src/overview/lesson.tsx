/** What to do when there is nothing yet: the first commands, for this hub. */
import { type Component, For } from "solid-js";
import { CopyButton } from "../ui/copy.tsx";
import "./lesson.css";

/** Where clients look for a hub if nobody says where it is. */
const USUAL = "http://127.0.0.1:8080";

interface Step {
  readonly what: string;
  readonly more: string;
  readonly command: string;
}

/** The commands with the hub's address, which is left out where it is the usual one. */
export function lessonFor(hub: string): readonly Step[] {
  const flag = hub === USUAL ? "" : ` --hub ${hub}`;
  const body = `{"invocationId":"me","type":"message","data":{"text":"hello"}}`;
  return [
    { what: "Run anything under it", more: "A build, a test, a coding agent: what it does appears here as it happens.", command: `tasklight run${flag} --task build -- make` },
    { what: "Publish from anything that speaks HTTP", more: "The answer comes when it is stored.", command: `curl ${hub}/v1/tasks/hello/activities -d '${body}'` },
    { what: "Follow it in a terminal", more: "The same activities, in the same order.", command: `tasklight tail${flag} build` },
  ];
}

export const demoFor = (hub: string): string => `tasklight demo${hub === USUAL ? "" : ` --hub ${hub}`}`;

export const Lesson: Component = () => (
  <section class="lesson" aria-labelledby="lesson-title">
    <h2 id="lesson-title">Nothing has been published yet</h2>
    <p class="lesson-lead">This page shows what your agents and jobs do, while they do it. Begin with one of these:</p>
    <ol class="lesson-steps">
      <For each={lessonFor(location.origin)}>
        {(step) => (
          <li>
            <h3>{step.what}</h3>
            <p>{step.more}</p>
            <Command text={step.command} />
          </li>
        )}
      </For>
    </ol>
    <p class="lesson-demo">Only looking? Five made-up agents for a minute:</p>
    <Command text={demoFor(location.origin)} />
  </section>
);

const Command: Component<{ text: string }> = (props) => (
  <div class="lesson-command">
    <pre tabindex="0">
      <code>{props.text}</code>
    </pre>
    <CopyButton text={props.text} label="Copy this command" />
  </div>
);
