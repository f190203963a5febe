import { render } from "solid-js/web";
import { App } from "./app.tsx";
import { connectHub } from "./hub/connect.ts";
import { keptToken } from "./ui/token.ts";
import "./style/theme.css";

const root = document.getElementById("root");
if (!root) throw new Error("the page has no place for the application");
const hub = connectHub();
const token = keptToken();
if (token !== undefined) hub.setToken(token);
render(() => <App hub={hub} />, root);
