/** What stands in place of a timeline that has nothing to show: why, and what to do about it. */
import { type Component, Match, type JSX, Switch } from "solid-js";
import type { TaskLog } from "../model/log.ts";
import { CopyButton } from "../ui/copy.tsx";

export const Empty: Component<{ log: TaskLog }> = (props) => {
  const kind = (): string => props.log.state().kind;
  const isFiltered = (): boolean => props.log.filter().types.size !== 0 || props.log.filter().invocation !== undefined;
  return (
    <div class="task-empty">
      <Switch fallback={<p class="task-empty-quiet">loading …</p>}>
        <Match when={props.log.state().kind === "denied"}>
          <h2>No access to this task</h2>
          <p>The token that this page uses does not grant reading {props.log.task}. Ask whoever runs the hub for one that does.</p>
        </Match>
        <Match when={props.log.loading() !== undefined}>
          <p class="task-empty-quiet">loading …</p>
        </Match>
        <Match when={isFiltered() && props.log.head() > 0}>
          <h2>Nothing fits the filter</h2>
          <p>
            <button type="button" class="button" onClick={() => { props.log.setFilter({ types: new Set(), invocation: undefined }); }}>
              Show everything
            </button>
          </p>
        </Match>
        <Match when={kind() === "waiting"}>
          <h2>Waiting for {props.log.task}</h2>
          <p>This task does not exist yet. It begins with the first activity that somebody publishes to it, and appears here at once.</p>
          <Teach task={props.log.task} />
        </Match>
        <Match when={kind() === "live" && props.log.head() === 0}>
          <h2>Nothing yet</h2>
          <p>The task exists, and nothing was published to it so far. What comes appears here at once.</p>
          <Teach task={props.log.task} />
        </Match>
      </Switch>
    </div>
  );
};

const Teach: Component<{ task: string }> = (props): JSX.Element => {
  const hub = (): string => (location.origin === "http://127.0.0.1:8080" ? "" : ` --hub ${location.origin}`);
  const run = (): string => `tasklight run --task ${props.task}${hub()} -- make -j4`;
  const curl = (): string =>
    `curl ${location.origin}/v1/tasks/${props.task}/activities -d '{"invocationId": "run-1", "type": "message", "data": {"role": "user", "text": "hello"}}'`;
  return (
    <dl class="task-teach">
      <dt>Wrap any command or agent</dt>
      <dd>
        <code>{run()}</code>
        <CopyButton text={run()} label="Copy the command" />
      </dd>
      <dt>Or publish by HTTP</dt>
      <dd>
        <code>{curl()}</code>
        <CopyButton text={curl()} label="Copy the command" />
      </dd>
    </dl>
  );
};
