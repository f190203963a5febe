/** The page's own icons: lines of 1.5 on a grid of 16. Whoever uses one says in words what it means. */
import type { Component, JSX } from "solid-js";

const Icon: Component<{ children: JSX.Element }> = (props) => (
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
    {props.children}
  </svg>
);

export const BellIcon: Component<{ on: boolean }> = (props) => (
  <Icon>
    <path d="M3.5 11.5h9c-.9-.9-1.3-1.9-1.3-3.4V7a3.2 3.2 0 0 0-6.4 0v1.1c0 1.5-.4 2.5-1.3 3.4zM6.7 13.5a1.4 1.4 0 0 0 2.6 0" fill={props.on ? "currentcolor" : "none"} />
  </Icon>
);
export const HelpIcon: Component = () => (
  <Icon>
    <circle cx="8" cy="8" r="6.2" />
    <path d="M6.2 6.3a1.85 1.85 0 1 1 2.7 1.6c-.6.35-.9.65-.9 1.3m0 2v.1" />
  </Icon>
);
export const SystemIcon: Component = () => (
  <Icon>
    <rect x="1.8" y="2.8" width="12.4" height="8.4" rx="1.2" />
    <path d="M5.5 13.5h5M8 11.2v2.3" />
  </Icon>
);
export const SunIcon: Component = () => (
  <Icon>
    <circle cx="8" cy="8" r="2.8" />
    <path d="M8 1.5v1.3m0 10.4v1.3M1.5 8h1.3m10.4 0h1.3M3.4 3.4l.9.9m7.4 7.4.9.9m0-9.2-.9.9m-7.4 7.4-.9.9" />
  </Icon>
);
export const MoonIcon: Component = () => (
  <Icon>
    <path d="M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1z" />
  </Icon>
);
export const CopyIcon: Component = () => (
  <Icon>
    <rect x="5.5" y="5.5" width="8" height="8" rx="1.3" />
    <path d="M3.5 10.5h-.2a.8.8 0 0 1-.8-.8V3.3c0-.45.35-.8.8-.8h6.4c.45 0 .8.35.8.8v.2" />
  </Icon>
);
export const CheckIcon: Component = () => (
  <Icon>
    <path d="m3 8.5 3.3 3.3L13 4.8" />
  </Icon>
);
export const CloseIcon: Component = () => (
  <Icon>
    <path d="m4 4 8 8m0-8-8 8" />
  </Icon>
);
export const SearchIcon: Component = () => (
  <Icon>
    <circle cx="7" cy="7" r="4.3" />
    <path d="m10.3 10.3 3.4 3.4" />
  </Icon>
);
export const FilterIcon: Component = () => (
  <Icon>
    <path d="M2 4h12M4.5 8h7M6.8 12h2.4" />
  </Icon>
);
