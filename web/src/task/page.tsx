/** One task. */
import type { Component } from "solid-js";
import type { HubSource } from "../hub/source.ts";

const TaskPage: Component<{ hub: HubSource; task: string }> = (props) => <main>{props.task}</main>;

export default TaskPage;
