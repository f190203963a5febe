/** What a browser knows of the network and of its page. Where there is none, nothing. */

interface Target {
  addEventListener?(name: string, listener: () => void): void;
  removeEventListener?(name: string, listener: () => void): void;
  readonly visibilityState?: string;
}

/**
 * Calls `look` when there is reason to look at a connection: the network came or went, or the page is seen again. It is only a hint: a hub on
 * this machine is there without any network. Gives what ends it.
 */
export function watchPage(look: () => void): () => void {
  const { document } = globalThis as { document?: Target };
  // A page, or a worker, which has no document; Node is neither.
  const scope = globalThis as Target;
  const seen = (): void => {
    if (document?.visibilityState === "visible") look();
  };
  const names = ["online", "offline", "pageshow"];
  for (const name of names) scope.addEventListener?.(name, look);
  document?.addEventListener?.("visibilitychange", seen);
  return () => {
    for (const name of names) scope.removeEventListener?.(name, look);
    document?.removeEventListener?.("visibilitychange", seen);
  };
}
