/**
 * Desktop notifications: only if somebody asked for them in this browser, and from one of its tabs only. That tab is whichever holds a
 * lock; what the other tabs look at it knows by theirs.
 */
import { type Accessor, createEffect, createSignal, onCleanup } from "solid-js";
import { isTold, type Notice } from "../model/notices.ts";
import { goTo, route, taskAddress } from "./route.ts";

const KEPT_AS = "tasklight.notifications";
const TELLER = "tasklight.teller";
const LOOKED_AT = "tasklight.looked-at.";

/** What can be done about it here. */
export type Standing =
  | "off"
  | "on"
  /** The browser was told not to allow it. */
  | "denied"
  /** This browser, or this address (plain HTTP from elsewhere), has none. */
  | "impossible";

const [wanted, setWanted] = createSignal(readWanted());
const [permission, setPermission] = createSignal<NotificationPermission>(isPossible() ? Notification.permission : "denied");

export const standing: Accessor<Standing> = () => {
  if (!isPossible()) return "impossible";
  if (permission() === "denied") return "denied";
  return wanted() && permission() === "granted" ? "on" : "off";
};

/** Turns them on, asking the browser where it must, or off. For a click. */
export async function toggleNotifications(): Promise<void> {
  if (standing() === "on") {
    keepWanted(false);
    return;
  }
  if (!isPossible()) return;
  setPermission(await Notification.requestPermission());
  keepWanted(Notification.permission === "granted");
}

/** Holds the locks for as long as the calling component is there. */
export function watchLocks(): void {
  createEffect(() => {
    if (standing() === "on") hold(TELLER, "exclusive");
  });
  const [isHidden, setHidden] = createSignal(document.hidden);
  const seen = (): void => {
    setHidden(document.hidden);
    if (isPossible()) setPermission(Notification.permission);
  };
  const stored = (event: StorageEvent): void => {
    if (event.key === KEPT_AS || event.key === null) setWanted(readWanted());
  };
  document.addEventListener("visibilitychange", seen);
  addEventListener("storage", stored);
  onCleanup(() => {
    document.removeEventListener("visibilitychange", seen);
    removeEventListener("storage", stored);
  });
  createEffect(() => {
    const now = route();
    if (now.view === "task" && !isHidden()) hold(LOOKED_AT + now.task, "shared");
  });
}

/** Tells it, if it is this tab that tells, and nobody looks at the task. */
export async function tell(notice: Notice): Promise<void> {
  const now = route();
  const page = { hidden: document.hidden, task: now.view === "task" ? now.task : undefined };
  if (standing() !== "on" || !isTold(notice, page) || (await isElsewhere(notice.taskId))) return;
  const shown = new Notification(notice.title, { body: notice.body, tag: notice.key, icon: "/favicon.svg" });
  shown.onclick = () => {
    window.focus();
    goTo(taskAddress(notice.taskId));
    shown.close();
  };
}

let isTeller = false;

/** Another tab tells, or shows the task to somebody. */
async function isElsewhere(task: string): Promise<boolean> {
  const locks = lockManager();
  if (!locks) return false;
  if (!isTeller) return true;
  const { held } = await locks.query();
  return held?.some((lock) => lock.name === LOOKED_AT + task) ?? false;
}

/** Holds a lock from when it is free until the calling effect runs again or ends. */
function hold(name: string, mode: LockMode): void {
  const locks = lockManager();
  if (!locks) return;
  const giveUp = new AbortController();
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const holding = async (): Promise<void> => {
    if (name === TELLER) isTeller = true;
    await released;
    if (name === TELLER) isTeller = false;
  };
  // Given up before it came: that is all that can fail.
  locks.request(name, { mode, signal: giveUp.signal }, holding).catch(() => undefined);
  onCleanup(() => {
    giveUp.abort();
    release();
  });
}

// All of these are absent on plain HTTP from elsewhere, whatever the types say.
function lockManager(): LockManager | undefined {
  return (navigator as { locks?: LockManager }).locks;
}

function isPossible(): boolean {
  return "Notification" in globalThis && isSecureContext;
}

function readWanted(): boolean {
  try {
    return localStorage.getItem(KEPT_AS) === "on";
  } catch {
    return false;
  }
}

function keepWanted(isWanted: boolean): void {
  setWanted(isWanted);
  try {
    if (isWanted) localStorage.setItem(KEPT_AS, "on");
    else localStorage.removeItem(KEPT_AS);
  } catch {
    return;
  }
}
